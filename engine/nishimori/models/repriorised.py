"""The posterior under any likelihood, in coordinates where a surrogate Gaussian posterior of the readout is N(0, I)."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nishimori.models.collapsed import require_gaussian_readout
from nishimori.models.device import resolve_precision
from nishimori.models.layout import Layout, Position, chain_dot
from nishimori.models.posterior import Posterior
from nishimori.models.problem import Problem
from nishimori.models.randomness import Randomness
from nishimori.models.surrogate import Surrogate
from nishimori_kernels.batched_products import multiply
from nishimori_kernels.rng.streams import Stream
from nishimori_kernels.rows import row_sum

LogLikelihood = Callable[[Tensor, Tensor], Tensor]


class RepriorisedPosterior:
    """U = |W|^2 / 2 + |V|^2 / 2 - log_likelihood(Psi V, labels) - log|dV/dphi|, positions (W_1, ..., W_L, phi).

    V = L^{-T} (s phi + L^{-1} Psi^T y) with L L^T = Psi^T Psi + s^2 I, Psi = sqrt(s_a / d_L) h_L^T, y the problem's
    labels and s^2 its channel's noise variance: the surrogate. For fixed W the map from phi to V is linear and
    invertible, with log|dV/dphi| = sum_i (log s - log L_ii); so (W, V) has density N(W, V; 0, I) times the likelihood
    whatever the surrogate, and the nearer that is to the likelihood the nearer (W, phi) is to N(0, I). Source: Hron,
    Novak, Pennington, Sohl-Dickstein 2022, arXiv 2206.07673, with any likelihood in the place of the Gaussian one.

    `log_likelihood(latent, labels)` maps F [instances, chains, samples] and labels [instances, 1, samples], float64, to
    [instances, chains], differentiably and chain by chain. The forward pass is in `precision`, all above it in float64.
    `rows_in_all` as in `Posterior`. An evaluation factorises a d_L x d_L matrix a chain. Where that fails (NaN
    weights), the energy of that chain alone is NaN.

    Raises ValueError for a readout that is not Gaussian, no hidden layer, biases, or a likelihood of another shape or
    without gradient.
    """

    gaussian_prior = True

    def __init__(
        self,
        problem: Problem,
        log_likelihood: LogLikelihood,
        precision: str = "fp64",
        device: str = "auto",
        *,
        rows_in_all: int | None = None,
    ) -> None:
        require_gaussian_readout(problem)
        self.problem, self.log_likelihood = problem, log_likelihood
        resolve_precision(precision)
        self.posterior = Posterior(problem, precision, device, rows_in_all=rows_in_all)
        """Forward passes of the network; its own energy is the surrogate's, not this one."""
        self.dtype, self.device, self.instances = self.posterior.dtype, self.posterior.device, problem.instances
        self.num_parameters = problem.network.num_parameters
        self._labels = problem.labels.to(self.device).unsqueeze(1)
        self._deviation = math.sqrt(problem.channel.noise_variance)
        self._root = math.sqrt(problem.network.widths[-1] / problem.network.weight_variances[-1])

    def layout(self, chains: int) -> Layout:
        return self.problem.layout(chains)

    def _surrogate(self, position: Position) -> Surrogate:
        hidden = self.posterior.network("train", position.layout.chains).forward_hidden(position.blocks)
        features = hidden.flatten(0, 1).to(torch.float64, copy=True) / self._root
        return Surrogate.of(features, self._labels.transpose(1, 2), self._deviation)

    def _potential(self, surrogate: Surrogate, readout: Tensor, latent: Tensor) -> Tensor:
        """U without |W|^2 / 2, [instances, chains]."""
        outside = row_sum(readout.square().squeeze(-1)) / 2 - surrogate.log_determinant
        return outside.view(latent.shape[:2]) - self._log_likelihood(latent)

    def _log_likelihood(self, latent: Tensor) -> Tensor:
        value = self.log_likelihood(latent, self._labels)
        if value.shape != latent.shape[:2]:
            raise ValueError(
                f"log_likelihood returned shape {list(value.shape)} for latent outputs {list(latent.shape)}: "
                f"sum over the last axis alone, to {list(latent.shape[:2])}"
            )
        if latent.requires_grad and not value.requires_grad:
            raise ValueError("log_likelihood returned a value without gradient: compute it by torch operations")
        return value.double()

    def energy(self, position: Position) -> Tensor:
        """U, [instances, chains], float64."""
        surrogate = self._surrogate(position)
        readout = surrogate.readout(_columns(position))
        potential = self._potential(surrogate, readout, _latent(surrogate, readout, position))
        return potential + _half_square(position.layers[:-1])

    def gradient(self, position: Position, out: Position | None = None) -> Position:
        """dU/d(W, phi), laid out like the position; written to `out` where given."""
        return self.energy_and_gradient(position, out)[1]

    def energy_and_gradient(self, position: Position, out: Position | None = None) -> tuple[Tensor, Position]:
        """Both; autodiff of the likelihood alone, then back through the surrogate and the network."""
        surrogate, coordinates = self._surrogate(position), _columns(position)
        readout = surrogate.readout(coordinates)
        with torch.enable_grad():
            latent = _latent(surrogate, readout, position).requires_grad_()
            potential = self._potential(surrogate, readout, latent)
            (slope,) = torch.autograd.grad(potential.sum(), latent)
        by_latent = slope.reshape(len(readout), -1, 1)
        by_readout = multiply(surrogate.features, by_latent, addend=readout)
        by_features, by_coordinates = surrogate.pull_back(coordinates, by_readout)
        top = (by_features + readout * by_latent.transpose(1, 2)) / self._root
        gradient = position.empty_like() if out is None else out
        network = self.posterior.network("train", position.layout.chains)
        network.pull_back_hidden(position.blocks, _by_chain(top, position), position.blocks, gradient.blocks)
        gradient.blocks[-1].copy_(_by_chain(by_coordinates, position).squeeze(-1))
        return potential.detach() + _half_square(position.layers[:-1]), gradient

    def complete(
        self, position: Position, randomness: Randomness, step: int, stream: Stream = Stream.READOUT
    ) -> Position:
        """All weights of the network, (W, V(W, phi)): nothing is drawn."""
        del randomness, step, stream
        return _with_last(position, self._surrogate(position).readout(_columns(position)))

    def initial_position(self, chains: int | tuple[int, ...], start: str, seed: int, point: str = "") -> Position:
        """Independent draws of N(0, I) ("prior"), or the coordinates of the teacher ("teacher")."""
        position = self.posterior.initial_position(chains, start, seed, point)
        if start == "prior":
            return position
        return _with_last(position, self._surrogate(position).coordinates(_columns(position)))


def _columns(position: Position) -> Tensor:
    """The last block, [batch, d_L, 1], float64."""
    return position.blocks[-1].double().flatten(0, 1).unsqueeze(-1)


def _by_chain(values: Tensor, position: Position) -> Tensor:
    """From [batch, ...] to [instances, chains, ...]."""
    return values.unflatten(0, (position.layout.instances, position.layout.chains))


def _latent(surrogate: Surrogate, readout: Tensor, position: Position) -> Tensor:
    """F, [instances, chains, samples], of readouts [batch, d_L, 1]."""
    return _by_chain(multiply(readout.transpose(1, 2), surrogate.features), position).squeeze(2)


def _with_last(position: Position, columns: Tensor) -> Position:
    """With another last block, given as `_columns` gives it."""
    changed = position.clone()
    changed.blocks[-1].copy_(_by_chain(columns, position).squeeze(-1))
    return changed


def _half_square(layers: Sequence[Position]) -> Tensor:
    """Half the sum of squares, [instances, chains], in float64."""
    return row_sum(torch.stack([chain_dot(layer, layer) for layer in layers], -1)) / 2
