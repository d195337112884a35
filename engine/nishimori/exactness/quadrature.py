"""A law on the line, known up to a constant: its averages by the trapezium rule, its draws by inversion."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GridLaw:
    """`weight` [points] of equally spaced `points`, summing to 1. The density must decay at both ends: the rule then
    converges faster than any power of the spacing."""

    points: Array
    weight: Array

    @classmethod
    def of(cls, points: Array, log_density: Array) -> "GridLaw":
        weight = np.exp(log_density - log_density.max())
        return cls(points, weight / weight.sum())

    def mean(self, values: Array) -> Array:
        """Average of `values` [points, ...]."""
        return np.tensordot(self.weight, values, 1)

    def quantile(self, probability: Array) -> Array:
        """The points below which lies this probability."""
        return np.interp(probability, np.cumsum(self.weight) - self.weight / 2, self.points)
