"""Channels: the law of a label given the latent output of the network."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class GaussianChannel:
    """y = F + sqrt(noise_variance) z with z ~ N(0, 1); arXiv 2505.03577, eqs. 1-5 with f the identity.

    `noise_variance` is a variance, Delta in the formulas. Raises ValueError unless it is finite and above 0.
    """

    noise_variance: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "noise_variance", _positive_variance(self.noise_variance))

    def log_likelihood(self, labels: ArrayLike, latent: ArrayLike) -> NDArray[np.float64]:
        """log p(label | latent) = -log(2 pi Delta)/2 - (label - latent)^2 / (2 Delta), elementwise, in nats.

        `labels` and `latent` broadcast against each other; nothing is summed.
        """
        residual = np.asarray(labels, dtype=np.float64) - np.asarray(latent, dtype=np.float64)
        return -0.5 * (math.log(2 * math.pi * self.noise_variance) + residual**2 / self.noise_variance)


def _positive_variance(value: object) -> float:
    try:
        variance = float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        variance = math.nan
    if isinstance(value, (bool, str)) or not (math.isfinite(variance) and variance > 0):
        raise ValueError(
            f"noise_variance must be a finite variance greater than 0, got {value!r}: "
            "give the square of the noise's standard deviation"
        )
    return variance
