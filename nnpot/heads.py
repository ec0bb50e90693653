"""Heads: what a potential predicts besides the energy, from one more number for each atom.

A potential with heads (`NeuralNetworkPotential`) has further networks on the same features for each of them.  What they
give for an atom is no label yet: here it becomes one, by operations that see whole structures.  A new head is a
function and a line in :data:`HEADS`.

All of them are linear in what the networks give, so that the labels of a committee are the mean of those of its
members.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nnpot.batch import Batch
from nnpot.functional.segment import segment_sum
from nnpot.labels import LABELS
from nnpot.nn.layers import Affine
from nnpot.nn.per_element import PerElement
from nnpot.structure import Structure

log = logging.getLogger("nnpot")


@dataclass(frozen=True)
class Head:
    """What becomes of one number for each atom.

    Attributes:
        labels: Names of the labels that it predicts (:data:`nnpot.labels.LABELS`).
        predict: These labels, from the numbers, shape (N,), and the batch.
    """

    labels: tuple[str, ...]
    predict: Callable[[Tensor, Batch], dict[str, Tensor]]


def charges_and_dipole(raw: Tensor, batch: Batch) -> dict[str, Tensor]:
    r"""Return charges that add up to that of the structure, and the dipole of molecules.

        q_i = x_i + (Q − Σ_j x_j) / N,   μ = Σ_i q_i r_i

    The dipole of a charged molecule depends on the origin: here, as in ASE, it is that of the coordinates, so that
    moving the molecule by t adds Q t.  A periodic structure has no dipole: it would depend on which image of an atom is
    taken.

    Args:
        raw: x, in e, shape (N,).
        batch: Its positions and the total charges Q count.

    Returns:
        `charges`, in e, shape (N,), and `dipole`, in e·Å, shape (B, 3), NaN for periodic structures.
    """
    missing = batch.charge.to(raw.dtype) - segment_sum(raw, batch.structure_of, batch.n_structures)
    charges = raw + (missing / batch.n_atoms).index_select(0, batch.structure_of)
    moments = charges.unsqueeze(dim=1) * batch.positions.to(raw.dtype)
    dipole = segment_sum(moments, batch.structure_of, batch.n_structures)
    return {"charges": charges, "dipole": torch.where(batch.periodic.unsqueeze(dim=1), torch.nan, dipole)}


HEADS = {"charges": Head(("charges", "dipole"), charges_and_dipole)}
"""Heads by the names that configurations and model files give them."""


CHARGE_TOLERANCE = 0.05
"""By how much, in e, charges that are labels may add up to something else than the total charge: they are rounded."""


def complaint_of_charges(structures: Sequence[Structure], option: str) -> str:
    """Return which charges do not add up to the total charge, as those that are predicted do; empty if all do.

    Args:
        structures: Some of them with charges, in e.
        option: By which the key of the total charge is given.
    """
    sums = [(s, float(s.labels["charges"].sum())) for s in structures if "charges" in s.labels]
    off = [(s, total) for s, total in sums if abs(total - s.charge) > CHARGE_TOLERANCE]
    if not off:
        return ""
    (first, total), names = off[0], ", ".join(s.name for s, _ in off[:3])
    others = f" and {len(off) - 3} more" if len(off) > 3 else ""
    return (
        f"{names}{others}: the charges do not add up to the total charge within {CHARGE_TOLERANCE} e, as predicted "
        f"ones do (in the first to {total:.3g} e instead of {first.charge:g} e); correct them, or name the key of "
        f"the total charge by {option}"
    )


def predictions(outputs: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
    """Return the labels that heads predict.

    Args:
        outputs: One number for each atom by the name of the head, shape (N,); other names are left out.
        batch: The structures.
    """
    labels: dict[str, Tensor] = {}
    for name in outputs.keys() & HEADS.keys():
        labels |= HEADS[name].predict(outputs[name], batch)
    return labels


def say_what_stays(predicted: Sequence[str], engine: str) -> None:
    """Say that an engine does not take what heads predict.

    Args:
        predicted: Names of all labels that a potential predicts.
        engine: What takes energies, forces and stress only.
    """
    left_out = [name for name in predicted if LABELS[name].has_head]
    if left_out:
        log.warning("%s takes only energies, forces and stress, without %s", engine, " and ".join(left_out))


class HeadNetworks(nn.Module):
    """The networks of a head, one for each element, and a linear term in the features that starts from 0.

    Args:
        n_in: Number of features.
        make: Makes a network.
        n_elements: Number of elements.
        linear: Whether there is the linear term.
    """

    def __init__(self, n_in: int, make: Callable[[], nn.Module], n_elements: int, *, linear: bool) -> None:
        super().__init__()
        self.networks = PerElement(make() for _ in range(n_elements))
        self.linear = PerElement(Affine(n_in, 1) for _ in range(n_elements if linear else 0))
        for weight in self.linear.parameters():
            torch.nn.init.zeros_(weight)


def check_heads(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of heads.

    Raises:
        ValueError: If one is not known or comes twice.
    """
    if set(names) - set(HEADS) or len(set(names)) < len(names):
        raise ValueError(f"heads must be some of {', '.join(HEADS)}, each once, got {', '.join(names)}")
    return tuple(names)
