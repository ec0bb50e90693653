"""Trainable atomic cluster expansion: R. Drautz, Phys. Rev. B 99, 014104 (2019).

Products are taken channel by channel, as in I. Batatia et al., NeurIPS 2022 (arXiv:2206.07697), by quadrature on the
sphere instead of a table of Gaunt coefficients (S. Luo et al., ICLR 2024, arXiv:2401.10216).
"""

import copy
from collections.abc import Sequence
from typing import Any, Literal

import torch
from ase import Atoms
from torch import Tensor, nn

from nnpot.batch import Pairs
from nnpot.descriptors.base import Descriptor
from nnpot.descriptors.neighborhood import Neighborhood
from nnpot.descriptors.reach import NEAREST, cutoff_of
from nnpot.descriptors.weighted_density import Sizes, WeightedDensities, WeightedDensity
from nnpot.elements import check_elements, elements_of
from nnpot.functional.blocks import ElementBlocks
from nnpot.functional.channels import channels as channels_of
from nnpot.functional.channels import repeated_for_m
from nnpot.functional.constants import constant
from nnpot.functional.density import Basis, DensityTables, density, density_kernel
from nnpot.functional.harmonics import MAX_DEGREE, mean_over_m, product
from nnpot.functional.invariants import Invariants
from nnpot.functional.linear import Fixed
from nnpot.functional.tape import Tape, Value
from nnpot.neighbors import NeighborTable, check_cutoff, single_batch
from nnpot.structure import Structure, as_structures, subsample

FEW_ELEMENTS, MANY_ELEMENTS, LEARNED_CHANNELS = 3, 5, 4
WEIGHTED_CHANNELS_OF_MOLECULES, COST_OF_WEIGHTED_DENSITY = 16, 1 / 3
SIMPLE_MOLECULE = 3
"""Atoms of a molecule, at most, whose energy the body orders up to three give in full."""
MIXINGS = ("pair", "product", "product_pair")
"""U, V, U', by which body orders 3, 4, 5 multiply channels."""


_AXIS_OF_RADIAL = {"channel_weights": 2, "projection": 2, "hidden": 2, "input_scale": 1}
"""Axis of weights along which the functions (q, k) of element and distance come first, by the name of the weights."""


class ACE(Descriptor):
    r"""Invariants of the neighbour density up to body order 5, with trainable radial channels.

    For an atom i of element z, with neighbours j of elements s:

        A_q,k,lm  = Σ_j E_sq R_k(r_ij) Y_lm(r̂_ij) / √n̄                  density, R_k a radial basis
        B_c,lm    = Σ_q,k A_q,k,lm W^z_(l,qk),c                          channels
        T_c,LM    = Σ G^LM_(l1m1 l2m2) B_c,l1m1 (B V)_c,l2m2             product, G the Gaunt coefficients
        features  = B_c,00;  Σ_m B_lm (B U)_lm;  Σ_m T_lm B_lm;  Σ_m T_lm (T U')_lm   for every l and c

    of which body order 2, 3, 4, 5 takes the first 1, 2, 3, 4 kinds.  W, V, U, U' are trainable.  The columns of A may
    be joined by those of :class:`nnpot.descriptors.weighted_density.WeightedDensity`, in which a network
    weighs each neighbour by what A has in its direction: correlations of any order.  With few elements E is
    the identity, one density for each; with many it is trainable as well, of low rank, so that the cost does not grow
    with the number of elements (N. Lopanitsyna et al., Phys. Rev. Mater. 7, 045802 (2023)).  The cost is linear in the
    number of neighbours: there are no triplets.  The radial basis is R_k(r) = √(2/r_c) sin(kπ r/r_c)/(k r) f_c(r)
    (J. Gasteiger et al., ICLR 2020) with the polynomial cutoff f_c; the factor 1/k makes smooth radial channels the
    likely ones, a prior that lowers the errors on structures unlike the training set.

    Args:
        cutoff: r_c, in Å; "auto" for one within which an atom of the training structures has about 60 neighbours, from
            5 Å, for molecules, to 7 Å (:func:`nnpot.descriptors.reach.cutoff_of`).
        elements: Chemical symbols; taken from the training data if empty.
        channels: Number of channels c; "auto" for `n_radial` times two with up to three elements, times four with more:
            at least two thirds of the densities.  Times two also where E is trained, which is for economy.
        n_radial: Number of radial basis functions.
        l_max: Highest degree of the spherical harmonics, at most 4.
        body_order: From 2 to 5.
        neighbors: n̄, about the number of neighbours within the cutoff.
        element_channels: Number of columns of a trainable E; None for the identity up to 5 elements, 4 columns beyond.
        weighted_channels: Number of columns of a weighted density, of which B has its share as of the first, see
            :class:`WeightedDensity`; 0 for none; "auto" for 16 where the training data are molecules, none of them
            periodic, some with more than three atoms, else 0: on crystals, say, it gains nothing for twice the time.
        weighted_layers: Number of weighted densities, each with so many columns, which see those of the ones before.
        weighted_units: Number of hidden units of the networks of the weighted densities.
        weighted_cutoff: That of the weighted densities, in Å, not larger than `cutoff`; None for the same.

    Raises:
        ValueError: If an argument is out of range.
    """

    publication = "R. Drautz, Phys. Rev. B 99, 014104 (2019)"

    def __init__(
        self,
        cutoff: float | Literal["auto"] = 5.0,
        elements: tuple[str, ...] = (),
        channels: int | Literal["auto"] = 16,
        n_radial: int = 8,
        l_max: int = 3,
        body_order: Literal[2, 3, 4, 5] = 5,
        neighbors: float = 40.0,
        element_channels: int | None = None,
        weighted_channels: int | Literal["auto"] = 0,
        weighted_layers: int = 1,
        weighted_units: int = 32,
        weighted_cutoff: float | None = None,
    ) -> None:
        super().__init__()
        if cutoff == "auto":  # until it is fitted
            cutoff = NEAREST
        check_cutoff(cutoff)
        if not 0 <= l_max <= MAX_DEGREE:
            raise ValueError(f"l_max must lie in 0 … {MAX_DEGREE}, got {l_max}")
        if body_order not in (2, 3, 4, 5):
            raise ValueError(f"body_order must lie in 2 … 5, got {body_order}")
        if element_channels is not None and element_channels < 1:
            raise ValueError(f"element_channels must be positive, got {element_channels}")
        element_channels, channels = _channels(element_channels, channels, n_radial, len(elements))
        _check_positive(channels=channels, n_radial=n_radial, neighbors=neighbors)
        if weighted_channels == "auto":  # until it is fitted
            weighted_channels = 0
        if weighted_cutoff is None:
            weighted_cutoff = cutoff
        _check_positive(weighted_layers=weighted_layers, weighted_units=weighted_units)
        if weighted_channels < 0:
            raise ValueError(f"weighted_channels must not be negative, got {weighted_channels}; 0 is for none")
        if not 0 < weighted_cutoff <= cutoff:
            raise ValueError(
                f"weighted_cutoff must be positive and at most the cutoff, got {weighted_cutoff:g} Å with a cutoff of "
                f"{cutoff:g} Å"
            )
        self.cutoff, self.elements, self.basis = cutoff, check_elements(elements), Basis(cutoff, n_radial, l_max)
        self.channels, self.n_radial, self.l_max, self.body_order = channels, n_radial, l_max, body_order
        self.density_scale: float = neighbors**-0.5
        self.n_features = channels * (1 + (body_order - 2) * (l_max + 1))

        if element_channels is None:
            self.register_buffer("element_weights", torch.eye(len(elements)), persistent=False)
        else:
            self.element_weights = nn.Parameter(torch.randn(len(elements), element_channels))
        n_in = self.element_weights.shape[1] * n_radial
        degrees = l_max + 1
        weights = torch.randn(degrees, n_in, channels) / n_radial**0.5  # the same for all centres at the start
        n_layers = weighted_layers if weighted_channels > 0 else 0
        basis, sizes = (
            Basis(weighted_cutoff, n_radial, l_max),
            Sizes(n_in, weighted_channels, weighted_units, neighbors),
        )
        self.weighted = WeightedDensities(
            WeightedDensity(len(elements), n_in + k * weighted_channels, basis, sizes) for k in range(n_layers)
        )
        if n_layers > 0:
            n_weighted = n_layers * weighted_channels
            of_weighted = torch.randn(degrees, n_weighted, channels) / n_weighted**0.5
            weights = torch.cat([weights, of_weighted], dim=1)
        self.channel_weights = nn.Parameter(weights.repeat(len(elements), 1, 1, 1))
        self.mixing = nn.ParameterDict({name: _near_identity(degrees, channels) for name in MIXINGS[: body_order - 2]})

    element_weights: Tensor

    def forward(self, pairs: Pairs) -> Tensor:
        """Return the features of every atom, shape (N, D)."""
        table = NeighborTable.of(pairs, self.cutoff)
        values = density(table.vectors(pairs, self.cutoff), self._weights(pairs, table), self.basis)
        blocks = ElementBlocks.of_centers(pairs, len(self.elements), values.dtype)
        if len(self.weighted) > 0:
            near = Neighborhood.of(pairs, self.weighted.basis)
            radial = near.by_element(pairs, self.element_weights, near.values)
            values = self.weighted(values, (near.harmonics, radial, near.envelope), blocks)
        return self.features_of(values, blocks)

    def record(self, tape: Tape, pairs: Pairs) -> Value:
        """Record the density A of every atom with the columns of weighted densities behind, shape (N, L, Q·K + ΣC')."""
        values = self._record_density(tape, pairs)
        return self.weighted.record(tape, pairs, values, self.element_weights) if len(self.weighted) > 0 else values

    def _record_density(self, tape: Tape, pairs: Pairs) -> Value:
        if isinstance(self.element_weights, nn.Parameter):
            if tape.is_trained and self.element_weights.requires_grad:
                return self._record_trained_density(tape, pairs)
            return tape.add(self._density(pairs), tape.r)[0]
        key = (type(self), self.elements, self.basis, self.density_scale)
        return tape.shared(key, lambda: tape.add(self._density(pairs), tape.r))[0]

    def _record_trained_density(self, tape: Tape, pairs: Pairs) -> Value:
        if len(self.weighted) > 0:  # first, so that all that autograd differentiates stands together
            Neighborhood.record(tape, pairs, self.weighted.basis)
        near, (harmonics, values, _) = Neighborhood.record(tape, pairs, self.basis)

        def of_elements(harmonics: Tensor, values: Tensor) -> Tensor:
            radial = near.by_element(pairs, self.element_weights * self.density_scale, values)
            return torch.bmm(harmonics.transpose(1, 2), radial)

        return tape.autograd(of_elements, [harmonics, values], [self.element_weights])[0]

    def _density(self, pairs: Pairs) -> Fixed:
        """The density A, shape (N, L, Q·K), and its derivative, elements as they are."""
        with torch.no_grad():
            weights = self.element_weights.to(pairs.r_ij.dtype) * self.density_scale
            kernel = density_kernel(pairs, weights, self.basis)
            if kernel is not None:
                return kernel
            table, n_pairs = NeighborTable.of(pairs, self.cutoff), len(pairs.r_ij)
            tables = DensityTables.of(table.vectors(pairs, self.cutoff), self._weights(pairs, table), self.basis)

        def pull(density_bar: Tensor) -> list[Tensor]:
            return [table.to_pairs(tables.pullback(density_bar), n_pairs)]

        def push(direction: Tensor) -> list[Tensor]:
            return [tables.tangent(table.filled(direction.index_select(0, table.near), empty=0.0))]

        return Fixed([tables.density()], pull, push)

    def fitted(self, structures: Sequence[Structure | Atoms], n_atoms: int = 2_000) -> "ACE":
        """As every descriptor; a weighted density takes the scales of its inputs from about `n_atoms` atoms."""
        structures = as_structures(structures)
        new: ACE = self.replaced(**self._choices(structures))
        if len(new.weighted) == 0:
            return new
        new = copy.deepcopy(new).double()
        of_structures = (single_batch(s, new.cutoff).pairs(new.elements) for s in subsample(structures, n_atoms))
        densities = [(new._density(pairs).outputs[0], pairs) for pairs in of_structures]
        new.weighted.fit(densities, new.element_weights)
        return new.to(self.channel_weights.dtype)

    def _choices(self, structures: Sequence[Structure]) -> dict[str, Any]:
        """Arguments in place of what was left open."""
        given, elements = self.arguments, self.elements or elements_of(structures)
        of_elements, channels = _channels(given["element_channels"], given["channels"], self.n_radial, len(elements))
        weighted = given["weighted_channels"]
        if weighted == "auto":
            pays = max(map(len, structures)) > SIMPLE_MOLECULE and not any(any(s.pbc) for s in structures)
            weighted = WEIGHTED_CHANNELS_OF_MOLECULES if pays else 0
        chosen = {"element_channels": of_elements, "channels": channels, "weighted_channels": weighted}
        if given["cutoff"] == "auto":
            chosen["cutoff"] = cutoff_of(structures)
        return {"elements": elements, **chosen}

    def with_elements(self, elements: Sequence[str], places: Sequence[int]) -> "ACE":
        """As of every descriptor: each further element has weights of its own, copies of those of one that is known.

        It has a density of its own as well, unless E is trained or there are too many elements for that.
        """
        rows, old = torch.tensor(places), self.element_weights
        shares = isinstance(old, nn.Parameter) or len(elements) > MANY_ELEMENTS
        n_densities = old.shape[1] if shares else None
        new: ACE = self.replaced(elements=tuple(elements), element_channels=n_densities, channels=self.channels)
        of_radial = torch.arange(old.shape[1] * self.n_radial).view(old.shape[1], self.n_radial)
        first = of_radial if shares else of_radial[rows]  # columns that functions of distance and element take over
        state = {"element_weights": old[rows]} if shares else {}
        for name, value in self.state_dict().items():
            axis = _AXIS_OF_RADIAL.get(name.rpartition(".")[2])
            if axis is not None:
                others = torch.arange(of_radial.numel(), value.shape[axis])
                value = value.index_select(axis, torch.cat([first.flatten(), others]).to(value.device))
            state[name] = value if name.startswith("mixing") else value[rows]
        new.to(self.channel_weights).load_state_dict(state)
        return new

    @property
    def relative_cost(self) -> float:
        """As of every descriptor; each weighted density adds a third."""
        return 1 + len(self.weighted) * COST_OF_WEIGHTED_DENSITY

    def features_of(self, values: Tensor, blocks: ElementBlocks) -> Tensor:
        """Return the features, shape (N, D), from the density and the weighted ones, shape (N, L, Q·K + ΣC')."""
        return self._invariants(channels_of(values, self.channel_weights, blocks))

    def features_kernel(self, values: Tensor, species: Tensor) -> Invariants | None:
        """Return the same by a kernel, None where there is none."""
        return Invariants.of(values, species, self.channel_weights, tuple(self.mixing.values()), self.l_max)

    def extra_repr(self) -> str:
        """Say what is there in one line."""
        return (
            f"{'-'.join(self.elements)}, {self.cutoff} Å, {self.channels} channels, {self.n_radial} radial, "
            f"l ≤ {self.l_max}, body order {self.body_order}, {self.n_features} features"
        )

    def _weights(self, pairs: Pairs, table: NeighborTable) -> Tensor:
        """E_sq / √n̄ of every neighbour, 0 in empty places, shape (N, M, Q)."""
        return table.by_element(pairs, self.element_weights) * self.density_scale

    def _invariants(self, b: Tensor) -> Tensor:
        """Features from the channels B (L, N, C), shape (N, D)."""
        blocks = [b[:1]]
        if self.body_order >= 3:
            blocks.append(self._sum_over_m(b * self._per_degree(b, self.mixing["pair"])))
        if self.body_order >= 4:
            t = product(b, self._per_degree(b, self.mixing["product"]), self.l_max)
            blocks.append(self._sum_over_m(t * b))
        if self.body_order >= 5:
            blocks.append(self._sum_over_m(t * self._per_degree(t, self.mixing["product_pair"])))
        return torch.cat(blocks).transpose(0, 1).flatten(start_dim=1)

    def _per_degree(self, x: Tensor, weights: Tensor) -> Tensor:
        """Multiply x (L, N, in) by one matrix per degree l, weights (l_max + 1, in, out)."""
        return torch.bmm(x, repeated_for_m(weights))

    def _sum_over_m(self, x: Tensor) -> Tensor:
        """Mean of x (L, N, C) over m for each l, shape (l_max + 1, N, C)."""
        weights = constant(mean_over_m, self.l_max, like=x)
        return (weights @ x.flatten(start_dim=1)).view(self.l_max + 1, *x.shape[1:])


def _channels(
    element_channels: int | None, channels: int | Literal["auto"], n_radial: int, n_elements: int
) -> tuple[int | None, int]:
    """Return both kinds of channels, those that are left open chosen by the number of elements."""
    if element_channels is None and n_elements > MANY_ELEMENTS:
        element_channels = LEARNED_CHANNELS
    if channels == "auto":
        channels = n_radial * (4 if element_channels is None and n_elements > FEW_ELEMENTS else 2)
    return element_channels, channels


def _check_positive(**numbers: float) -> None:
    """Check arguments by name."""
    for name, value in numbers.items():
        if not value > 0:
            raise ValueError(f"{name} must be positive, got {value}")


def _near_identity(degrees: int, channels: int) -> nn.Parameter:
    """One matrix per degree: the identity plus small random numbers."""
    noise = torch.randn(degrees, channels, channels) * (0.3 / channels**0.5)
    return nn.Parameter(torch.eye(channels) + noise)
