"""Linear networks of one hidden layer on one input: their kernel is k chi^2_n / n before the data, and what they learn
is an integral over one number at any width."""

import numpy as np

from nishimori.theory.kernel_corrections import Evidence


def learned(kernel: float, width: int, evidence: Evidence) -> tuple[float, float]:
    """<K> - E K, and the divergence KL of the posterior of the hidden layer from its prior in nats; `kernel` is k."""
    logs = np.linspace(-60 / width**0.5, 12 / width**0.5, 2001)  # of K / k
    ratios = np.exp(logs)
    prior = 0.5 * width * (logs - ratios)
    prior = np.exp(prior - prior.max())
    prior /= prior.sum()
    gains = np.array([evidence.log(np.array([[kernel * ratio]])) for ratio in ratios])
    weights = np.exp(gains - gains.max())
    weights /= prior @ weights
    posterior = prior * weights
    return kernel * float((posterior - prior) @ ratios), float(posterior @ np.log(weights))
