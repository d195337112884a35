"""Which observables a target has: one observer for the chain loop, made of the pieces beside this file."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeGuard

import torch
from torch import Tensor

from nishimori.chains.start import ChainPlan
from nishimori.measurement.intervals import PredictiveIntervals
from nishimori.measurement.layer_overlaps import KINDS, LayerOverlaps
from nishimori.measurement.observables import MatchedTeacherObservables, Observation
from nishimori.measurement.own_observables import (
    POSITION,
    DataObservables,
    Functions,
    UserObservables,
    density_observables,
    require_free_names,
)
from nishimori.models.collapsed import CollapsedPosterior
from nishimori.models.density import DensityTarget
from nishimori.models.layout import Position, chain_dot
from nishimori.models.module import ModuleTarget
from nishimori.models.posterior import Posterior
from nishimori.models.randomness import Randomness
from nishimori.models.ranges import named_range
from nishimori.models.repriorised import RepriorisedPosterior
from nishimori.models.target import Target
from nishimori.samplers.base import State
from nishimori_kernels.rng.streams import Stream
from nishimori_kernels.rows import row_mean

NetworkTarget = Posterior | CollapsedPosterior | RepriorisedPosterior
Pairs = Sequence[tuple[int, int]]


def is_single(target: Target) -> bool:
    """Whether the target has one instance by nature, whose axis a Run drops."""
    return isinstance(target, DensityTarget | ModuleTarget)


def has_teacher(target: Target) -> bool:
    """Whether labels came from a teacher of the student's kind through the channel that the target assumes: one that is
    a sample of the posterior."""
    return is_compared(target) and not target.problem.mismatch


def is_compared(target: Target) -> TypeGuard[Posterior | CollapsedPosterior]:
    """Whether labels came from a teacher, of the student's kind or not, with which draws are compared."""
    return isinstance(target, Posterior | CollapsedPosterior) and target.problem.teacher is not None


def is_led(target: Target, plan: ChainPlan) -> bool:
    """Whether chains with a Gaussian prior are led to the posterior by an annealed likelihood: there is no exact sample
    to start at, or the student might differ from its teacher and no chain starts there."""
    if not has_teacher(target):
        return True
    assert is_compared(target) and target.problem.teacher is not None
    return target.problem.teacher.network is not None and not plan.where("teacher")


def intervals_of(target: Target, plan: ChainPlan, draws: int) -> PredictiveIntervals | None:
    """Predictive intervals of a matched student, none for other targets and for labels that are classes."""
    if not (is_compared(target) and has_teacher(target)):
        return None
    if target.posterior.law.classes:
        return None
    return PredictiveIntervals(draws, plan.in_all, target.problem.channel.noise_variance, plan.chains)


def complete(target: Target, position: Position, randomness: Randomness, step: int, stream: Stream) -> Position:
    """All weights: the position, with a readout that the target integrates out drawn given it."""
    if isinstance(target, NetworkTarget):
        return target.complete(position, randomness, step, stream)
    return position


@dataclass(frozen=True, eq=False)
class Observer:
    """Everything a run records of a state. `observe(state, weights)` gives the target's own observables; `step`
    addresses the readouts that are drawn, over which observables are averaged (see `CollapsedPosterior.readouts`).
    `layers`, where they are asked for, are those of draws alone, and of one readout each."""

    target: Target
    observe: Callable[[State, Position], Observation]
    own: UserObservables
    randomness: Randomness
    layers: LayerOverlaps | None = None

    def __call__(self, state: State, step: int, is_draw: bool) -> Observation:
        with named_range("observe", self.target.device):
            return self._observation(state, step, is_draw)

    def _observation(self, state: State, step: int, is_draw: bool) -> Observation:
        observations, layers = [], {}
        for weights in self._completions(state.position, step):
            if is_draw and self.layers and not observations:
                layers = self.layers(weights)
            observations.append(self._observe(state, weights))
        first = observations[0]
        values = {**_means([observation.values for observation in observations]), **layers}
        if is_draw and isinstance(self.target, CollapsedPosterior) and first.test_predictions is not None:
            return _rao_blackwell(self.target, self.observe, state, replace(first, values=values))
        return replace(first, values=values)

    def _completions(self, position: Position, step: int) -> Iterable[Position]:
        if isinstance(self.target, CollapsedPosterior):
            return self.target.completions(position, self.randomness, step, self.target.readouts)
        return [complete(self.target, position, self.randomness, step, Stream.READOUT)]

    def _observe(self, state: State, weights: Position) -> Observation:
        observation = self.observe(state, weights)
        require_free_names(self.own.functions, observation.values)
        return replace(observation, values={**observation.values, **self.own(weights)})


def _means(drawn: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Of every observable over the readouts; a kept position is that of the first."""
    if len(drawn) == 1:
        return drawn[0]
    return {
        name: value if name == POSITION else row_mean(torch.stack([values[name] for values in drawn], -1).double())
        for name, value in drawn[0].items()
    }


def observer_of(
    target: Target,
    pairs: Pairs,
    functions: Functions,
    keep_position: bool,
    randomness: Randomness,
    layer_overlaps: Sequence[str] = (),
) -> Observer:
    """The observer of a target whose independent chains pair up as `pairs`; raises what `require_layer_overlaps`
    does."""
    own, layers = UserObservables(functions, keep_position, is_single(target)), None
    require_layer_overlaps(target, layer_overlaps)
    if layer_overlaps and isinstance(target, Posterior | CollapsedPosterior):
        layers = LayerOverlaps(target.posterior, layer_overlaps, pairs)
    return Observer(target, _observables(target, pairs), own, randomness, layers)


def require_layer_overlaps(target: Target, kinds: Sequence[str]) -> None:
    """ValueError for layer overlaps of an unknown kind, or without a teacher to compare with."""
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"layer_overlaps of {kind!r} are unknown; use some of {', '.join(KINDS)}")
    if kinds and not has_teacher(target):
        unlike = is_compared(target)
        raise ValueError(
            "layer_overlaps compare with a teacher of the student's kind, and this target has "
            f"{'one that differs from its student' if unlike else 'none'}; leave them out"
        )


def _observables(target: Target, pairs: Pairs) -> Callable[[State, Position], Observation]:
    if is_compared(target):
        return MatchedTeacherObservables(target.posterior, pairs)
    if isinstance(target, NetworkTarget):
        return DataObservables(target.posterior)
    return density_observables


def _rao_blackwell(
    target: CollapsedPosterior,
    observe: Callable[[State, Position], Observation],
    state: State,
    drawn: Observation,
) -> Observation:
    """Predictions with the readout averaged out instead of drawn, and the Gibbs error they give."""
    values = drawn.values
    mean, variance = target.predictions(state.position, "test")
    if isinstance(observe, MatchedTeacherObservables):
        error = (mean.double() - observe.test_latent).square() + variance.double()
        values = {**values, "rao_blackwell_gibbs_error": row_mean(error)}
    return replace(drawn, values=values, test_predictions=mean.double(), test_variance=variance.double())


def mixing_of(target: Target, randomness: Randomness, weights_too: bool = False) -> Callable[[State], Tensor] | None:
    """The observables by which calibration judges how fast chains mix; None where the target names none.

    Readouts that the target integrates out are fresh at every look, as they are at every draw. Errors then mix at once,
    and what is slow is the turning of the hidden weights: a random projection of the position is judged with them, and
    for any target with `weights_too`.
    """
    if not is_compared(target):
        return None
    observables = MatchedTeacherObservables(target.posterior, pairs=())
    looks, direction = iter(range(2**31)), None
    if weights_too or isinstance(target, CollapsedPosterior):
        direction = target.layout(len(randomness.chains)).empty(target.dtype, target.device)
        randomness.fill_normals(direction, Stream.CALIBRATION_READOUT, 2**31)

    def mixing(state: State) -> Tensor:
        weights = complete(target, state.position, randomness, next(looks), Stream.CALIBRATION_READOUT)
        named = observables.mixing(state, weights)
        if direction is None:
            return named
        return torch.cat([named, chain_dot(state.position, direction)[None]])

    return mixing
