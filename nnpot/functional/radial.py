"""Functions of distances, and of distances to centres."""

import math
from typing import Any

import torch
from torch import Tensor

from nnpot.functional.constants import constant
from nnpot.functional.cutoffs import CUTOFFS


def shifted_gaussians(r: Tensor, eta: Tensor, r_s: Tensor) -> Tensor:
    """Return g_k(r) = exp[−η_k (r − r_s,k)²].

    Args:
        r: Distances, in Å, any shape (...,).
        eta: Widths η, in 1/Å², shape (K,).
        r_s: Centres, in Å, shape (K,).

    Returns:
        Shape (..., K).
    """
    return torch.exp(-eta * (r.unsqueeze(dim=-1) - r_s) ** 2)


def shifted_gaussians_derivative(r: Tensor, eta: Tensor, r_s: Tensor) -> Tensor:
    """Return dg_k/dr = −2 η_k (r − r_s,k) g_k(r), in 1/Å, shape (..., K); arguments as `shifted_gaussians`."""
    return -2 * eta * (r.unsqueeze(dim=-1) - r_s) * shifted_gaussians(r, eta, r_s)


def bessel_basis(r: Tensor, cutoff: float, n_radial: int) -> tuple[Tensor, Tensor]:
    """Return R_k(r) = √(2/r_c) sin(kπ r/r_c)/(k r) f_c(r) for k = 1 … K, and dR_k/dr in 1/Å.

    These are the radial functions of J. Gasteiger et al., ICLR 2020 (arXiv:2003.03123), times 1/k, with the polynomial
    cutoff f_c; both are 0 at and beyond the cutoff.

    Args:
        r: Distances, in Å, positive, shape (..., 1).
        cutoff: r_c, in Å.
        n_radial: K.

    Returns:
        Values and derivatives, each of shape (..., K).
    """
    k = constant(range, 1, n_radial + 1, like=r)
    wave = k * (math.pi / cutoff)
    f_c = CUTOFFS["polynomial"]
    envelope = math.sqrt(2 / cutoff) * f_c.value(r, cutoff) / r
    envelope_slope = (math.sqrt(2 / cutoff) * f_c.derivative(r, cutoff) - envelope) / r
    sine, cosine = torch.sin(wave * r) / k, torch.cos(wave * r) * (math.pi / cutoff)
    return sine * envelope, cosine * envelope + sine * envelope_slope


def gaussian_basis(x: Tensor, centers: Tensor, gamma: Tensor) -> Tensor:
    """Return Gaussian radial basis functions φ_k(x) = exp(−γ_k |x − c_k|²).

    Args:
        x: Points, shape (n, n_in).
        centers: Centres c, shape (K, n_in).
        gamma: Inverse squared widths γ, shape (K,).

    Returns:
        φ, shape (n, K).
    """
    return _GaussianBasis.apply(x, centers, gamma)  # type: ignore[no-any-return]


class _GaussianBasis(torch.autograd.Function):
    # φ_nk = exp(−γ_k d_nk),   d_nk = |x_n − c_k|²;   with s = φ̄ φ:
    # x̄_n = −2 Σ_k s_nk γ_k (x_n − c_k),   c̄_k = 2 γ_k Σ_n s_nk (x_n − c_k),   γ̄_k = −Σ_n s_nk d_nk
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, centers: Tensor, gamma: Tensor) -> Tensor:
        difference = x.unsqueeze(dim=1) - centers  # (n, K, n_in)
        return torch.exp(-gamma * (difference * difference).sum(dim=-1))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs, output)

    @staticmethod
    def backward(ctx: Any, phi_bar: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, centers, gamma, phi = ctx.saved_tensors
        difference = x.unsqueeze(dim=1) - centers  # (n, K, n_in)
        s = phi_bar * phi  # (n, K)
        pull = 2 * (s * gamma).unsqueeze(dim=-1) * difference  # (n, K, n_in)
        gamma_bar = -(s * (difference * difference).sum(dim=-1)).sum(dim=0)
        return -pull.sum(dim=1), pull.sum(dim=0), gamma_bar
