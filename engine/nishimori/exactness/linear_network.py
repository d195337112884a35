"""A network of one hidden layer and the identity activation: not Gaussian, its predictions known by one integral."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from nishimori.description import GaussianChannel, Network
from nishimori.exactness.laws import Place
from nishimori.exactness.linear_network_posterior import (
    LinearNetworkPosterior,
    exact_draws,
    linear_network_prediction,
)
from nishimori.exactness.moments import Case
from nishimori.models.collapsed import CollapsedPosterior
from nishimori.models.layout import Position
from nishimori.models.posterior import Posterior
from nishimori.models.problem import Problem, matched_teacher
from nishimori.models.randomness import Randomness
from nishimori.models.repriorised import RepriorisedPosterior
from nishimori.samplers.base import State

INSTANCES, TEST_SAMPLES = 8, 30
QUANTITIES = ("mean prediction", "variance of predictions")
SQUARES = ("squared hidden weights", "squared readout")


def linear_network(place: Place) -> Case:
    """The posterior of all weights. Chains start at exact draws; quantities are functions of F on test inputs, and the
    squares of the weights of each layer."""
    target = Posterior(linear_problem(), place.precision, place.device)
    (mean, variance), squares = exact_predictions(target), _exact_squares(target)

    def observe(state: State) -> Tensor:
        latent = target.latent(state.position, "test").double()
        predictions = scaled_predictions(latent, torch.zeros_like(latent), mean, variance)
        return torch.cat([predictions, _squares(state.position) / squares])

    return Case(target, (*QUANTITIES, *SQUARES), observe, exact_start(target))


def collapsed_linear_network(place: Place) -> Case:
    """The posterior of the first layer, the readout integrated out; F enters by its mean and variance given W."""
    target = CollapsedPosterior(linear_problem(), place.precision, place.device)
    (mean, variance), squares = exact_predictions(target), _exact_squares(target)

    def observe(state: State) -> Tensor:
        given, spread = target.predictions(state.position, "test")
        predictions = scaled_predictions(given.double(), spread.double(), mean, variance)
        return torch.cat([predictions, _squares(state.position) / squares])

    return Case(target, (*QUANTITIES, SQUARES[0]), observe, exact_start(target))


def linear_problem() -> Problem:
    network = Network(6, (4,), "identity")
    return matched_teacher(network, GaussianChannel(0.5), 10, INSTANCES, test_samples=TEST_SAMPLES)


def exact_predictions(target: Posterior | CollapsedPosterior) -> tuple[Tensor, Tensor]:
    """Means and variances of F, [instances, 1, test_samples]."""
    exact = [linear_network_prediction(target.problem, place) for place in range(INSTANCES)]
    stacked = (np.stack(values) for values in zip(*exact, strict=True))
    mean, variance = (torch.from_numpy(values).to(target.device).unsqueeze(1) for values in stacked)
    return mean, variance


def _exact_squares(target: Posterior | CollapsedPosterior) -> Tensor:
    """Means of the squared weights of the target's layers, [layers, instances, 1]."""
    squares = [LinearNetworkPosterior.of(target.problem, place).squared_weights() for place in range(INSTANCES)]
    layers = len(target.layout(1).shapes)
    return torch.tensor(squares, dtype=torch.float64, device=target.device)[:, :layers].T.unsqueeze(-1)


def _squares(position: Position) -> Tensor:
    """[layers, instances, chains]."""
    return torch.stack([block.double().square().flatten(2).sum(-1) for block in position.blocks])


def exact_start(target: Posterior | CollapsedPosterior | RepriorisedPosterior) -> Callable[[Randomness], Position]:
    """Independent exact draws, of the blocks that the target has."""

    def start(randomness: Randomness) -> Position:
        position = target.layout(len(randomness.chains)).empty(target.dtype, target.device)
        draws = exact_draws(target.problem, randomness)
        for block, values in zip(position.blocks, draws.blocks, strict=False):
            block.copy_(values)
        return position

    return start


def scaled_predictions(given: Tensor, spread: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """Projection of predictions on their exact mean, and squared deviations over exact variances; predictions have
    mean `given` and variance `spread` in a state."""
    projection = (given * mean).sum(-1) / mean.square().sum(-1)
    deviation = ((given - mean).square() + spread).sum(-1) / variance.sum(-1)
    return torch.stack([projection, deviation])
