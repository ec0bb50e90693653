"""The SOAP optimiser: Adam in the eigenbasis of Shampoo's preconditioner (N. Vyas et al., arXiv:2409.11321)."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class SOAP(torch.optim.Optimizer):
    r"""Adam, not on the entries of a weight matrix W, but in the coordinates in which its gradients are uncorrelated.

    With the gradient Ḡ of a matrix (a, b), averages L of Ḡ Ḡᵀ and R of Ḡᵀ Ḡ and their eigenvectors Q_L and Q_R,

        Ĝ = Q_Lᵀ Ḡ Q_R,   M ← β₁ M + (1 − β₁) Ĝ,   V ← β₂ V + (1 − β₂) Ĝ²,
        W ← W − γ Q_L [ M / (√V + ε) ] Q_Rᵀ      (averages corrected for their start from zero)

    Every `precondition_frequency` steps, later up to four times less often, the eigenvectors are refined by one step of
    orthogonal iteration, and M follows them.  A loss of forces is far better conditioned in these coordinates: on small
    molecules it falls to the same value in a tenth of the epochs.

    A parameter of more than two dimensions is a stack of matrices.  Parameters of one shape are stacked as well and
    share the batched matrix products, so that a network per element costs little more than one network.

    Args:
        params: Parameters, or groups of them as in any PyTorch optimiser.
        lr: γ.
        betas: β₁ and β₂.
        shampoo_beta: Decay of the averages L and R.
        eps: ε.
        weight_decay: Decoupled weight decay, as in AdamW.
        precondition_frequency: Smallest number of steps between refinements of the eigenvectors; a hundredth of the
            steps so far, up to four times that number: the later, the less they change.
        max_precond_dim: Longest side of a matrix that gets eigenvectors; along a longer one the coordinates stay.

    Raises:
        ValueError: If a value is out of range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 3e-3,
        betas: tuple[float, float] = (0.95, 0.99),
        shampoo_beta: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        precondition_frequency: int = 25,
        max_precond_dim: int = 1024,
    ) -> None:
        decays = (*betas, shampoo_beta)
        if not (lr > 0 and all(0 <= b < 1 for b in decays) and eps > 0 and weight_decay >= 0):
            raise ValueError("lr and eps must be positive, betas and shampoo_beta in [0, 1), weight_decay not negative")
        if precondition_frequency < 1:
            raise ValueError(f"precondition_frequency must be positive, got {precondition_frequency}")
        defaults = {"lr": lr, "betas": betas, "shampoo_beta": shampoo_beta, "eps": eps, "weight_decay": weight_decay}
        dims = {"precondition_frequency": precondition_frequency, "max_precond_dim": max_precond_dim}
        super().__init__(params, {**defaults, **dims})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step; `closure` evaluates the loss again and is called first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            by_shape: dict[tuple[int, ...], list[Tensor]] = {}
            for p in group["params"]:
                if p.grad is not None and p.numel() > 0:
                    by_shape.setdefault(tuple(p.shape), []).append(p)
            for parameters in by_shape.values():
                self._update(parameters, group)
        return loss

    def _update(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """Step for parameters of one shape; their common state belongs to the first of them."""
        first = parameters[0]
        shape = (-1, *first.shape[-2:]) if first.ndim >= 2 else (1, 1, first.numel())
        gradient = torch.cat([p.grad.reshape(shape) for p in parameters])  # type: ignore[union-attr]
        state = self.state[first]
        if not state:
            state.update(_initial_state(gradient, group["max_precond_dim"]))
        state["step"] += 1
        t, (beta_1, beta_2) = int(state["step"]), group["betas"]
        left, right = state.get("left_basis"), state.get("right_basis")
        rotated = _to_eigenbasis(gradient, left, right)
        state["mean"].lerp_(rotated, 1 - beta_1)
        state["square"].mul_(beta_2).addcmul_(rotated, rotated, value=1 - beta_2)
        scale = (state["square"] / (1 - beta_2**t)).sqrt_().add_(group["eps"]).mul_(1 - beta_1**t)
        update = _from_eigenbasis(state["mean"] / scale, left, right)
        for p, change in zip(parameters, update.split(len(update) // len(parameters)), strict=True):
            p.mul_(1 - group["lr"] * group["weight_decay"]).add_(change.view_as(p), alpha=-group["lr"])
        beta = group["shampoo_beta"]
        if "left" in state:
            state["left"].baddbmm_(gradient, gradient.mT, beta=beta, alpha=1 - beta)
        if "right" in state:
            state["right"].baddbmm_(gradient.mT, gradient, beta=beta, alpha=1 - beta)
        frequency = group["precondition_frequency"]
        if t % min(max(t // 100, frequency), 4 * frequency) == 0:
            _refine(state)


def _initial_state(gradient: Tensor, max_dim: int) -> dict[str, Tensor]:
    """Zero averages, and the eigenvectors of the first gradient."""
    state = {
        "step": torch.zeros((), dtype=torch.int64),
        "mean": torch.zeros_like(gradient),
        "square": torch.zeros_like(gradient),
    }
    for side, product in (("left", gradient @ gradient.mT), ("right", gradient.mT @ gradient)):
        if 1 < product.shape[-1] <= max_dim:
            basis = torch.linalg.eigh(product.double())[1].flip(-1).to(gradient.dtype)
            state |= {side: torch.zeros_like(product), f"{side}_basis": basis}
    return state


def _to_eigenbasis(x: Tensor, left: Tensor | None, right: Tensor | None) -> Tensor:
    x = x if left is None else left.mT @ x
    return x if right is None else x @ right


def _from_eigenbasis(x: Tensor, left: Tensor | None, right: Tensor | None) -> Tensor:
    x = x if left is None else left @ x
    return x if right is None else x @ right.mT


def _refine(state: dict[str, Tensor]) -> None:
    """One step of orthogonal iteration, eigenvectors in falling order of their eigenvalues."""
    mean = _from_eigenbasis(state["mean"], state.get("left_basis"), state.get("right_basis"))
    for side, dim in (("left", -2), ("right", -1)):
        if f"{side}_basis" not in state:
            continue
        basis = state[f"{side}_basis"]
        image = state[side] @ basis
        order = (basis * image).sum(dim=-2).argsort(dim=-1, descending=True, stable=True)
        along = order.unsqueeze(dim=-1 if dim == -2 else -2)
        state["square"] = torch.take_along_dim(state["square"], along, dim=dim)
        image = torch.take_along_dim(image, order.unsqueeze(dim=-2), dim=-1)
        state[f"{side}_basis"] = torch.linalg.qr(image)[0]
    state["mean"] = _to_eigenbasis(mean, state.get("left_basis"), state.get("right_basis"))
