"""The posterior under any likelihood, in coordinates where a surrogate Gaussian posterior of the readout is N(0, I)."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nishimori.models.collapsed import require_gaussian_readout
from nishimori.models.device import resolve_precision
from nishimori.models.layout import Layout, Position
from nishimori.models.posterior import Posterior
from nishimori.models.problem import Problem
from nishimori.models.randomness import Randomness
from nishimori_kernels.rng.streams import Stream

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
    An evaluation factorises a d_L x d_L matrix a chain. Where that fails (NaN weights), the energy of that chain alone
    is NaN.

    Raises ValueError for a readout that is not Gaussian, no hidden layer, biases, or a likelihood of another shape or
    without gradient.
    """

    gaussian_prior = True

    def __init__(
        self, problem: Problem, log_likelihood: LogLikelihood, precision: str = "fp64", device: str = "auto"
    ) -> None:
        require_gaussian_readout(problem)
        self.problem, self.log_likelihood = problem, log_likelihood
        resolve_precision(precision)
        self.posterior = Posterior(problem, precision, device)
        """Forward passes of the network; its own energy is the surrogate's, not this one."""
        self.dtype, self.device, self.instances = self.posterior.dtype, self.posterior.device, problem.instances
        self.num_parameters = problem.network.num_parameters
        self._labels = problem.labels.to(self.device).unsqueeze(1)
        self._deviation = math.sqrt(problem.channel.noise_variance)
        self._root = math.sqrt(problem.network.widths[-1] / problem.network.weight_variances[-1])

    def layout(self, chains: int) -> Layout:
        return self.problem.layout(chains)

    def _features(self, position: Position) -> Tensor:
        """Psi^T, [instances, chains, d_L, samples], float64: a copy."""
        hidden = self.posterior.network("train", position.layout.chains).forward_hidden(position.blocks)
        return hidden.to(torch.float64, copy=True) / self._root

    def _potential(self, features: Tensor, coordinates: Tensor) -> Tensor:
        """U without |W|^2 / 2, [instances, chains]."""
        lower, white = self._factorise(features)
        readout = self._readout(lower, white, coordinates)
        latent = (readout.unsqueeze(-2) @ features).squeeze(-2)
        log_determinant = (math.log(self._deviation) - lower.diagonal(dim1=-2, dim2=-1).log()).sum(-1)
        return readout.square().sum(-1) / 2 - self._log_likelihood(latent) - log_determinant

    def _factorise(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """L [instances, chains, d_L, d_L], and L^{-1} Psi^T y [instances, chains, d_L, 1]."""
        shift = self._deviation**2 * torch.eye(features.shape[-2], dtype=torch.float64, device=self.device)
        lower, failed = torch.linalg.cholesky_ex(features @ features.transpose(-1, -2) + shift)
        lower = torch.where(failed[..., None, None] == 0, lower, torch.nan)
        return lower, torch.linalg.solve_triangular(lower, features @ self._labels.unsqueeze(-1), upper=False)

    def _readout(self, lower: Tensor, white: Tensor, coordinates: Tensor) -> Tensor:
        """V, [instances, chains, d_L]."""
        columns = white + self._deviation * coordinates.unsqueeze(-1)
        return torch.linalg.solve_triangular(lower.transpose(-1, -2), columns, upper=True).squeeze(-1)

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
        potential = self._potential(self._features(position), position.blocks[-1].double())
        return potential + _half_square(position.blocks[:-1])

    def gradient(self, position: Position, out: Position | None = None) -> Position:
        """dU/d(W, phi), laid out like the position; written to `out` where given."""
        return self.energy_and_gradient(position, out)[1]

    def energy_and_gradient(self, position: Position, out: Position | None = None) -> tuple[Tensor, Position]:
        """Both; autodiff down to the top hidden layer, then the pull-back of the network."""
        with torch.enable_grad():
            features = self._features(position).requires_grad_()
            coordinates = position.blocks[-1].double().clone().requires_grad_()
            potential = self._potential(features, coordinates)
            by_features, by_coordinates = torch.autograd.grad(potential.sum(), (features, coordinates))
        gradient = position.empty_like() if out is None else out
        network = self.posterior.network("train", position.layout.chains)
        top = by_features / self._root
        network.pull_back_hidden(position.blocks, top, position.blocks, gradient.blocks)
        gradient.blocks[-1].copy_(by_coordinates)
        return potential.detach() + _half_square(position.blocks[:-1]), gradient

    def complete(
        self, position: Position, randomness: Randomness, step: int, stream: Stream = Stream.READOUT
    ) -> Position:
        """All weights of the network, (W, V(W, phi)): nothing is drawn."""
        del randomness, step, stream
        readout = self._readout(*self._factorise(self._features(position)), position.blocks[-1].double())
        return self._with_last(position, readout)

    def _with_last(self, position: Position, last: Tensor) -> Position:
        changed = position.clone()
        changed.blocks[-1].copy_(last)
        return changed

    def initial_position(self, chains: int | tuple[int, ...], start: str, seed: int, point: str = "") -> Position:
        """Independent draws of N(0, I) ("prior"), or the coordinates of the teacher ("teacher")."""
        position = self.posterior.initial_position(chains, start, seed, point)
        if start == "prior":
            return position
        lower, white = self._factorise(self._features(position))
        whitened = lower.transpose(-1, -2) @ position.blocks[-1].double().unsqueeze(-1) - white
        return self._with_last(position, whitened.squeeze(-1) / self._deviation)


def _half_square(blocks: Sequence[Tensor]) -> Tensor:
    """Half the sum of squares, [instances, chains], in float64."""
    return torch.stack([block.double().square().flatten(2).sum(-1) for block in blocks]).sum(0) / 2
