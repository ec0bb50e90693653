"""A small linear potential: pair functions, and products of two moments of the density of neighbours.

    E = Σ_i e_a + ½ Σ_ij Σ_k c_ab,k φ_k(r_ij) + Σ_i Σ_l Σ_pq c_a,l,pq A_i,p,l · A_i,q,l
    A_i,bm,l = Σ_{j of b} g_m(r_ij) Y_l(r̂_ij)

with l = 0, 1, 2 (Y as Cartesian tensors).  It is linear in c, so a fit is one least-squares problem, and it knows
nothing of units.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from nnpot.neighbors import neighbor_pairs
from nnpot.structure import Structure

Array = NDArray[np.float64]
Integers = NDArray[np.int64]

_UNIT = np.eye(3)


@dataclass(frozen=True, eq=False)
class Neighbors:
    """The pairs of one structure within the reach, each from both sides.

    Attributes:
        i: Centres, shape (P,).
        j: Neighbours.
        r: Distances, in Å.
        u: Unit vectors from i to j, shape (P, 3).
        species: Of the atoms, as positions in a list of elements, shape (N,).
    """

    i: Integers
    j: Integers
    r: Array
    u: Array
    species: Integers

    @classmethod
    def of(cls, structure: Structure, reach: float, elements: Integers) -> "Neighbors":
        """Find them; atoms at one place count as a hundred thousandth of an Å apart."""
        pairs = neighbor_pairs(structure, reach)
        vectors = pairs.vectors(structure.positions, structure.cell).numpy()
        r = np.maximum(np.linalg.norm(vectors, axis=1), 1e-5)
        species = np.searchsorted(elements, structure.numbers.numpy())
        return cls(pairs.i.numpy(), pairs.j.numpy(), r, vectors / r[:, None], species)

    @cached_property
    def to_centers(self) -> csr_matrix:
        """Sums over the pairs of a centre, (N, P)."""
        n = np.arange(len(self.i))
        return csr_matrix((np.ones(len(n)), (self.i, n)), (len(self.species), len(n)))

    @cached_property
    def to_atoms(self) -> csr_matrix:
        """Forces of atoms from the derivatives with respect to pair vectors, (N, P)."""
        n, ones = np.arange(len(self.i)), np.ones(len(self.i))
        places = (np.concatenate([self.i, self.j]), np.concatenate([n, n]))
        return csr_matrix((np.concatenate([ones, -ones]), places), (len(self.species), len(n)))

    def summed(self, values: Array, matrix: csr_matrix) -> Array:
        """Sum rows of any shape by one of the matrices."""
        flat = matrix @ values.reshape(len(values), int(np.prod(values.shape[1:])))
        return np.asarray(flat).reshape(len(self.species), *values.shape[1:])


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the potential gives for one structure, in whatever units it was fitted.

    Attributes:
        energy: Without the energies of the elements.
        forces: Shape (N, 3).
        virial: dE/dε, Voigt xx, yy, zz, yz, xz, xy.
    """

    energy: float
    forces: Array
    virial: Array


class Moments:
    """The terms of the potential.

    Args:
        elements: Atomic numbers, sorted.
        reach: Largest distance, in Å; the functions scale with it.
        n_pair: Number of pair functions for each pair of elements.

    Attributes:
        n_terms: Number of coefficients.
    """

    def __init__(self, elements: Integers, reach: float, n_pair: int = 8) -> None:
        self.elements, self.reach, self.n_pair = elements, reach, n_pair
        self._scale = reach / 5.0
        n = len(elements)
        groups = np.eye(n) if n <= 4 else np.vstack([np.ones(n), np.linspace(-1.0, 1.0, n)])
        self._weights = groups  # (G, S) of a neighbour's element in the densities
        self._decays = np.array([0.8, 1.6]) * self._scale
        n_moments = len(groups) * len(self._decays)
        self._rows, self._columns = np.triu_indices(n_moments)
        self._index = np.zeros((n_moments, n_moments), np.int64)
        self._index[self._rows, self._columns] = np.arange(len(self._rows))
        self._index = np.maximum(self._index, self._index.T)
        self._n_products, self._n_types = len(self._rows), n * (n + 1) // 2
        self._type = np.zeros((n, n), np.int64)
        self._type[np.triu_indices(n)] = np.arange(self._n_types)
        self._type = np.maximum(self._type, self._type.T)
        self._n_of_pairs = self._n_types * n_pair
        self.n_terms = self._n_of_pairs + 3 * n * self._n_products

    def row(self, pairs: Neighbors) -> Array:
        """Return what each coefficient counts for in the energy, shape (D,)."""
        phi, _ = self._pair_functions(pairs.r)
        types = self._type[pairs.species[pairs.i], pairs.species[pairs.j]]
        counted = [np.bincount(types, 0.5 * f, self._n_types) for f in phi.T]
        parts: list[Array] = [np.stack(counted, axis=1).ravel().astype(np.float64)]
        for moments in self._moments(pairs):
            products = (moments[:, self._rows] * moments[:, self._columns]).sum(axis=2)
            of_element = np.zeros((len(self.elements), self._n_products))
            np.add.at(of_element, pairs.species, products)
            parts.append(of_element.ravel())
        return np.concatenate(parts)

    def gradient_rows(self, pairs: Neighbors) -> Array:
        """Return what each coefficient counts for in the forces, shape (3 N, D)."""
        n, n_elements = len(pairs.species), len(self.elements)
        result = np.zeros((n, 3, self.n_terms))
        of_pairs = result[:, :, : self._n_of_pairs].reshape(n, 3, self._n_types, self.n_pair)
        products = result[:, :, self._n_of_pairs :].reshape(n, 3, 3, n_elements, self._n_products)
        a, b = pairs.species[pairs.i], pairs.species[pairs.j]
        _, slopes = self._pair_functions(pairs.r)
        orders = list(zip(self._moments(pairs), self._terms(pairs), strict=True))
        for center in range(n_elements):
            for neighbor in range(n_elements):
                chosen = np.flatnonzero((a == center) & (b == neighbor))
                if not len(chosen):
                    continue
                to_atoms = pairs.to_atoms[:, chosen]
                w = 0.5 * pairs.u[chosen][:, :, None] * slopes[chosen][:, None, :]
                flat = to_atoms @ w.reshape(len(chosen), -1)
                of_pairs[:, :, self._type[center, neighbor]] += flat.reshape(n, 3, self.n_pair)
                for order, (moments, terms) in enumerate(orders):
                    derivative = self._by_pair(moments[pairs.i[chosen]], terms.of(chosen), neighbor)
                    flat = to_atoms @ derivative.reshape(len(chosen), -1)
                    products[:, :, order, center] += flat.reshape(n, 3, self._n_products)
        result[:, :, : self._n_of_pairs] = of_pairs.reshape(n, 3, -1)
        result[:, :, self._n_of_pairs :] = products.reshape(n, 3, -1)
        return result.reshape(3 * n, self.n_terms)

    def predict(self, pairs: Neighbors, coefficients: Array) -> Prediction:
        """Evaluate the potential with its forces, which costs much less than `gradient_rows`."""
        a, b = pairs.species[pairs.i], pairs.species[pairs.j]
        of_pairs = coefficients[: self._n_of_pairs].reshape(self._n_types, self.n_pair)
        _, slopes = self._pair_functions(pairs.r)
        w = 0.5 * (slopes * of_pairs[self._type[a, b]]).sum(axis=1)[:, None] * pairs.u
        of_products = coefficients[self._n_of_pairs :].reshape(3, len(self.elements), self._n_products)
        doubled = of_products * np.where(self._rows == self._columns, 2.0, 1.0)
        for order, (moments, terms) in enumerate(zip(self._moments(pairs), self._terms(pairs), strict=True)):
            adjoint = np.einsum("npq,nqc->npc", doubled[order][:, self._index][pairs.species], moments)
            by_function = adjoint.reshape(len(adjoint), len(self._weights), len(self._decays), -1)
            for g in range(len(self._weights)):
                of_pair = by_function[pairs.i, g] * self._weights[g, b][:, None, None]
                w += terms.pulled_back(of_pair)
        r = pairs.u * pairs.r[:, None]
        strain = w.T @ r
        strain = 0.5 * (strain + strain.T)
        virial = strain[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
        return Prediction(float(self.row(pairs) @ coefficients), pairs.summed(w, pairs.to_atoms), virial)

    def _pair_functions(self, r: Array) -> tuple[Array, Array]:
        """Chebyshev polynomials of an exponential of the distance times a cutoff, and their slopes, (P, K)."""
        decay, end = 1.5 * self._scale, np.exp(-self.reach / (1.5 * self._scale))
        length = np.exp(-0.5 * self._scale / decay) - end
        y, y_slope = 2 * (np.exp(-r / decay) - end) / length - 1, -2 / decay * np.exp(-r / decay) / length
        values, slopes = [np.ones_like(r), y], [np.zeros_like(r), np.ones_like(r)]
        while len(values) < self.n_pair:
            slopes.append(2 * values[-1] + 2 * y * slopes[-1] - slopes[-2])
            values.append(2 * y * values[-1] - values[-2])
        cut, cut_slope = self._cutoff(r)
        t, dt = np.stack(values, axis=1), np.stack(slopes, axis=1)
        return t * cut[:, None], dt * (y_slope * cut)[:, None] + t * cut_slope[:, None]

    def _cutoff(self, r: Array) -> tuple[Array, Array]:
        x = np.minimum(r / self.reach, 1.0)
        return (1 - x**2) ** 2, -4 * x * (1 - x**2) / self.reach

    def _terms(self, pairs: Neighbors) -> Iterator["_Terms"]:
        """The terms of the moments of order 0, 1, 2."""
        r, u = pairs.r, pairs.u
        cut, cut_slope = self._cutoff(r)
        decay = np.exp((2.0 * self._scale - r[:, None]) / self._decays)
        g, slope = decay * cut[:, None], decay * (cut_slope[:, None] - cut[:, None] / self._decays)
        across = (_UNIT - u[:, :, None] * u[:, None, :]) / r[:, None, None]
        yield _Terms(g, slope, u, np.ones((len(r), 1)), np.zeros((len(r), 1, 3)))
        yield _Terms(g, slope, u, u, across)
        tensor = u[:, :, None] * u[:, None, :] - _UNIT / 3
        turned = across[:, :, None, :] * u[:, None, :, None] + u[:, :, None, None] * across[:, None, :, :]
        yield _Terms(g, slope, u, tensor.reshape(-1, 9), turned.reshape(-1, 9, 3))

    def _moments(self, pairs: Neighbors) -> Iterator[Array]:
        """A_i,bm,l of each order, shape (N, G·M, C)."""
        b = pairs.species[pairs.j]
        for terms in self._terms(pairs):
            values = terms.g[:, :, None] * terms.y[:, None, :]
            weighted = self._weights.T[b][:, :, None, None] * values[:, None]
            summed = pairs.summed(weighted, pairs.to_centers)
            yield summed.reshape(len(summed), -1, terms.y.shape[1])

    def _by_pair(self, moments: Array, terms: "_Terms", neighbor: int) -> Array:
        """Derivatives of the products at the centres of some pairs by their vectors, shape (P', 3, Q)."""
        n_decays = len(self._decays)
        projected = np.einsum("pmcx,pqc->pxmq", terms.derivative, moments)
        result = np.zeros((len(moments), 3, self._n_products))
        for g, weight in enumerate(self._weights[:, neighbor]):
            for m in range(n_decays if weight else 0):
                moment = g * n_decays + m
                of_moment = weight * projected[:, :, m]
                of_moment[:, :, moment] *= 2.0
                result[:, :, self._index[moment]] += of_moment
        return result


@dataclass(frozen=True, eq=False)
class _Terms:
    """g_m(r) Y(u) of one order, with their derivatives: g and slope (P, M), u (P, 3), y (P, C), turned (P, C, 3)."""

    g: Array
    slope: Array
    u: Array
    y: Array
    turned: Array

    def of(self, chosen: Integers) -> "_Terms":
        """Return those of some pairs."""
        return _Terms(*(x[chosen] for x in (self.g, self.slope, self.u, self.y, self.turned)))

    @property
    def derivative(self) -> Array:
        """By the pair vector, shape (P, M, C, 3)."""
        along = self.slope[:, :, None, None] * self.y[:, None, :, None] * self.u[:, None, None, :]
        return along + self.g[:, :, None, None] * self.turned[:, None]

    def pulled_back(self, adjoint: Array) -> Array:
        """Return Σ_mc adjoint_mc ∂(g_m Y_c)/∂r, adjoint of shape (P, M, C), as (P, 3)."""
        radial = (adjoint * self.y[:, None, :]).sum(axis=2)
        turning = (adjoint * self.g[:, :, None]).sum(axis=1)
        along = (radial * self.slope).sum(axis=1)
        across: Array = np.einsum("pc,pcx->px", turning, self.turned)
        return np.asarray(along[:, None] * self.u + across, np.float64)
