"""The infinitely wide network on the very inputs of a problem: a Gaussian process, exact at any input dimension.

    K_0(x, x') = s_1 x . x' / d + b,      K_l(x, x') = s_{l+1} E phi_l(u) phi_l(v) + b,  (u, v) ~ N(0, K_{l-1}),

with the weight variances s_l, the readout's last, and the bias variance b; F has covariance K_L. With one hidden layer
of any width, Cov(F(x), F(x')) = K_1(x, x') exactly: only the law differs from the Gaussian one. With C = K + Delta I,
in nats and per sample as everywhere,

    mutual_information = logdet(I + K / Delta) / (2 n),     log_evidence = log N(y; 0, C) / n,
    prediction m(x) = k_x^T C^{-1} y,     bayes_error = mean over x of k_xx - k_x^T C^{-1} k_x,
    effective linear weights v = B y,     B = c^T C^{-1},     c = Cov(F(x), v) = s_1 ... s_{L+1} x rho_1(x) ... rho_L(x)
    / sqrt(d),

with rho_l(x) = E phi'(sqrt(K_{l-1}(x, x)) Z); c too is that of one hidden layer of any width.

Source: Neal 1996; Lee et al. 2018, arXiv 1711.00165, eqs. 4-5 and 8-9.
"""

import math
from functools import cached_property

import torch
from torch import Tensor

from nishimori.description import GaussianChannel, Network
from nishimori.models.pair_moments import mean_slope, pair_moment, second_moment
from nishimori.models.problem import Problem


class WideNetwork:
    """Of all instances of a problem, float64, on the CPU; rows are "train" or "test" inputs.

    Raises ValueError where an activation of one's own is not smooth enough for its kernel (see `pair_moments`), and for
    another channel than the Gaussian one.
    """

    def __init__(self, problem: Problem) -> None:
        if not isinstance(problem.channel, GaussianChannel):
            raise ValueError(
                "the infinitely wide network is solved exactly for the Gaussian channel alone; do without it "
                "(information: control=False), or use GaussianChannel(noise_variance)"
            )
        self.problem = problem
        self.noise_variance = problem.channel.noise_variance
        self._kernels: dict[str, Tensor] = {}

    @cached_property
    def kernel(self) -> Tensor:
        """K on the training inputs, [instances, samples, samples]."""
        return self._kernel("train")

    @cached_property
    def mutual_information(self) -> Tensor:
        """I / n in nats if labels came from this process, [instances]."""
        return (self._log_determinant / self.problem.samples - math.log(self.noise_variance)) / 2

    @cached_property
    def log_evidence(self) -> Tensor:
        """log N(y; 0, C) / n, [instances]."""
        misfit = (self.problem.labels * self._solved_labels).sum(-1)
        return -(misfit + self._log_determinant) / (2 * self.problem.samples) - math.log(2 * math.pi) / 2

    def predictions(self, inputs: str = "test") -> Tensor:
        """m(x), [instances, rows]."""
        return (self._kernel(inputs) @ self._solved_labels.unsqueeze(-1)).squeeze(-1)

    def smoother(self, inputs: str = "test") -> Tensor:
        """A = k_x^T C^{-1}, [instances, rows, samples]: m = A y."""
        return torch.cholesky_solve(self._kernel(inputs).transpose(1, 2), self.factor).transpose(1, 2)

    def bayes_error(self, inputs: str = "test") -> Tensor:
        """Mean posterior variance of F over the rows, [instances]."""
        return self.latent_variance(inputs).mean(-1)

    def latent_variance(self, inputs: str = "test") -> Tensor:
        """Posterior variance of F, [instances, rows]."""
        explained = (self.smoother(inputs) * self._kernel(inputs)).sum(-1)
        return self.prior_variance(inputs) - explained

    def prior_variance(self, inputs: str = "test") -> Tensor:
        """k_xx, [instances, rows]."""
        return torch.stack([variance_of(self.problem.network, x) for x in self.problem.rows(inputs)])

    @cached_property
    def weight_smoother(self) -> Tensor:
        """B, [instances, input_dim, samples]."""
        return torch.cholesky_solve(self._weight_covariance, self.factor).transpose(1, 2)

    @cached_property
    def effective_weights(self) -> Tensor:
        """The posterior mean of v, [instances, input_dim]."""
        return (self._weight_covariance.transpose(1, 2) @ self._solved_labels.unsqueeze(-1)).squeeze(-1)

    @cached_property
    def overlap(self) -> Tensor:
        """E |B y|^2 / E |v|^2 if labels came from this process, [instances]: the overlap."""
        explained = (self.weight_smoother.transpose(1, 2) * self._weight_covariance).sum((-1, -2))
        return explained / (self._input_dim * self.problem.network.effective_variance)

    @property
    def _input_dim(self) -> int:
        return self.problem.network.input_dim

    @cached_property
    def _weight_covariance(self) -> Tensor:
        """c of every training input, [instances, samples, input_dim]."""
        return torch.stack([weight_covariance_of(self.problem.network, x) for x in self.problem.inputs])

    @cached_property
    def factor(self) -> Tensor:
        """The lower Cholesky factor of C, [instances, samples, samples]."""
        noise = torch.full((self.problem.samples,), self.noise_variance, dtype=torch.float64, device="cpu")
        return torch.linalg.cholesky(self.kernel + torch.diag(noise))

    @cached_property
    def _solved_labels(self) -> Tensor:
        return torch.cholesky_solve(self.problem.labels.unsqueeze(-1), self.factor).squeeze(-1)

    @cached_property
    def _log_determinant(self) -> Tensor:
        return 2 * self.factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def _kernel(self, inputs: str) -> Tensor:
        """Between these rows and the training inputs, [instances, rows, samples]."""
        if inputs not in self._kernels:
            pairs = zip(self.problem.rows(inputs), self.problem.inputs, strict=True)
            self._kernels[inputs] = torch.stack([kernel_of(self.problem.network, x, y) for x, y in pairs])
        return self._kernels[inputs]


def kernel_of(network: Network, left: Tensor, right: Tensor) -> Tensor:
    """K_L, [rows, columns], between inputs [rows, input_dim] and [columns, input_dim], float64."""
    scale, *scales = network.weight_variances
    shift = network.bias_variance
    covariance = scale * (left @ right.T / network.input_dim) + shift
    of_left, of_right = (scale * rows.square().mean(-1) + shift for rows in (left, right))
    for activation, scale in zip(network.activations, scales, strict=True):
        covariance = scale * pair_moment(activation, covariance, of_left, of_right) + shift
        of_left, of_right = (scale * second_moment(activation, own) + shift for own in (of_left, of_right))
    return covariance


def variance_of(network: Network, rows: Tensor) -> Tensor:
    """K_L(x, x) of every row, [rows]."""
    scale, *scales = network.weight_variances
    variance = scale * rows.square().mean(-1) + network.bias_variance
    for activation, scale in zip(network.activations, scales, strict=True):
        variance = scale * second_moment(activation, variance) + network.bias_variance
    return variance


def weight_covariance_of(network: Network, rows: Tensor) -> Tensor:
    """Cov(F(x), v) of every row, [rows, input_dim]."""
    scale, *scales = network.weight_variances
    variance = scale * rows.square().mean(-1) + network.bias_variance
    gain = rows.new_full((len(rows),), network.effective_variance)
    for activation, scale in zip(network.activations, scales, strict=True):
        gain = gain * mean_slope(activation, variance)
        variance = scale * second_moment(activation, variance) + network.bias_variance
    return rows * (gain / math.sqrt(network.input_dim)).unsqueeze(-1)
