"""A torch.nn.Module as a target: the linear network again, its weights scaled by their priors instead of by layers."""

import torch
from torch import Tensor, nn

from nishimori.description import GaussianChannel, Network
from nishimori.exactness.laws import Place
from nishimori.exactness.linear_network import QUANTITIES, scaled_predictions
from nishimori.exactness.linear_network_posterior import exact_draws, linear_network_prediction
from nishimori.exactness.moments import Case, MomentLaw
from nishimori.models.layout import Position
from nishimori.models.likelihoods import GaussianLikelihood
from nishimori.models.module import ModuleTarget
from nishimori.models.problem import Problem, matched_teacher
from nishimori.models.randomness import Randomness
from nishimori.samplers.base import State
from nishimori.samplers.hmc import HMC

INPUT_DIM, WIDTH, NOISE_VARIANCE = 6, 4, 0.5


class LinearNetwork(nn.Module):
    """x -> readout . (hidden x)."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Parameter(torch.zeros(WIDTH, INPUT_DIM, dtype=torch.float64, device="cpu"))
        self.readout = nn.Parameter(torch.zeros(WIDTH, dtype=torch.float64, device="cpu"))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs @ self.hidden.T @ self.readout


def module_problem() -> Problem:
    """One instance of the linear network."""
    network = Network(INPUT_DIM, (WIDTH,), "identity")
    return matched_teacher(network, GaussianChannel(NOISE_VARIANCE), 10, test_samples=30)


def module_target(problem: Problem, place: Place) -> ModuleTarget:
    """The posterior of `LinearNetwork` on the data of the first instance."""
    likelihood = GaussianLikelihood(problem.inputs[0], problem.labels[0], NOISE_VARIANCE)
    scales = {"hidden": INPUT_DIM**-0.5, "readout": WIDTH**-0.5}
    return ModuleTarget(LinearNetwork(), likelihood, scales, place.precision, place.device)


def module_network(place: Place) -> Case:
    """Chains start at exact draws; quantities are functions of F on test inputs."""
    problem = module_problem()
    target = module_target(problem, place)
    test = problem.rows("test")[0]
    mean, variance = (torch.from_numpy(values).to(target.device) for values in linear_network_prediction(problem, 0))

    def start(randomness: Randomness) -> Position:
        position = target.layout(len(randomness.chains)).empty(target.dtype, target.device)
        for block, values in zip(position.blocks, exact_draws(problem, randomness).blocks, strict=True):
            block.copy_(values)
        return position

    def observe(state: State) -> Tensor:
        latent = target.predict(state.position, test).double()
        return scaled_predictions(latent, torch.zeros_like(latent), mean, variance)

    return Case(target, QUANTITIES, observe, start)


def module_laws() -> tuple[MomentLaw, ...]:
    statement = "keeps the posterior of a torch.nn.Module, a linear network"
    sampler = HMC("leapfrog", 0.2, 7)
    return (MomentLaw("module/hmc-leapfrog", statement, module_network, sampler, chains=2400, warmup=0, draws=100),)
