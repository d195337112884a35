"""Observables of densities and of problems without a teacher, and functions of the position that a user gives."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nishimori.measurement.observables import Observation, fit_of, virial
from nishimori.measurement.overlaps import layer_norms
from nishimori.models.layout import Position
from nishimori.models.posterior import Posterior
from nishimori.samplers.base import State

Functions = Mapping[str, Callable[[Tensor], Tensor]]
"""Name -> function of the position at the edge."""
POSITION = "position"
"""What a kept position is recorded as."""


class DataObservables:
    """Of a network's posterior on data without a teacher.

    training_energy   mean (y - F)^2 on the training inputs; with another channel than the Gaussian one
                      training_log_likelihood, mean log p(y | F)
    layer_norm_l      |W_l|^2 / (d_l d_{l-1}); bias_norm_l  |b_l|^2 / d_l, where there are biases
    virial            theta . grad U / number of sampled parameters; its posterior mean is 1
    """

    def __init__(self, posterior: Posterior) -> None:
        self.posterior = posterior
        self.labels = posterior.problem.labels.to(posterior.device).unsqueeze(1)
        self.has_test = posterior.problem.test_inputs is not None

    def __call__(self, state: State, weights: Position) -> Observation:
        fit = fit_of(self.posterior, self.labels, self.posterior.latent(weights, "train").double())
        test = self.posterior.latent(weights, "test").double() if self.has_test else None
        return Observation(
            {
                **fit,
                **layer_norms(weights, self.posterior.problem.network),
                **virial(state, self.posterior.exact_force),
            },
            test,
        )


def density_observables(state: State, weights: Position) -> Observation:
    """log_density -U (up to the constant of U), and the virial theta . grad U / dim, whose mean is 1."""
    del weights
    return Observation({"log_density": -state.energy, **virial(state)})


@dataclass(frozen=True, eq=False)
class UserObservables:
    """A user's functions of the position, and the position itself where it is kept.

    A function gets [instances, chains, num_parameters], without the first axis for a target that has one instance by
    nature (`single`), and returns one number, or one vector, a chain. Raises ValueError for another shape.
    """

    functions: Functions
    keep_position: bool
    single: bool

    def __call__(self, weights: Position) -> dict[str, Tensor]:
        if not (self.functions or self.keep_position):
            return {}
        edge = weights.to_edge()
        given = edge[0] if self.single else edge
        values = {name: self._checked(name, function(given), given) for name, function in self.functions.items()}
        if self.keep_position:
            values[POSITION] = edge
        return values

    def _checked(self, name: str, value: object, given: Tensor) -> Tensor:
        leading = tuple(given.shape[:-1])
        if not isinstance(value, Tensor):
            raise ValueError(f"observable {name!r} returned {type(value).__name__}; return a torch tensor")
        if tuple(value.shape[: len(leading)]) != leading or value.dim() > len(leading) + 1:
            raise ValueError(
                f"observable {name!r} returned shape {tuple(value.shape)} for positions {tuple(given.shape)}; "
                f"return {list(leading)}, or one axis more for a vector a chain"
            )
        return value.detach()[None] if self.single else value.detach()


def require_free_names(functions: Functions, taken: Mapping[str, Tensor]) -> None:
    """ValueError for a user's observable that is called like one of ours."""
    for name in functions:
        if name in taken or name == POSITION:
            raise ValueError(f"observable {name!r} is one that every run records; give yours another name")


def stacked_scalars(values: Mapping[str, Tensor]) -> Tensor:
    """The scalar observables as [observables, instances, chains], float64."""
    return torch.stack([value.double() for value in values.values() if value.dim() == 2])
