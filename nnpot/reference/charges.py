"""Atomic charges and dipoles, and their derivatives."""

from collections.abc import Callable

from nnpot.reference.arrays import Floats

Pullback = Callable[[Floats, Floats], Floats]


def charges_and_dipole(x: Floats, positions: Floats, total: float) -> tuple[Floats, Floats, Pullback]:
    r"""Return charges that add up to the total charge, and the dipole about the origin of the coordinates.

        q_i = x_i + (Q − Σ_j x_j) / N,   μ_a = Σ_i q_i r_ia

    Args:
        x: What a network gives for each atom, in e, shape (N,).
        positions: In Å, shape (N, 3).
        total: Q, in e.

    Returns:
        q, shape (N,); μ, in e·Å, shape (3,); and the pullback, from q̄ (N,) and μ̄ (3,) to
        x̄_i = s_i − Σ_j s_j / N with s_i = q̄_i + Σ_a μ̄_a r_ia.
    """
    n = len(x)
    q = x + (total - x.sum()) / n

    def pullback(q_bar: Floats, mu_bar: Floats) -> Floats:
        s: Floats = q_bar + positions @ mu_bar
        x_bar: Floats = s - s.sum() / n
        return x_bar

    return q, q @ positions, pullback


def charges_loss_gradient(
    x: Floats, positions: Floats, total: float, labels: tuple[Floats, Floats], weights: tuple[float, float]
) -> Floats:
    """Return the gradient of w_q |q − q°|² / N + w_μ |μ − μ°|² / 3 with respect to x, shape (N,).

    Args:
        x: As above.
        positions: As above.
        total: As above.
        labels: q°, shape (N,), and μ°, shape (3,).
        weights: w_q and w_μ.
    """
    q, mu, pullback = charges_and_dipole(x, positions, total)
    (w_q, w_mu), (q_label, mu_label) = weights, labels
    return pullback(2 * w_q * (q - q_label) / len(x), 2 * w_mu * (mu - mu_label) / 3)
