"""Pairs of atoms, and batches of structures with their neighbour pairs and labels."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self, TypeVar

import torch
from ase.data import atomic_numbers, chemical_symbols
from torch import Tensor

from nnpot.labels import LABELS
from nnpot.prepared import Arrangement, CachedFeatures, Prepared, join_indices
from nnpot.structure import Structure

Made = TypeVar("Made")


def species_index(numbers: Tensor, elements: Sequence[str]) -> Tensor:
    """Return the position of each atom's element among the elements of a model, shape (N,).

    Raises:
        ValueError: If an atom is of another element, which is named with the elements; or the model has none yet.
    """
    if not elements:
        raise ValueError("the model has no elements yet: train it, or take potential.fitted(structures)")
    lookup = torch.full((len(chemical_symbols),), -1, dtype=torch.int64)
    for k, element in enumerate(elements):
        lookup[atomic_numbers[element]] = k
    inside = numbers.clamp(0, len(lookup) - 1)
    species = lookup.to(numbers.device)[inside].masked_fill(inside != numbers, -1)
    if bool((species < 0).any()):
        atom = int((species < 0).nonzero()[0])
        number = int(numbers[atom])
        kind = chemical_symbols[number] if 0 <= number < len(chemical_symbols) else f"of atomic number {number}"
        raise ValueError(
            f"atom {atom} is {kind}, but the model knows only {', '.join(elements)}; "
            "train a model with this element or remove the atom"
        )
    return species


def require_elements(structures: Iterable[Structure], elements: Sequence[str]) -> None:
    """Check that a model of these elements knows those of all structures.

    Raises:
        ValueError: If it does not; it names the structure.
    """
    for structure in structures:
        try:
            species_index(structure.numbers, elements)
        except ValueError as error:
            raise ValueError(f"{structure.name}: {error}") from error


@dataclass(frozen=True, eq=False)
class Pairs:
    """All that a descriptor or a potential may see of a structure: ordered pairs of atoms.

    Not every atom that is a neighbour need be a centre: the ghost atoms of parallel MD are not.

    Attributes:
        r_ij: Vectors from centre to neighbour, in Å, shape (P, 3).
        pair_i: Centre of each pair, shape (P,), in 0 … N−1.
        pair_j: Neighbour of each pair, shape (P,), in 0 … N'−1.
        species: Index of each atom's element among the elements of the model, shape (N',).
        centers: The same of each centre, shape (N,); None if the atoms are the centres.
        assume_sorted: Whether the pairs are known to be sorted by centre.
        kept: Features of a fixed descriptor for these atoms and their derivatives, if calculated before.
        origin: The same pairs as a model of other elements sees them, whose tables serve here too.
        cache: What :meth:`cached` has made of these pairs; a copy by `dataclasses.replace` starts without.
    """

    r_ij: Tensor
    pair_i: Tensor
    pair_j: Tensor
    species: Tensor
    centers: Tensor | None = None
    assume_sorted: bool = False
    kept: "CachedFeatures | None" = None
    origin: "Origin | None" = None
    cache: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    def cached(self, key: Hashable, make: Callable[[], Made]) -> Made:
        """Return the object cached under `key`, creating it on first use.

        Use it for everything whose size depends on the geometry (neighbour tables, atoms by element): traced graphs
        take these as inputs (`engines/torchscript.py`).
        """
        if key not in self.cache:
            self.cache[key] = make()
        return self.cache[key]  # type: ignore[no-any-return]

    @property
    def center_species(self) -> Tensor:
        """Element index of each centre, shape (N,)."""
        return self.species if self.centers is None else self.centers

    @property
    def is_sorted(self) -> bool:
        """Whether the pairs of a centre stand together, in the order of the centres."""
        return self.assume_sorted or self.cached("is_sorted", lambda: bool((self.pair_i[1:] >= self.pair_i[:-1]).all()))

    def by_center(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return pairs that are sorted by centre as kernels take them.

        Returns:
            r_ij; the place of the first pair of each centre and behind them the number of pairs, shape (N + 1,);
            pair_j; species.
        """
        n = self.center_species.shape[0]
        pair_i = self.pair_i.contiguous()
        starts = self.cached("starts", lambda: torch.searchsorted(pair_i, torch.arange(n + 1, device=pair_i.device)))
        return self.r_ij.contiguous(), starts, self.pair_j.contiguous(), self.species.contiguous()

    def with_vectors(self, r_ij: Tensor) -> "Pairs":
        """Return the same pairs with vectors that are equal but have another history: what was made of them holds."""
        pairs = replace(self, r_ij=r_ij)
        pairs.cache.update(self.cache)
        return pairs

    def stretched(self, r_ij: Tensor, n_elements: int) -> "Pairs":
        """Return the same pairs with vectors none of which is shorter: the tables of these serve there too."""
        pairs = replace(self, r_ij=r_ij, kept=None, origin=Origin(self, tuple(range(n_elements))))
        pairs.cache.update(self.cache)
        return pairs

    def check(self) -> None:
        """Complain about what is no list of pairs; compiled code looks for itself.

        Numbers are looked at on the CPU alone: another device would have to be waited for.

        Raises:
            ValueError: If an index is not int64 or out of range, lengths do not agree, or a vector is not finite.
        """
        indices = {"pair_i": self.pair_i, "pair_j": self.pair_j, "species": self.species}
        if self.centers is not None:
            indices["centers"] = self.centers
        for name, index in indices.items():
            if index.dtype != torch.int64:
                raise ValueError(f"{name} must be int64, got {index.dtype}")
        lengths = len(self.r_ij), len(self.pair_i), len(self.pair_j)
        if len(set(lengths)) > 1:
            raise ValueError(f"r_ij, pair_i and pair_j must be of one length, got {lengths}")
        if not self.r_ij.is_cpu:
            return
        limits = {"pair_i": len(self.center_species), "pair_j": len(self.species)}
        for name, limit in limits.items():
            if bool(((indices[name] < 0) | (indices[name] >= limit)).any()):
                raise ValueError(f"{name} must be one of the {limit} atoms")
        if bool((self.species < 0).any() | (self.center_species < 0).any()):
            raise ValueError("the index of an element must not be negative")
        if not bool(torch.isfinite(self.r_ij).all()):
            raise ValueError("a pair vector r_ij is infinite or not a number")

    def chunks(self, size: int) -> Iterator["Pairs"]:
        """Yield the pairs in order, up to `size` centres at a time; all at once unless they are sorted by centre."""
        n = len(self.center_species)
        if n <= size or not self.is_sorted:
            yield self
            return
        for start, first, end in self.cached(("bounds", size), lambda: self.bounds(size)):
            chunk = Pairs(
                self.r_ij[first:end],
                self.pair_i[first:end] - start,
                self.pair_j[first:end],
                self.species,
                self.center_species[start : start + size],
                assume_sorted=True,
            )
            known = self.cache.get(("chunk", start))
            chunk.cache.update({} if known is None else known.cache)
            yield chunk

    def bounds(self, size: int) -> list[tuple[int, int, int]]:
        """Return for each chunk its first centre, its first pair and the pair behind its last."""
        starts = torch.arange(0, len(self.center_species), size, device=self.pair_i.device)
        ends = [*torch.searchsorted(self.pair_i, starts).tolist(), len(self.pair_i)]
        return list(zip(starts.tolist(), ends, ends[1:], strict=False))


@dataclass(frozen=True, eq=False)
class Origin:
    """Pairs from which others differ in the numbers of the elements, or in vectors that are longer, alone.

    Attributes:
        pairs: These pairs.
        places: For each element, by its number in them, the number in the others.
    """

    pairs: Pairs
    places: tuple[int, ...]

    @property
    def keeps_order(self) -> bool:
        """Whether the numbers of the elements are the same."""
        return self.places == tuple(range(len(self.places)))

    def number_of(self, element: int) -> int:
        """Return the number here of an element of the others; if it has none, a number that is no atom's."""
        return self.places.index(element) if element in self.places else len(self.places)


@dataclass(frozen=True, eq=False)
class Batch:
    """Structures side by side as one disconnected graph, with their neighbour pairs and labels.

    ============  =========  ============================================================  ======
    attribute     shape      meaning                                                       unit
    ============  =========  ============================================================  ======
    numbers       (N,)       atomic numbers
    positions     (N, 3)     Cartesian positions                                           Å
    r_ij          (P, 3)     vectors from centre to neighbour                              Å
    pair_i        (P,)       centre of each pair
    pair_j        (P,)       neighbour of each pair
    structure_of  (N,)       structure that each atom belongs to
    n_atoms       (B,)       atoms per structure
    volumes       (B,)       cell volume, NaN where a stress is not defined                Å³
    periodic      (B,)       whether any direction is periodic
    charge        (B,)       of the whole structure                                        e
    labels                   those that some structure has, by name, (B, ...) or (N, ...);
                             NaN where missing; the energy in float64
    weights       (B, L)     of each label in the loss, in the order of `LABELS`, or None
                             where all are 1
    names         (B,)       where each structure comes from, for messages; empty if unknown
    cached                   features and derivatives of a fixed descriptor, or None
    arrangement              where atoms and pairs stand in tables, or None
    prepared                 element indices and tables made beforehand, or None
    ============  =========  ============================================================  ======
    """

    numbers: Tensor
    positions: Tensor
    r_ij: Tensor
    pair_i: Tensor
    pair_j: Tensor
    structure_of: Tensor
    n_atoms: Tensor
    volumes: Tensor
    periodic: Tensor
    charge: Tensor
    labels: Mapping[str, Tensor] = field(default_factory=dict)
    weights: Tensor | None = None
    names: tuple[str, ...] = ()
    cached: CachedFeatures | None = None
    arrangement: Arrangement | None = None
    prepared: Prepared | None = None

    def __new__(cls, *given: Any, **named: Any) -> Self:
        """Make an empty one; where something is missing say how several structures are predicted.

        Raises:
            TypeError: If less than all tensors are given.
        """
        if 0 < len(given) + len(named) < 10:
            raise TypeError(
                "a nnpot.Batch holds tensors, pairs among them; structures are predicted by potential.predict([a, b])"
            )
        return super().__new__(cls)

    @property
    def energy(self) -> Tensor:
        """Energies in eV, shape (B,), if some structure has one."""
        return self.labels["energy"]

    @property
    def forces(self) -> Tensor:
        """Forces in eV/Å, shape (N, 3), if some structure has them."""
        return self.labels["forces"]

    @property
    def stress(self) -> Tensor:
        """Stresses in eV/Å³, shape (B, 6), if some structure has one."""
        return self.labels["stress"]

    @property
    def n_structures(self) -> int:
        """Number of structures B."""
        return len(self.n_atoms)

    def pairs(self, elements: Sequence[str]) -> Pairs:
        """Return what a model of these elements may see of it.

        Raises:
            ValueError: If an atom is of another element.
        """
        known = self.prepared
        if known is None or known.elements != tuple(elements):
            return Pairs(self.r_ij, self.pair_i, self.pair_j, species_index(self.numbers, elements), kept=self.cached)
        pairs = Pairs(self.r_ij, self.pair_i, self.pair_j, known.species, assume_sorted=True, kept=self.cached)
        pairs.cache.update(known.cache)
        return pairs

    @classmethod
    def of_structure(cls, structure: Structure, r_ij: Tensor, pair_i: Tensor, pair_j: Tensor) -> Self:
        """Make a batch of one structure from its neighbour pairs (shapes (P, 3), (P,), (P,))."""
        n, float64 = len(structure), torch.float64
        volume = float("nan") if structure.volume is None else structure.volume
        weights = [structure.weights.get(name, 1.0) for name in LABELS]
        return cls(
            numbers=structure.numbers,
            positions=structure.positions,
            r_ij=r_ij,
            pair_i=pair_i,
            pair_j=pair_j,
            structure_of=torch.zeros(n, dtype=torch.int64),
            n_atoms=torch.tensor([n]),
            volumes=torch.tensor([volume], dtype=float64),
            periodic=torch.tensor([any(structure.pbc)]),
            charge=torch.tensor([structure.charge], dtype=float64),
            labels={
                name: value if LABELS[name].per == "atom" else value.unsqueeze(dim=0)
                for name, value in structure.labels.items()
            },
            weights=torch.tensor([weights], dtype=float64) if structure.weights else None,
            names=(structure.name,),
        )

    @classmethod
    def join(cls, batches: Sequence["Batch"]) -> Self:
        """Put batches one after the other into one.

        Raises:
            ValueError: If there is none.
        """
        if not batches:
            raise ValueError("a batch needs at least one structure")
        if not all(isinstance(b, Batch) for b in batches):
            raise TypeError("Batch.join takes batches; of several structures potential.predict([a, b]) makes one each")
        n_atoms = [len(b.numbers) for b in batches]
        indices: dict[str, Any] = {
            "pair_i": join_indices([b.pair_i for b in batches], n_atoms),
            "pair_j": join_indices([b.pair_j for b in batches], n_atoms),
            "structure_of": join_indices([b.structure_of for b in batches], [b.n_structures for b in batches]),
        }
        others = [f.name for f in fields(cls) if f.name not in {*indices, *_NO_TENSORS}]
        values: dict[str, Any] = {name: torch.cat([getattr(b, name) for b in batches]) for name in others}
        known = [name for name in LABELS if any(name in b.labels for b in batches)]
        names = tuple(name for b in batches for name in b.names)
        caches = [b.cached for b in batches if b.cached is not None]
        places = [b.arrangement for b in batches if b.arrangement is not None]
        cached = CachedFeatures.join(caches) if len(caches) == len(batches) else None
        return cls(
            **values,
            **indices,
            labels={name: torch.cat([b.label(name) for b in batches]) for name in known},
            weights=_joined_weights(batches),
            names=names,
            cached=cached,
            arrangement=Arrangement.join(places) if len(places) == len(batches) else None,
        )

    def label(self, name: str) -> Tensor:
        """Return the label of each structure, shape (B, ...), or of each atom, shape (N, ...); NaN where missing."""
        if name in self.labels:
            return self.labels[name]
        row = LABELS[name]
        n = len(self.numbers) if row.per == "atom" else self.n_structures
        dtype = torch.float64 if name == "energy" else self.r_ij.dtype
        return torch.full((n, *row.shape), torch.nan, dtype=dtype, device=self.r_ij.device)

    def check(self) -> None:
        """Complain about pairs that are none, or atoms of no structure, with a ValueError."""
        Pairs(self.r_ij, self.pair_i, self.pair_j, self.numbers.long()).check()
        of = self.structure_of
        if of.shape != self.numbers.shape or bool(((of < 0) | (of >= self.n_structures)).any()):
            raise ValueError(f"structure_of must give one of the {self.n_structures} structures for each atom")

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "Batch":
        """Move to a device, checked if it leaves the CPU; the floating-point parts but the energy also to a dtype."""
        if self.prepared is None and self.r_ij.is_cpu and device is not None and torch.device(device).type != "cpu":
            self.check()
        tensors = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _NO_TENSORS}
        moved: dict[str, Any] = {
            name: v.to(device, dtype if v.is_floating_point() else None) for name, v in tensors.items()
        }
        return replace(
            self,
            **moved,
            labels={n: v.to(device, v.dtype if n == "energy" else dtype) for n, v in self.labels.items()},
            weights=None if self.weights is None else self.weights.to(device, dtype),
            cached=None if self.cached is None else self.cached.to(device, dtype),
            prepared=None if self.prepared is None else self.prepared.to(device, dtype),
        )


_NO_TENSORS = {"labels", "weights", "names", "cached", "arrangement", "prepared"}
"""Fields of a batch that are not a tensor in every batch."""


def _joined_weights(batches: Sequence[Batch]) -> Tensor | None:
    """Weights of several batches, 1 for those that have none."""
    if all(b.weights is None for b in batches):
        return None
    ones = [b.volumes.new_ones(b.n_structures, len(LABELS)) for b in batches]
    return torch.cat([one if b.weights is None else b.weights for one, b in zip(ones, batches, strict=True)])
