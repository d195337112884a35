"""From a config to what is sampled and how: the one place that knows which name of an experiment file means which
class."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from nishimori.adaptation.calibration import CalibrationRecord, Choice
from nishimori.description.build import channel_of, network_of
from nishimori.description.config import Config, SamplerSection, sampler_defaults
from nishimori.description.errors import BadInput
from nishimori.description.inputs import GAUSSIAN
from nishimori.description.sizes import sample_count
from nishimori.description.teacher import teacher_config
from nishimori.models.collapsed import CollapsedPosterior
from nishimori.models.device import resolve_device
from nishimori.models.forward import kernels_of, require_plain_force
from nishimori.models.mismatch import mismatched_teacher
from nishimori.models.named_inputs import generator_of
from nishimori.models.posterior import Posterior
from nishimori.models.problem import Problem, matched_teacher
from nishimori.samplers.base import Sampler
from nishimori.samplers.hmc import HMC
from nishimori.samplers.langevin import UnderdampedLangevin
from nishimori.samplers.mala import MALA
from nishimori.samplers.mclmc import MCLMC
from nishimori.samplers.pcn import PCN
from nishimori.samplers.replica_exchange import ReplicaExchange
from nishimori.sampling.auto import NamedTarget
from nishimori.sampling.precision import as_calibrated, uses_force_exactly
from nishimori_kernels.energy.dispatch import FORCES, require_force


def problem_of(config: Config, point: str, instances: Sequence[int] | None = None) -> Problem:
    """The teachers, data and test inputs of a point: those of `instances`, by default the first data.instances. The
    teachers are matched unless [teacher] says otherwise."""
    data, student = config.data, (network_of(config), channel_of(config))
    drawn: dict[str, Any] = {
        "samples": sample_count(config),
        "instances": data.instances if instances is None else instances,
        "seed": data.seed,
        "test_samples": data.test_samples,
        "point": "" if data.common else point,
        **({} if data.inputs == GAUSSIAN else {"inputs": generator_of(data.inputs, config.network.input_dim)}),
    }
    if not config.teacher:
        return matched_teacher(*student, **drawn)
    theirs = teacher_config(config)
    return mismatched_teacher(*student, **drawn, teacher_network=network_of(theirs), teacher_channel=channel_of(theirs))


def target_of(config: Config, problem: Problem, record: CalibrationRecord | None = None) -> NamedTarget:
    """The target the config names, or that calibration chose: then of all of a point's chains, or of a block that moves
    as they do."""
    chosen, rows = record.chosen if record else None, rows_of(config) if record else None
    target = target_named(config, chosen.target if chosen else config.sampler.target or "plain", problem, rows)
    return as_calibrated(target, record) if record else target


def rows_of(config: Config) -> int:
    """Chains of all instances of a point or batch."""
    section = config.sampler
    return config.data.instances * section.chains * (2 if section.start == "both" else 1)


def target_named(config: Config, name: str, problem: Problem, rows_in_all: int | None = None) -> NamedTarget:
    """ "plain" or "collapsed", on the config's device in its precision; "auto" is single precision where no force can
    have another. `rows_in_all` as in `Posterior`.

    Raises BadInput where the readout cannot be integrated out, or the force is not to be had in that precision.
    """
    precision, device = config.run.precision, config.run.device
    try:
        if name == "collapsed":
            exact = "fp32" if precision == "auto" else precision
            readouts = config.sampler.readouts or 1
            return CollapsedPosterior(problem, exact, device, readouts=readouts, rows_in_all=rows_in_all)
        return Posterior(problem, precision, device, rows_in_all=rows_in_all)
    except ValueError as refusal:
        raise BadInput(f'sampler.target = "{name}", run.precision = "{precision}": {refusal}') from None


def wished_target(config: Config) -> str | None:
    """The target that is asked for; a force with a precision of its own is the plain one's."""
    return "plain" if config.run.precision in FORCES else config.sampler.target


def require_precision(config: Config) -> None:
    """Raises BadInput for a precision of the force that the device, target or sampler has not, or that is not the same
    in blocks."""
    precision, section = config.run.precision, config.sampler
    if config.run.blocks > 1 and precision in (*FORCES, "auto") and resolve_device(config.run.device).type == "cpu":
        raise BadInput(
            f'run.precision = "{precision}" does not go with run.blocks = {config.run.blocks} on the CPU: coarse '
            'forces are rounded otherwise in other company; use "fp32", or run.blocks = 1'
        )
    if precision not in FORCES:
        return
    network, device = network_of(config), resolve_device(config.run.device)
    try:
        require_plain_force(precision, network)
        kernel, name = kernels_of(network, device, torch.float32), network.activation_names
        assert not isinstance(kernel, Sequence) and isinstance(name, str)
        require_force(precision, kernel, device, name)
    except ValueError as refusal:
        raise BadInput(f"run.precision: {refusal}") from None
    if config.channel.kind != "gaussian":
        raise BadInput(
            f'run.precision = "{precision}" does not go with channel.kind = "{config.channel.kind}": coarse forces are '
            'those of Gaussian noise; use "fp32"'
        )
    if section.target == "collapsed":
        raise BadInput(f'run.precision = "{precision}" needs sampler.target = "plain"; use that, or "fp32"')
    if section.kind != "auto" and not uses_force_exactly(sampler_of(config)):
        raise BadInput(
            f'run.precision = "{precision}" needs gradients and a Metropolis test, which sampler.kind = '
            f'"{section.kind}" has not as it is set; use "fp32"'
        )


def sampler_of(config: Config, record: CalibrationRecord | None = None) -> Sampler:
    """The sampler the config names; for "auto", HMC with the integrator that calibration chose."""
    try:
        if config.sampler.kind == "auto":
            return hmc_named(config, _chosen(record).integrator)
        return _SAMPLERS[config.sampler.kind](**_arguments(config.sampler))
    except ValueError as refusal:
        raise BadInput(f"sampler: {refusal}") from None


def hmc_named(config: Config, integrator: str) -> HMC:
    """HMC of one of the candidates of "auto"."""
    return HMC(**{**_arguments(config.sampler), "integrator": integrator})


def as_long(sampler: Sampler, num_steps: int) -> Sampler:
    """The same with trajectories of so many steps, where it has any."""
    return _along(sampler, {"num_steps": num_steps, "path_length": None})


def as_far(sampler: Sampler, path_length: float) -> Sampler:
    """The same with trajectories of this length, where it has any and leaves their length open."""
    if sampler.num_steps is not None or sampler.path_length is not None:
        return sampler
    return _along(sampler, {"path_length": path_length})


def _along(sampler: Sampler, lengths: Mapping[str, Any]) -> Sampler:
    if isinstance(sampler, ReplicaExchange):
        return replace(sampler, sampler=_along(sampler.sampler, lengths))
    return replace(sampler, **lengths) if isinstance(sampler, HMC | UnderdampedLangevin | MCLMC) else sampler


def _chosen(record: CalibrationRecord | None) -> Choice:
    if record is None or record.chosen is None:
        raise ValueError("the calibration record chose no target and integrator; remove it to calibrate anew")
    return record.chosen


def _arguments(section: SamplerSection) -> dict[str, Any]:
    """What the section says of its kind of sampler, target left out."""
    said = {key: getattr(section, key) for key in sampler_defaults(section.kind) if key not in ("target", "readouts")}
    return {key: value for key, value in said.items() if value is not None}


def _replica_exchange(inverse_temperatures: tuple[float, ...] | None = None, **hmc: Any) -> ReplicaExchange:
    return ReplicaExchange(HMC(**hmc), inverse_temperatures)


_SAMPLERS: dict[str, Callable[..., Sampler]] = {
    "hmc": HMC,
    "mala": MALA,
    "pcn": PCN,
    "underdamped_langevin": UnderdampedLangevin,
    "mclmc": MCLMC,
    "replica_exchange": _replica_exchange,
}
