"""The force is the slope of the energy. Metropolis hides a wrong force, which costs acceptance alone; this does not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nishimori.description import GaussianChannel, Network
from nishimori.exactness.laws import Comparison, Outcome, Place
from nishimori.exactness.modules import module_problem, module_target
from nishimori.models.collapsed import CollapsedPosterior
from nishimori.models.layout import Position, add_scaled_, chain_dot
from nishimori.models.posterior import Posterior
from nishimori.models.problem import Problem, matched_teacher
from nishimori.models.randomness import Randomness
from nishimori.models.repriorised import RepriorisedPosterior
from nishimori.models.target import Target
from nishimori.models.tempered import TemperedTarget
from nishimori_kernels.rng.streams import Stream

CHAINS, INSTANCES, SAMPLES, NOISE_VARIANCE = 16, 2, 7, 0.5
ACTIVATIONS = ("identity", "tanh", "tanh2", "tanh2_nonlinear", "erf", "erf_sqrt2", "sin", "relu")
ROUNDINGS = 10.0
"""How many roundings of an energy a difference of two is held to."""


@dataclass(frozen=True)
class GradientLaw:
    """Slopes along a random direction of every chain, by force and by central differences of the energy.

    A comparison's z is the root mean square difference of both, in units of the error of the central difference: its
    change when the step is doubled, and the rounding of the energies. It is below 1 for the right force.
    """

    name: str
    statement: str
    targets: Callable[[Place], Mapping[str, Target]]

    def check(self, place: Place) -> Outcome:
        return Outcome(tuple(_compare(name, target, place.seed) for name, target in self.targets(place).items()))


def gradient_laws() -> tuple[GradientLaw, ...]:
    return (
        GradientLaw("posterior/gradient", "has the slope of its energy as force, for every activation", _posteriors),
        GradientLaw("collapsed/gradient", "has it with the readout integrated out or repriorised", _without_readout),
        GradientLaw("module/gradient", "has it for a torch.nn.Module", _module),
    )


def _posteriors(place: Place) -> dict[str, Target]:
    """A network of two hidden layers with every activation, one of them at two temperatures, a fixed readout, and one
    with biases, weight variances and two activations."""
    targets: dict[str, Target] = {
        name: Posterior(_problem((5, 3), name), place.precision, place.device) for name in ACTIVATIONS
    }
    fixed = Posterior(_problem((5, 3), "tanh", "fixed"), place.precision, place.device)
    network = Network(6, (5, 3), ("tanh", "relu"), bias_variance=0.5, weight_variance=(1.5, 0.7, 1.2))
    biased = Posterior(_problem_of(network), place.precision, place.device)
    return {
        **targets,
        "fixed readout": fixed,
        "biased": biased,
        "tempered": TemperedTarget(targets["tanh"], (1.0, 0.3)),
    }


def _without_readout(place: Place) -> dict[str, Target]:
    problem = _problem((5, 4), "tanh")
    where = place.precision, place.device
    return {
        "weight form": CollapsedPosterior(problem, *where, form="weight"),
        "kernel form": CollapsedPosterior(problem, *where, form="kernel"),
        "repriorised": RepriorisedPosterior(problem, _logistic, *where),
    }


def _module(place: Place) -> dict[str, Target]:
    return {"module": module_target(module_problem(), place)}


def _problem(widths: tuple[int, ...], activation: str, readout: str = "gaussian") -> Problem:
    return _problem_of(Network(6, widths, activation, readout))


def _problem_of(network: Network) -> Problem:
    return matched_teacher(network, GaussianChannel(NOISE_VARIANCE), SAMPLES, INSTANCES, test_samples=1)


def _logistic(latent: Tensor, labels: Tensor) -> Tensor:
    return torch.nn.functional.logsigmoid(latent * labels.sign()).sum(-1)


def _compare(quantity: str, target: Target, seed: int) -> Comparison:
    position = target.initial_position(CHAINS, "prior", seed)
    direction = _unit_direction(target, position, seed)
    step = 10 * torch.finfo(target.dtype).eps ** (1 / 3)
    slope = chain_dot(target.gradient(position), direction)
    fine, coarse = (_central_difference(target, position, direction, size) for size in (step, 2 * step))
    rounding = ROUNDINGS * torch.finfo(target.dtype).eps * target.energy(position).abs() / step
    error = float(((coarse - fine).square() + rounding.square()).mean().sqrt())
    return Comparison(quantity, float((slope - fine).square().mean().sqrt()) / error)


def _unit_direction(target: Target, position: Position, seed: int) -> Position:
    randomness = Randomness.of(seed, "gradient", target.instances, range(position.layout.chains))
    direction = randomness.fill_normals(position.empty_like(), Stream.MOMENTUM, 0)
    unit = position.empty_like()
    unit.flat.zero_()
    add_scaled_(unit, direction, chain_dot(direction, direction).rsqrt())
    return unit


def _central_difference(target: Target, position: Position, direction: Position, step: float) -> Tensor:
    """[instances, chains]."""
    energies = []
    for shift in (step, -step):
        moved = position.clone()
        moved.flat.add_(direction.flat, alpha=shift)
        energies.append(target.energy(moved))
    return (energies[0] - energies[1]) / (2 * step)
