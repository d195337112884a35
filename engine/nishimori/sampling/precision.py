"""Choose the precision of the force by a short measurement on the very problem: the fastest that loses little.

Positions and energies are those of single precision whatever is chosen, so the law sampled is the same; a coarse force
costs acceptance. From one state and momentum, a transition with each force is proposed: the difference of the two
acceptance probabilities is the loss, averaged along chains of single precision.
"""

from collections.abc import Callable
from functools import partial
from math import sqrt
from typing import TypeVar

import msgspec
import torch

from nishimori.adaptation.calibration import CalibrationRecord, PrecisionChoice
from nishimori.measurement.observers import has_teacher
from nishimori.models.posterior import Posterior
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.samplers.base import CALIBRATION_STREAMS, Sampler
from nishimori.samplers.langevin import UnderdampedLangevin
from nishimori.samplers.mclmc import MCLMC
from nishimori.samplers.pcn import PCN
from nishimori.samplers.replica_exchange import ReplicaExchange
from nishimori.sampling.timing import median_seconds

AnyTarget = TypeVar("AnyTarget", bound=Target)

LARGEST_LOSS = 0.05
"""Of the mean acceptance probability; what loses more is not taken."""
SETTLING, COMPARED = 10, 25
"""Transitions before and while acceptances are compared."""
FIRST_STEP = 2**22
"""Number of the first transition: beyond those of a calibration, whose streams these share."""


def require_exact_test(target: Target, sampler: Sampler) -> None:
    """ValueError where a coarse force would bias what is sampled, or is not used."""
    if not isinstance(target, Posterior) or target.exact_force or uses_force_exactly(sampler):
        return
    raise ValueError(
        f"precision {target.precision!r} needs a sampler with gradients and a Metropolis test, which "
        f"{type(sampler).__name__} is not as it is set; use fp32"
    )


def as_calibrated(target: AnyTarget, record: CalibrationRecord) -> AnyTarget | Posterior:
    """In the precision that calibration chose, where that was left open.

    Raises ValueError where the record chose none.
    """
    if not (isinstance(target, Posterior) and target.precision == "auto"):
        return target
    if record.precision is None:
        raise ValueError('the calibration record chose no precision; give the target one, "fp32" for example')
    return target.at_precision(record.precision)


def uses_force_exactly(sampler: Sampler) -> bool:
    """Whether a Metropolis test makes up for whatever deterministic function the force is."""
    if isinstance(sampler, ReplicaExchange):
        return uses_force_exactly(sampler.sampler)
    if isinstance(sampler, UnderdampedLangevin | MCLMC):
        return sampler.adjusted
    return not isinstance(sampler, PCN)


def with_precision(
    target: Target,
    sampler: Sampler,
    record: CalibrationRecord,
    seed: int,
    point: str,
    chains: int,
    calibration_chains: int,
    progress: Callable[[int, int, float], None],
) -> CalibrationRecord:
    """The record with `precisions` measured, the chosen one marked; itself where the target's precision is not "auto".

    `chains` are the chains of every instance that will run side by side, on which time depends. `progress(done, total,
    acceptance)` is called after every transition.
    """
    if not (isinstance(target, Posterior) and target.precision == "auto"):
        return record
    names = target.precisions() if uses_force_exactly(sampler) else ("fp32",)
    forces = {name: target.at_precision(name) for name in names}
    inner = sampler.sampler if isinstance(sampler, ReplicaExchange) else sampler
    randomness = Randomness.of(seed, point, target.instances, tuple(range(calibration_chains)))
    losses = _losses(forces, inner, record, randomness, seed, point, progress)
    seconds = _seconds(forces, record.num_steps, chains)
    allowed = [name for name in names if losses[name][0] < LARGEST_LOSS]
    best = min(allowed, key=lambda name: seconds[name])
    rows = (
        PrecisionChoice(name, *losses[name], seconds[name], name == best, _reason(name, best, losses[name][0]))
        for name in names
    )
    return msgspec.structs.replace(record, precisions=tuple(rows))


def _reason(name: str, best: str, loss: float) -> str:
    if name == best:
        return f"the fastest that loses less than {LARGEST_LOSS:g} of acceptance"
    return f"loses {loss:.3f} of acceptance" if loss >= LARGEST_LOSS else "slower"


def _losses(
    forces: dict[str, Posterior],
    sampler: Sampler,
    record: CalibrationRecord,
    randomness: Randomness,
    seed: int,
    point: str,
    progress: Callable[[int, int, float], None],
) -> dict[str, tuple[float, float]]:
    """Loss of acceptance against single precision, and its standard error."""
    sizes = record.step_size_of(randomness.instances)
    kernels = {
        name: sampler.kernel(force, sizes, record.num_steps, randomness, CALIBRATION_STREAMS)
        for name, force in forces.items()
    }
    exact = forces["fp32"]
    start = "teacher" if has_teacher(exact) else "prior"
    state = kernels["fp32"].init(exact.initial_position(randomness.chains, start, seed, point))
    found: dict[str, list[torch.Tensor]] = {name: [] for name in forces}
    total = SETTLING + COMPARED if len(forces) > 1 else 0
    for number in range(total):
        moved, info = kernels["fp32"].step(state, FIRST_STEP + number)
        for name, kernel in kernels.items():
            if number >= SETTLING:
                other = info if name == "fp32" else kernel.step(kernel.init(state.position), FIRST_STEP + number)[1]
                found[name].append((info.acceptance - other.acceptance).flatten())
        state = moved
        progress(number + 1, total, float(info.acceptance.mean()))
    return {name: _mean(torch.cat(values)) if values else (0.0, 0.0) for name, values in found.items()}


def _mean(values: torch.Tensor) -> tuple[float, float]:
    return float(values.mean()), float(values.std()) / sqrt(len(values))


def _seconds(forces: dict[str, Posterior], num_steps: int, chains: int) -> dict[str, float]:
    """Median time of a gradient of all chains; with a coarse force, of its share of an energy of its own too."""
    position = forces["fp32"].initial_position(chains, "prior", 0)
    out = position.empty_like()
    calls: dict[str, Callable[[], object]] = {
        name: partial(force.gradient, position, out) for name, force in forces.items()
    }
    calls["energy"] = partial(forces["fp32"].energy, position)
    seconds = median_seconds(calls, position.flat.device)
    own_energy = seconds["energy"] / num_steps
    return {name: seconds[name] + (0.0 if force.exact_force else own_energy) for name, force in forces.items()}
