"""Several potentials as one: their mean, and how far they are apart, which tells where none of them can be trusted.

H. S. Seung, M. Opper, H. Sompolinsky, Proc. COLT 1992, 287; for potentials C. Schran, K. Brezina, O. Marsalek,
J. Chem. Phys. 153, 104105 (2020).
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from ase import Atoms
from torch import Tensor, nn

from nnpot.batch import Batch, Pairs
from nnpot.core import Core
from nnpot.functional.blocks import ElementBlocks
from nnpot.functional.networks import Networks, NetworksKernel
from nnpot.functional.tape import Sum, Tape, scaled, total
from nnpot.native import serves
from nnpot.neighbors import single_batch
from nnpot.network_potential import NeuralNetworkPotential
from nnpot.nn.outputs import network_outputs
from nnpot.nn.per_element import PerElement
from nnpot.nn.scaling import standardized
from nnpot.potential import CENTERS_AT_ONCE, Potential
from nnpot.prediction import Prediction
from nnpot.spread import Apart, SpreadFactors
from nnpot.spread import Spread as Spread
from nnpot.structure import Structure, as_structure
from nnpot.uncertainty import GRADE, with_core

Member = Potential | str | os.PathLike[str]
Reader = Callable[[str | os.PathLike[str]], Potential]

_ENERGIES, _GRADIENTS = "energies of members", "gradients of members"
"""Names of what each member says of atoms, shape (N, M), and of pairs, shape (P, M, 3)."""

_readers: list[Reader] = []
"""How a member given by a path is read: `nnpot.io`, which knows all formats, says so."""


def read_members_by(reader: Reader) -> None:
    """Let committees read members that are given by a path."""
    _readers[:] = [reader]


def read(path: str | os.PathLike[str]) -> Potential:
    """Read a member.

    Raises:
        TypeError: If it is no path, or `nnpot.io` has not been imported.
    """
    if not _readers or not isinstance(path, str | os.PathLike):
        raise TypeError(f"a member of a committee must be a potential or its file, got {path!r}")
    return _readers[0](path)


class Committee(Potential):
    """The mean of several potentials, say of the same training with different seeds.

    What their descriptors have in common before any trained parameter comes in is calculated once: with symmetry
    functions that is nearly everything.  Networks of identical architecture are evaluated at once, unless they were
    compiled each for itself.

    >>> from ase.build import bulk
    >>> from nnpot import ZBL, Committee
    >>> committee = Committee([ZBL(("Cu",)), ZBL(("Cu",), cutoff=2.5)])
    >>> print(f"{float(committee.spread(bulk('Cu', a=3.4)).energy):.2f} eV")
    0.04 eV

    As a calculator of ASE it leaves `energy_std`, `energies_std` and `forces_std` in the results.  Calibrated with
    structures that no member was trained on (:func:`nnpot.calibration.calibrated`, `nnpot calibrate`), it tells what
    any calibrated potential does: its spread, times a factor for each kind of error, and the mean γ of its members.

    Args:
        members: At least two potentials for the same elements, or whatever :func:`nnpot.load` reads: model files,
            folders of trainings.  A list of them, or the first.
        *more: The others, if there is no list.
        factors: How errors compare with the spread, if that is known; all members must be calibrated then.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If there are fewer than two, their elements differ, one is not calibrated where all must be, or a
            file cannot be read.
    """

    types_in_files = {"members": tuple[Potential, ...]}  # noqa: RUF012

    def __init__(self, members: Member | Sequence[Member], *more: Member, factors: SpreadFactors | None = None) -> None:
        super().__init__()
        first = [members] if isinstance(members, str | os.PathLike | Potential) else members
        known = tuple(m if isinstance(m, Potential) else read(m) for m in (*first, *more))
        self.arguments.pop("more", None)
        self.arguments["members"] = known  # what is in the files
        if len(known) < 2:
            raise ValueError(
                "a committee needs at least two potentials; one that was trained is read by nnpot.load(path)"
            )
        if len({m.elements for m in known}) > 1:
            elements = "; ".join(", ".join(m.elements) for m in known)
            raise ValueError(f"the potentials of a committee must have the same elements in one order, got {elements}")
        if factors is not None and not (all(m.is_calibrated for m in known) and factors.elements == known[0].elements):
            raise ValueError("not all members are calibrated: nnpot calibrate COMMITTEE DATA --train TRAIN does that")
        self.members, self.factors = nn.ModuleList(known), factors
        self.elements, self.cutoff = known[0].elements, max(m.cutoff for m in known)
        self.heads = tuple(name for name in known[0].heads if all(name in m.heads for m in known))

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[Potential]:
        return iter(self._members)

    def __getitem__(self, k: int) -> Potential:
        return self._members[k]

    def with_core(self, core: Core | None) -> "Committee":
        """As of every potential: all members have the same."""
        return Committee(tuple(m.with_core(core) for m in self._members), factors=self.factors).train(self.training)

    @property
    def is_calibrated(self) -> bool:
        """Whether it knows how large its errors are likely to be: what its members know of theirs does not do."""
        return self.factors is not None

    def bare(self) -> "Committee":
        """As of every potential."""
        return Committee(tuple(m.bare() for m in self._members)).train(self.training)

    def atomic_energies(self, pairs: Pairs) -> Tensor:
        """Return the mean, in eV, shape (N,)."""
        return torch.stack([m.atomic_energies(pairs) for m in self._members]).mean(dim=0)

    def record(self, tape: Tape, pairs: Pairs) -> dict[str, Sum]:
        """As of every potential: the steps of all members, and the means of what they give."""
        members = [
            {name: scaled(terms, 1 / len(self.members)) for name, terms in m.items()}
            for m in self._record_members(tape, pairs)
        ]
        return {name: tuple(term for m in members for term in m[name]) for name in ("energies", *self.heads)}

    def spread(self, structure: Structure | Atoms) -> Spread:
        """Return how far the members are apart for a structure (corrected for their small number)."""
        dtype, device = self.dtype_and_device()
        return self.mean_and_spread(single_batch(as_structure(structure), self.cutoff).to(device, dtype))[1]

    def mean_and_spread(self, batch: Batch) -> tuple[Prediction, Spread]:
        """Predict a batch of one structure, and how far the members are apart; results are detached."""
        with torch.no_grad():
            outputs, gradient = self._with_members(batch.pairs(self.elements))
            apart = Apart.of(batch, outputs[_ENERGIES], outputs[_GRADIENTS])
            prediction = self._prediction(batch, outputs, gradient, apart)
        return prediction, Spread(apart.energy[0], apart.energies, apart.forces)

    def evaluate_in_chunks(self, pairs: Pairs) -> tuple[dict[str, Tensor], Tensor]:
        """As of every potential; of each member where that is asked for, to know how far they are apart."""
        if not (self.is_calibrated and self.tells_unknown):
            return super().evaluate_in_chunks(pairs)
        with torch.no_grad():
            return self._with_members(pairs)

    def prediction_of(self, batch: Batch, outputs: Mapping[str, Tensor], gradient: Tensor) -> Prediction:
        """As of every potential."""
        if _ENERGIES not in outputs:
            return super().prediction_of(batch, {n: x for n, x in outputs.items() if n != GRADE}, gradient)
        return self._prediction(batch, outputs, gradient, Apart.of(batch, outputs[_ENERGIES], outputs[_GRADIENTS]))

    def _prediction(self, batch: Batch, outputs: Mapping[str, Tensor], gradient: Tensor, apart: Apart) -> Prediction:
        """The mean, and what is unknown of it as far as the outputs tell."""
        mean = super().prediction_of(batch, {name: outputs[name] for name in ("energies", *self.heads)}, gradient)
        if self.factors is None or GRADE not in outputs:
            return mean
        species = batch.pairs(self.elements).center_species
        return replace(mean, unknown=apart.unknown(self.factors, species, outputs[GRADE]))

    def _with_members(self, pairs: Pairs) -> tuple[dict[str, Tensor], Tensor]:
        """Means of atomic outputs and of ∂E/∂r_ij; among the former what each member says, some atoms at a time."""
        parts = [self._results_of_members(part) for part in pairs.chunks(CENTERS_AT_ONCE)]
        of_members = [_joined(member) for member in zip(*parts, strict=True)]
        known = [outputs[GRADE] for outputs, _ in of_members if GRADE in outputs]
        gradients = torch.stack([g for _, g in of_members], dim=1)
        outputs = {
            name: torch.stack([outputs[name] for outputs, _ in of_members]).mean(dim=0)
            for name in ("energies", *self.heads)
        }
        energies = torch.stack([outputs["energies"] for outputs, _ in of_members], dim=1)
        outputs |= {_ENERGIES: energies, _GRADIENTS: gradients}
        if self.is_calibrated and known:
            outputs[GRADE] = torch.stack(known).mean(dim=0)
        return outputs, gradients.mean(dim=1)

    def _results_of_members(self, pairs: Pairs) -> list[tuple[dict[str, Tensor], Tensor]]:
        """Atomic outputs by name, shape (N,), and ∂E/∂r_ij, shape (P, 3), of each member."""
        tape = Tape(pairs.r_ij, is_trained=False)
        return [tape.results(outputs) for outputs in self._record_members(tape, pairs)]

    @property
    def _members(self) -> list[Potential]:
        return [m for m in self.members if isinstance(m, Potential)]

    def _record_members(self, tape: Tape, pairs: Pairs) -> list[dict[str, Sum]]:
        alike = [m for m in self._members if isinstance(m, NeuralNetworkPotential)]
        if len(alike) == len(self.members) and all(m.has_plain_networks and not m.graphs for m in alike):
            arrays = [m.arrays for m in alike]
            if len({m.heads for m in alike}) == 1 and are_alike([one for of_member in arrays for one in of_member]):
                graded = self.is_calibrated and self.tells_unknown and not tape.is_trained
                return record_batched(alike, arrays, tape, pairs, graded=graded)
        return [m.record(tape, pairs) for m in self._members]


def _joined(parts: Sequence[tuple[dict[str, Tensor], Tensor]]) -> tuple[dict[str, Tensor], Tensor]:
    """Put together what a member gives for some atoms at a time."""
    outputs, gradients = zip(*parts, strict=True)
    return {name: torch.cat([part[name] for part in outputs]) for name in outputs[0]}, torch.cat(gradients)


def are_alike(networks: Sequence[Networks]) -> bool:
    """Whether networks have the same layers, so that they can be evaluated in one batch."""
    return all(one.architecture == networks[0].architecture for one in networks)


def record_batched(
    potentials: Sequence[NeuralNetworkPotential],
    arrays: Sequence[Sequence[Networks]],
    tape: Tape,
    pairs: Pairs,
    *,
    graded: bool = False,
) -> list[dict[str, Sum]]:
    """Record the networks of several potentials, those of their heads too, as one step: one product per layer.

    Args:
        potentials: With the same heads.
        arrays: The networks of each, all of one architecture.
        tape: Where to.
        pairs: Ordered pairs within at least the cutoffs.
        graded: Whether γ is to be among what is recorded of each: all know it.
    """
    cores = [p.record_core(tape, pairs) for p in potentials]
    recorded = [p.record_features(*core[:2]) for p, core in zip(potentials, cores, strict=True)]
    values, stages = zip(*recorded, strict=True)
    flat, names = [one for of_member in arrays for one in of_member], ("energies", *potentials[0].heads)
    kernel = None
    if all(stage == "features" for stage in stages):
        of_each = [value for value in values for _ in names]
        with_hidden = graded and serves("uncertainty", values[0].tensor)
        kernel = NetworksKernel.of(
            [value.tensor for value in of_each], pairs.center_species, flat, with_hidden=with_hidden
        )

    def outputs(*x: Tensor) -> list[Tensor]:
        blocks = ElementBlocks.of_centers(pairs, len(potentials[0].elements), x[0].dtype)
        features = [
            p.descriptor.features_of(x_m, blocks) if stage == "values" else x_m
            for p, x_m, stage in zip(potentials, x, stages, strict=True)
        ]
        return _outputs(potentials, flat, features, pairs.center_species, blocks)

    if kernel is not None:
        made = tape.add(kernel, *of_each)
    else:
        made = tape.autograd(outputs, values, (w for p in potentials for w in p.parameters()))
    rest = iter(made)
    members: list[dict[str, Sum]] = [{name: ((1.0, next(rest)),) for name in names} for _ in potentials]
    for k, (p, value, core, stage) in enumerate(zip(potentials, values, cores, stages, strict=True)):
        _, seen, repulsion = core
        if graded:
            hidden = kernel and kernel.hidden_of(k * len(names))
            grade = p.unknown_of(tape, value, seen, stage, hidden)[GRADE]
            members[k][GRADE] = tape.beside(with_core(grade, total(repulsion), tape.asked) if repulsion else grade)
        members[k]["energies"] += repulsion
    return members


def _outputs(
    potentials: Sequence[NeuralNetworkPotential],
    arrays: Sequence[Networks],
    features: Sequence[Tensor],
    species: Tensor,
    blocks: ElementBlocks,
) -> list[Tensor]:
    """Atomic energies, then what heads have to say, of each potential, shape (N,), from its features, shape (N, D).

    Network s of the m-th set becomes network m S + s of one, for M N atoms.
    """
    n, n_elements, terms = species.shape[0], len(potentials[0].elements), [p.network_terms for p in potentials]
    all_species = torch.cat([species + m * n_elements for m in range(len(arrays))])
    mean, scale = (torch.cat([getattr(one, name) for one in arrays]) for name in ("mean", "scale"))
    repeated = torch.cat([x for x, of_member in zip(features, terms, strict=True) for _ in of_member])
    x = standardized(repeated, mean, scale, all_species)
    networks = PerElement(network for of_member in terms for part, _ in of_member for network in part)
    linear = PerElement(term for of_member in terms for _, part in of_member for term in part)
    outputs = network_outputs(networks, linear, x, blocks.repeated(len(arrays))).split(n)
    return [
        one.offset.index_select(0, species) + one.factor * h.double() for one, h in zip(arrays, outputs, strict=True)
    ]
