"""One problem at several noise variances, its labels drawn anew at each: every rung is Bayes-optimal."""

from collections.abc import Sequence

import torch
from torch import Tensor

from nishimori.description import GaussianChannel
from nishimori.models.layout import Layout, Position
from nishimori.models.posterior import Posterior
from nishimori.models.problem import Problem, Teacher
from nishimori.models.tempered import TemperedTarget


class NoiseLadder:
    """U = b sum_mu (y_mu - F(x_mu))^2 / (2 Delta) + |theta|^2 / 2 with y = F* + sqrt(Delta / b) z, rung by rung.

    Place instance * rungs + rung of the axis of instances is `instance` at inverse_temperatures[rung] = b, that is at
    noise variance Delta / b: the same teacher, inputs and z as in `posterior`, other labels. The teacher is an exact
    draw from every rung's posterior. Identities are instance * rungs + rung too, so that a rung's random numbers depend
    on the number of rungs.

    Raises ValueError where there is no teacher, or for another channel than the Gaussian one.
    """

    gaussian_prior = True

    def __init__(self, posterior: Posterior, inverse_temperatures: Sequence[float]) -> None:
        self.inverse_temperatures = tuple(inverse_temperatures)
        self.problem = regenerated(posterior.problem, self.inverse_temperatures)
        self.posterior = Posterior(self.problem, posterior.precision, posterior.device.type)
        self._tempered = TemperedTarget(self.posterior, (1.0,))
        self.num_parameters, self.instances = self.posterior.num_parameters, self.problem.instances
        self.dtype, self.device = self.posterior.dtype, self.posterior.device
        count = len(self.instances) // len(self.inverse_temperatures)
        ratios = torch.tensor(self.inverse_temperatures, dtype=torch.float64, device=self.device)
        self._ratio = ratios.repeat(count).unsqueeze(1)

    def layout(self, chains: int) -> Layout:
        return self.posterior.layout(chains)

    def _ratios(self, position: Position) -> Tensor:
        return self._ratio.expand(-1, position.layout.chains)

    def energy(self, position: Position) -> Tensor:
        """U, [instances * rungs, chains], float64."""
        return self._tempered.reweighted_energy(self.posterior.energy(position), position, self._ratios(position))

    def gradient(self, position: Position, out: Position | None = None) -> Position:
        """b dPhi + theta, laid out like the position; written to `out` where given."""
        return self._tempered.reweight_(self.posterior.gradient(position, out), position, self._ratios(position))

    def energy_and_gradient(self, position: Position, out: Position | None = None) -> tuple[Tensor, Position]:
        energy, gradient = self.posterior.energy_and_gradient(position, out)
        ratios = self._ratios(position)
        energy = self._tempered.reweighted_energy(energy, position, ratios)
        return energy, self._tempered.reweight_(gradient, position, ratios)

    def initial_position(self, chains: int | tuple[int, ...], start: str, seed: int, point: str = "") -> Position:
        """As of `Posterior`."""
        return self.posterior.initial_position(chains, start, seed, point)


def regenerated(problem: Problem, inverse_temperatures: Sequence[float]) -> Problem:
    """Every instance at every rung, without test inputs; the label noise is that of `problem`, scaled."""
    teacher, rungs = problem.known_teacher(), len(inverse_temperatures)
    if not isinstance(problem.channel, GaussianChannel):
        raise ValueError(f"labels of {problem.channel!r} have no signal-to-noise ratio; use GaussianChannel")

    def repeated(values: Tensor) -> Tensor:
        return values.repeat_interleave(rungs, dim=0)

    scale = torch.tensor(inverse_temperatures, dtype=torch.float64, device="cpu").rsqrt().repeat(len(problem.instances))
    latent = repeated(teacher.latent)
    labels = latent + scale.unsqueeze(1) * repeated(problem.labels - teacher.latent)
    layout = Layout(len(latent), 1, teacher.weights.layout.shapes)
    weights = layout.from_edge(repeated(teacher.weights.to_edge()))
    empty = problem.inputs.new_zeros(len(latent), 0)
    return Problem(
        problem.network,
        problem.channel,
        repeated(problem.inputs),
        labels,
        teacher=Teacher(weights, latent, empty.unsqueeze(-1).expand(-1, -1, problem.network.input_dim), empty),
        instances=[instance * rungs + rung for instance in problem.instances for rung in range(rungs)],
    )
