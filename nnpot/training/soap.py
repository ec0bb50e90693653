"""SOAP: Adam in the eigenbasis of Shampoo's preconditioner (N. Vyas et al., ICLR 2025, arXiv:2409.11321)."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from nnpot.nn.mlp import MLP
from nnpot.training.options import OptimizerOptions


class SOAP(torch.optim.Optimizer):
    r"""Adam, not on the entries of a weight matrix W, but in the coordinates in which its gradients are uncorrelated.

    With the gradient Ḡ of a matrix (a, b), averages L of Ḡ Ḡᵀ and R of Ḡᵀ Ḡ and their eigenvectors Q_L and Q_R,

        Ĝ = Q_Lᵀ Ḡ Q_R,   M ← β₁ M + (1 − β₁) Ĝ,   V ← β₂ V + (1 − β₂) Ĝ²,
        W ← W − γ Q_L [ M / (√V + ε) ] Q_Rᵀ      (averages corrected for their start from zero)

    Every `every` steps, later up to four times less often, the eigenvectors are refined by one step of orthogonal
    iteration, and M follows them.  A loss of forces is far better conditioned in these coordinates: on small molecules
    it falls to the same value in a tenth of the epochs.

    A parameter of more than two dimensions is a stack of matrices.  Parameters of one shape are stacked as well and
    share the batched matrix products, so that a network per element costs little more than one network.

    Args:
        params: Parameters, or groups of them as in any PyTorch optimiser.
        lr: γ.
        betas: β₁ and β₂.
        memory: Decay of the averages L and R.
        eps: ε.
        weight_decay: Decoupled weight decay, as in AdamW.
        every: Least number of steps between refinements of the eigenvectors, a hundredth of all steps up to four times
            that: the later, the less they change.
        largest: No eigenvectors for a side longer than this (there the coordinates stay as they are).

    Raises:
        ValueError: If a value is out of range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 3e-3,
        betas: tuple[float, float] = (0.95, 0.99),
        memory: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        every: int = 25,
        largest: int = 1024,
    ) -> None:
        if not (lr > 0 and all(0 <= b < 1 for b in (*betas, memory)) and eps > 0 and weight_decay >= 0 and every >= 1):
            raise ValueError(
                "lr, eps and every must be positive, betas and memory in [0, 1), weight_decay not negative"
            )
        defaults = {"betas": betas, "memory": memory, "eps": eps, "weight_decay": weight_decay, "every": every}
        super().__init__(params, {"lr": lr, **defaults, "largest": largest})

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
            state.update(_initial_state(gradient, group["largest"]))
        state["step"] += 1
        t, (beta_1, beta_2) = int(state["step"]), group["betas"]
        left, right = state.get("left_basis"), state.get("right_basis")
        turned = _turn(gradient, left, right)
        state["mean"].lerp_(turned, 1 - beta_1)
        state["square"].mul_(beta_2).addcmul_(turned, turned, value=1 - beta_2)
        scale = (state["square"] / (1 - beta_2**t)).sqrt_().add_(group["eps"]).mul_(1 - beta_1**t)
        update = _turn_back(state["mean"] / scale, left, right)
        for p, change in zip(parameters, update.split(len(update) // len(parameters)), strict=True):
            p.mul_(1 - group["lr"] * group["weight_decay"]).add_(change.view_as(p), alpha=-group["lr"])
        memory = group["memory"]
        if "left" in state:
            state["left"].baddbmm_(gradient, gradient.mT, beta=memory, alpha=1 - memory)
        if "right" in state:
            state["right"].baddbmm_(gradient.mT, gradient, beta=memory, alpha=1 - memory)
        if t % min(max(t // 100, group["every"]), 4 * group["every"]) == 0:
            _refine(state)


def optimizer_of(options: OptimizerOptions, potential: nn.Module) -> torch.optim.Optimizer:
    """Return the optimiser of all parameters that options ask for.

    Only the weights of the networks decay: the linear term and the descriptor, which carry a potential beyond its
    training data, would give too low energies there.
    """
    decaying = {p for part in potential.modules() if isinstance(part, MLP) for p in part.parameters()}
    free = [p for p in potential.parameters() if p not in decaying]
    groups = [
        {"params": [p for p in potential.parameters() if p in decaying], "weight_decay": options.weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    used = [group for group in groups if group["params"]]
    return SOAP(used, lr=options.lr) if options.method == "soap" else torch.optim.AdamW(used, lr=options.lr)


def _initial_state(gradient: Tensor, largest: int) -> dict[str, Tensor]:
    """Zero averages, and the eigenvectors of the first gradient."""
    state = {
        "step": torch.zeros((), dtype=torch.int64),
        "mean": torch.zeros_like(gradient),
        "square": torch.zeros_like(gradient),
    }
    for side, product in (("left", gradient @ gradient.mT), ("right", gradient.mT @ gradient)):
        if 1 < product.shape[-1] <= largest:
            basis = torch.linalg.eigh(product.double())[1].flip(-1).to(gradient.dtype)
            state |= {side: torch.zeros_like(product), f"{side}_basis": basis}
    return state


def _turn(x: Tensor, left: Tensor | None, right: Tensor | None) -> Tensor:
    x = x if left is None else left.mT @ x
    return x if right is None else x @ right


def _turn_back(x: Tensor, left: Tensor | None, right: Tensor | None) -> Tensor:
    x = x if left is None else left @ x
    return x if right is None else x @ right.mT


def _refine(state: dict[str, Tensor]) -> None:
    """One step of orthogonal iteration, eigenvectors in falling order of their eigenvalues."""
    mean = _turn_back(state["mean"], state.get("left_basis"), state.get("right_basis"))
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
    state["mean"] = _turn(mean, state.get("left_basis"), state.get("right_basis"))
