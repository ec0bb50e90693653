"""Clusters of points, and how far others are from them in units of what is usual."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2

Array = NDArray[np.float64]
FEW = 3
"""Number of points of a cluster, for each direction, from which its own covariance counts as much as that of all."""
MAD = 1.4826
"""Standard deviation of a normal distribution in units of the median absolute deviation."""
TRIES = 4
"""How often k-means begins, with other centres: it ends in the nearest minimum."""
LEAST = 1e-8
"""Smallest variance of a direction, in units of the largest."""
ROUNDED = 1e-6
"""Smallest deviation of points, in units of their size: less is what single precision rounds."""
LEAST_EDGE = 1e-3
"""Smallest edge of a cluster, in standard deviations of all points: there are some of points that are all alike."""


@dataclass(frozen=True, eq=False)
class Clusters:
    """Affine maps from points to deviations, one for each cluster: the norm is 1 at its edge.

    The distance is that of Mahalanobis, with the covariance of the cluster, where it is small mixed with that of all;
    the edge is at the median plus three standard deviations, from the median absolute deviation, of its points.

    Attributes:
        maps: Shape (C, K, D).
        offsets: Shape (C, K).
    """

    maps: Array
    offsets: Array

    @classmethod
    def of(cls, points: Array, directions: int, n: int, seed: int = 0) -> "Clusters":
        """Find clusters among points, in the directions in which they vary most.

        Args:
            points: Shape (N, D).
            directions: K at most.
            n: C at most.
            seed: Of the first centres.
        """
        mean = points.mean(axis=0)
        _, sizes, axes = np.linalg.svd(points - mean, full_matrices=False)
        noise = max(LEAST**0.5 * float(sizes[0]), ROUNDED * float(np.linalg.norm(points)), 1e-300)
        some = sizes[:directions] > noise
        if not some.any():  # whatever differs from points that are all alike is far away
            some, sizes, n = np.ones_like(some), np.full_like(sizes, noise), 1
        whitening = axes[:directions][some].T * (len(points) ** 0.5 / sizes[:directions][some])  # (D, K)
        white = (points - mean) @ whitening
        centers, labels = _parted(white, n, seed)
        maps = np.zeros((len(centers), directions, points.shape[1]))
        offsets = np.zeros((len(centers), directions))
        for c, center in enumerate(centers):
            own = white[labels == c] - center
            weight = FEW * white.shape[1]
            mixed = (own.T @ own + weight * np.eye(white.shape[1])) / (len(own) + weight)
            inner = np.linalg.inv(np.linalg.cholesky(mixed))  # |inner x| is Mahalanobis' distance
            distances = np.linalg.norm(own @ inner.T, axis=1)
            middle = np.median(distances)
            edge = max(middle + 3 * MAD * np.median(np.abs(distances - middle)), LEAST_EDGE)
            k = white.shape[1]
            maps[c, :k] = inner @ whitening.T / edge
            offsets[c, :k] = -(inner @ (mean @ whitening + center)) / edge
        return cls(maps, offsets)

    def distances(self, points: Array) -> Array:
        """Return how far points, shape (N, D), are from the nearest cluster, shape (N,)."""
        of_each = [np.linalg.norm(points @ a.T + b, axis=1) for a, b in zip(self.maps, self.offsets, strict=True)]
        nearest: Array = np.min(of_each, axis=0)
        return nearest

    def scaled(self, factor: float) -> "Clusters":
        """Return clusters whose distances are so many times as large."""
        return Clusters(factor * self.maps, factor * self.offsets)


def _parted(white: Array, n: int, seed: int) -> tuple[Array, NDArray[np.int64]]:
    """Centres and labels of clusters by k-means, none of them small."""
    n = max(1, min(n, len(white) // (FEW * white.shape[1])))
    if n == 1 or white.shape[1] == 0:
        return white.mean(axis=0, keepdims=True), np.zeros(len(white), np.int64)
    tried = [kmeans2(white, n, minit="++", rng=np.random.default_rng(seed + k), missing="warn") for k in range(TRIES)]
    labels = min(tried, key=lambda found: float(((white - found[0][found[1]]) ** 2).sum()))[1]
    kept = [c for c in range(n) if np.count_nonzero(labels == c) > 1]
    centers = np.stack([white[labels == c].mean(axis=0) for c in kept])
    nearest = np.argmin(((white[:, None] - centers) ** 2).sum(axis=2), axis=1)
    return centers, nearest
