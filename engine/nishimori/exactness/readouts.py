"""Readouts that are integrated out and drawn again, in both forms, and repriorised ones: the law of all weights."""

from collections.abc import Callable
from itertools import count

import torch
from torch import Tensor

from nishimori.exactness.laws import Place
from nishimori.exactness.linear_network import (
    QUANTITIES,
    exact_predictions,
    exact_start,
    linear_problem,
    scaled_predictions,
)
from nishimori.exactness.moments import Case, MomentLaw
from nishimori.models.collapsed import CollapsedPosterior
from nishimori.models.layout import Position
from nishimori.models.randomness import Randomness
from nishimori.models.repriorised import RepriorisedPosterior
from nishimori.samplers.base import State
from nishimori.samplers.hmc import HMC
from nishimori_kernels.rng.streams import Stream

SAMPLER = HMC("rotation", 0.3, 5)
DRAWN_AND_AVERAGED = (*QUANTITIES, *(f"{quantity}, averaged over readouts" for quantity in QUANTITIES))


def weight_form(place: Place) -> Case:
    """A linear network; quantities are functions of F, the readout drawn at every look, and averaged over."""
    target = CollapsedPosterior(linear_problem(), place.precision, place.device, form="weight")
    return Case(target, DRAWN_AND_AVERAGED, _completed(target, place), exact_start(target))


def kernel_form(place: Place) -> Case:
    target = CollapsedPosterior(linear_problem(), place.precision, place.device, form="kernel")
    return Case(target, DRAWN_AND_AVERAGED, _completed(target, place), exact_start(target))


def repriorised(place: Place) -> Case:
    """The same posterior by a likelihood given as a function. Its surrogate is exact, so that phi is N(0, I)."""
    problem = linear_problem()

    def log_likelihood(latent: Tensor, labels: Tensor) -> Tensor:
        return -(labels - latent).square().sum(-1) / (2 * problem.channel.noise_variance)

    target = RepriorisedPosterior(problem, log_likelihood, place.precision, place.device)

    def start(randomness: Randomness) -> Position:
        position = exact_start(target)(randomness)
        normals = randomness.fill_normals(position.empty_like(), Stream.READOUT, 0)
        position.blocks[-1].copy_(normals.blocks[-1])
        return position

    return Case(target, QUANTITIES, _completed(target, place), start)


def readout_laws() -> tuple[MomentLaw, ...]:
    cases = {
        "collapsed-weight-form": (weight_form, "keeps the posterior of a linear network, readouts drawn again"),
        "collapsed-kernel-form": (kernel_form, "keeps it where the readout is integrated out by kernels"),
        "repriorised": (repriorised, "keeps it in repriorised coordinates"),
    }
    return tuple(
        MomentLaw(f"{name}/hmc-rotation", statement, case, SAMPLER, chains=320, warmup=0, draws=50)
        for name, (case, statement) in cases.items()
    )


def _completed(target: CollapsedPosterior | RepriorisedPosterior, place: Place) -> Callable[[State], Tensor]:
    mean, variance = exact_predictions(target.posterior)
    looks = count()

    def observe(state: State) -> Tensor:
        chains = range(state.position.layout.chains)
        randomness = Randomness.of(place.seed, "readout", target.instances, chains)
        weights = target.complete(state.position, randomness, next(looks))
        latent = target.posterior.latent(weights, "test").double()
        drawn = scaled_predictions(latent, torch.zeros_like(latent), mean, variance)
        if isinstance(target, RepriorisedPosterior):
            return drawn
        given, spread = target.predictions(state.position, "test")
        return torch.cat([drawn, scaled_predictions(given.double(), spread.double(), mean, variance)])

    return observe
