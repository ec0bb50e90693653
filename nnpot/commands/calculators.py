"""Calculators of ASE by the import path of their class, as options name them."""

import importlib

from ase.calculators.calculator import BaseCalculator


def calculator_of(path: str, option: str) -> BaseCalculator:
    """Return a calculator.

    Args:
        path: Import path of a class or function that makes one without arguments, `ase.calculators.emt.EMT`; a colon
            may stand before the name.
        option: That gives it, for the message.

    Raises:
        ValueError: If there is none, or it makes something else.
    """
    module, _, name = path.replace(":", ".").rpartition(".")
    try:
        if not module:
            raise ValueError("no module is named")
        calculator: BaseCalculator = getattr(importlib.import_module(module), name)()
        if not isinstance(calculator, BaseCalculator):
            raise TypeError(f"it makes a {type(calculator).__name__}")
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{option} must be the import path of a class or function that makes an ASE "
            f"calculator without arguments, such as ase.calculators.emt.EMT; {path!r} fails: "
            f"{error}"
        ) from error
    return calculator
