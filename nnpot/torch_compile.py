"""Trace a function together with the derivative that autograd takes of it, and compile both as one graph.

`make_fx` records what autograd does, as plain tensor operations with symbolic sizes; `torch.compile` then fuses them.
The derivative of this graph, which the force loss needs, is an ordinary first derivative to the compiler.
"""

import logging
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from nnpot.machine.build import complaint

log = logging.getLogger("nnpot")

Outputs = tuple[Tensor, Tensor]

Compilation = Literal["auto", "on", "off"]
"""Whether to compile: at once, never, or if there is enough to calculate."""

WORTH_COMPILING_FROM = 3_000_000
"""Number of atom evaluations above which compiling (about half a minute) costs less than it saves."""


def worth_compiling(compile: Compilation, n_atoms: int) -> bool:
    """Return whether to compile where energies and forces of so many atoms, all steps counted, are calculated."""
    return compile == "on" or (compile == "auto" and n_atoms > WORTH_COMPILING_FROM)


class CompiledGraph:
    """A module from tensors to two tensors, one of which may be a derivative, compiled at its first call.

    Sizes may change from call to call without compiling again.  The first result and its derivative with respect to
    parameters and inputs are compared with those of the module itself.  Where nothing can be compiled (no C++ compiler,
    say) the module is called, and the log says so once.

    Args:
        module: What is to be compiled; its parameters stay its own.
        tolerance: Largest difference, relative to the norm, between compiled and plain results.
    """

    def __init__(self, module: nn.Module, tolerance: float = 1e-4) -> None:
        self.module, self.tolerance = module, tolerance
        self.compiled: Callable[..., Any] | None = None
        self.refused = False

    def __call__(self, inputs: Sequence[Tensor], example: Callable[[], Sequence[Tensor]]) -> Outputs:
        """Return what the module makes of the inputs.

        Args:
            inputs: As the module takes them.
            example: Makes inputs to trace with, in which sizes are equal only where they must be.
        """
        if not self.refused and self.compiled is None:
            self._compile(inputs, example())
        if self.compiled is None:
            return self.module(*inputs)  # type: ignore[no-any-return]
        if all(x.is_leaf for x in inputs):
            return self.compiled(list(self.module.parameters()), *inputs)  # type: ignore[no-any-return]
        with warnings.catch_warnings(action="ignore"):  # the compiler looks at the gradient of inputs that have none
            return self.compiled(list(self.module.parameters()), *inputs)  # type: ignore[no-any-return]

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A copied module is not compiled again: copies serve to keep weights, not to calculate."""
        copy = type(self)(nn.Module(), self.tolerance)
        copy.refused = True
        return copy

    def __getstate__(self) -> dict[str, Any]:
        """Another process does not compile again either."""
        return {**self.__dict__, "compiled": None, "refused": True}

    def _compile(self, inputs: Sequence[Tensor], example: Sequence[Tensor]) -> None:
        names = [name for name, _ in self.module.named_parameters()]
        parameters = list(self.module.parameters())

        def function(parameters: Sequence[Tensor], *inputs: Tensor) -> Any:
            return torch.func.functional_call(self.module, dict(zip(names, parameters, strict=True)), inputs)

        inputs = [_with_short_history(x) for x in inputs]
        by = [*parameters, *(x for x in inputs if x.requires_grad)]
        wanted = self.module(*inputs)  # also fills the caches of constants, which must not happen while tracing
        try:
            with warnings.catch_warnings(action="ignore"):  # those of compilers are not for users
                traced = make_fx(function, tracing_mode="symbolic", _allow_non_fake_inputs=True)(parameters, *example)
                _reconnect(traced)
                compiled = torch.compile(traced, dynamic=True)
                outputs = compiled(parameters, *inputs)
                results = [*outputs, *_derivatives(outputs, by)]
            for ours, plain in zip(results, [*wanted, *_derivatives(wanted, by)], strict=True):
                if not torch.linalg.vector_norm(ours - plain) <= self.tolerance * torch.linalg.vector_norm(plain):
                    raise RuntimeError("the compiled graph gives other results")
        except Exception as error:
            log.warning("calculating without compilation, which is slower: %s", complaint(error))
            self.refused = True
        else:
            self.compiled = compiled


def _with_short_history(x: Tensor) -> Tensor:
    """Return a leaf as it is, else a copy whose history is one step: differentiating would use up its own."""
    return x if x.is_leaf else x.detach().requires_grad_(x.requires_grad).clone()


def _derivatives(outputs: Sequence[Tensor], by: Sequence[Tensor]) -> list[Tensor]:
    """Derivative of some function of the outputs with respect to parameters and inputs, if they have a history."""
    if not any(x.requires_grad for x in outputs):
        return []
    total = torch.stack([x.double().square().sum() for x in outputs]).sum()
    return list(torch.autograd.grad(total, by, allow_unused=True, materialize_grads=True))


def _reconnect(traced: torch.fx.GraphModule) -> None:
    """Take the `detach` out of a recorded derivative.

    Autograd hands a saved output to backward without its history and remembers the connection elsewhere; the record
    knows only the former, so that a derivative of the record would lack the terms through saved outputs.
    """
    for node in traced.graph.find_nodes(op="call_function", target=torch.ops.aten.detach.default):
        node.replace_all_uses_with(node.args[0])
        traced.graph.erase_node(node)
    traced.graph.eliminate_dead_code()
    traced.recompile()
