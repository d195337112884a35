"""The definition: with a ~ N(0, I) and y = Psi a + N(0, noise_variance), all given Psi is Gaussian.

Shapes: `hidden` h_L [instances, chains, d_L, samples], Psi = h_L^T / sqrt(d_L); `labels` [instances, samples]; results
[instances, chains, ...]. Source: Rasmussen and Williams 2006, eqs. 2.8, 2.9 and 2.30.
"""

import math

import torch
from torch import Tensor


def features(hidden: Tensor) -> Tensor:
    """Psi, [instances, chains, samples, d_L]."""
    return hidden.transpose(-1, -2) / math.sqrt(hidden.shape[-2])


def negative_log_evidence(hidden: Tensor, labels: Tensor, noise_variance: float) -> Tensor:
    """-log N(labels; 0, Psi Psi^T + noise_variance I), [instances, chains]."""
    psi = features(hidden)
    samples = labels.shape[-1]
    covariance = psi @ psi.transpose(-1, -2) + noise_variance * torch.eye(samples, dtype=psi.dtype, device=psi.device)
    lower = torch.linalg.cholesky(covariance)
    white = torch.linalg.solve_triangular(lower, _columns(labels, psi), upper=False)
    logarithm = lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return logarithm + white.square().sum((-1, -2)) / 2 + samples * math.log(2 * math.pi) / 2


def readout_posterior(hidden: Tensor, labels: Tensor, noise_variance: float) -> tuple[Tensor, Tensor]:
    """Mean [instances, chains, d_L] and covariance [instances, chains, d_L, d_L] of a given Psi and the labels."""
    psi = features(hidden)
    precision = psi.transpose(-1, -2) @ psi / noise_variance
    precision = precision + torch.eye(psi.shape[-1], dtype=psi.dtype, device=psi.device)
    covariance = torch.cholesky_inverse(torch.linalg.cholesky(precision))
    mean = covariance @ (psi.transpose(-1, -2) @ _columns(labels, psi)) / noise_variance
    return mean.squeeze(-1), covariance


def predictions(hidden: Tensor, labels: Tensor, noise_variance: float, rows_hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of F, [instances, chains, rows], where the top hidden layer is `rows_hidden`."""
    mean, covariance = readout_posterior(hidden, labels, noise_variance)
    rows = features(rows_hidden)
    return (rows @ mean.unsqueeze(-1)).squeeze(-1), ((rows @ covariance) * rows).sum(-1)


def _columns(labels: Tensor, psi: Tensor) -> Tensor:
    """[instances, chains, samples, 1], contiguous."""
    return labels.unsqueeze(1).expand(-1, psi.shape[1], -1).unsqueeze(-1).contiguous()
