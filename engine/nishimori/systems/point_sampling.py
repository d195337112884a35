"""The chains of a point: calibrated once, then sampled. Importing this never imports torch."""

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from nishimori.description.blocks import blocks_of
from nishimori.description.build import channel_of, network_of
from nishimori.description.channels import CLASSES
from nishimori.description.config import Config
from nishimori.description.identity import identity
from nishimori.description.teacher import mismatch_of
from nishimori.systems.point_blocks import sampled_in_blocks
from nishimori.systems.point_chains import moved

if TYPE_CHECKING:
    from nishimori.adaptation.calibration import CalibrationRecord
    from nishimori.chains.writers import PointWriter
    from nishimori.models.problem import Problem
    from nishimori.samplers.base import Sampler
    from nishimori.sampling import Run
    from nishimori.sampling.auto import NamedTarget


def checks_in_experiment(config: Config, writer: "PointWriter") -> int:
    """Exact checks of all points of the experiment that this point is of, for the level of each."""
    from nishimori.chains.start import ChainPlan
    from nishimori.measurement.identities import number_of_checks

    section = config.sampler
    plan, classes = ChainPlan.of(section.chains, section.start), isinstance(channel_of(config), CLASSES)
    layer_overlaps = config.observables.layer_overlaps
    checks = number_of_checks(plan, network_of(config), (section.readouts or 1) == 1, layer_overlaps, classes)
    return writer.points_in_experiment * (1 if mismatch_of(config) else checks)


def sample_point(config: Config, writer: "PointWriter", instances: range, like: "CalibrationRecord | None") -> "Run":
    """These instances of the point, calibrated `like` the record of others as to all but step sizes."""
    from nishimori.sampling.build import problem_of
    from nishimori.sampling.sample import run_of

    problem = problem_of(config, identity(config), instances)
    record, checks = calibrated(config, problem, writer, like), checks_in_experiment(config, writer)
    if config.run.blocks > 1:
        return sampled_in_blocks(config, writer, record).run(config, checks)
    (block,), (journal,) = blocks_of(config), writer.journals(config.run.segment_seconds)
    return run_of(moved(config, record, problem, block.chains, writer.progress, journal), record, checks)


def calibrated(
    config: Config, problem: "Problem", writer: "PointWriter", like: "CalibrationRecord | None" = None
) -> "CalibrationRecord":
    """The record that is published, made and published where there is none."""
    from nishimori.chains.start import ChainPlan
    from nishimori.sampling.build import sampler_of, target_named
    from nishimori.sampling.memory import chains_that_fit

    section, record = config.sampler, writer.calibration()
    if record is not None:
        return record
    named = None if section.kind == "auto" else sampler_of(config)
    plan = ChainPlan.of(section.chains, section.start)
    with chains_that_fit(target_named(config, section.target or "plain", problem), named, plan):
        record = _calibrate(config, problem, writer, like)
    writer.publish_calibration(record)
    return record


def _calibrate(
    config: Config, problem: "Problem", writer: "PointWriter", like: "CalibrationRecord | None"
) -> "CalibrationRecord":
    """By the sampler the config names; with "auto", target and integrator are chosen first, and the precision of the
    force last. What is one for a whole point is that of `like`, where it is given."""
    from nishimori.sampling import calibration_of
    from nishimori.sampling.auto import candidates_for, choose
    from nishimori.sampling.build import as_long, hmc_named, sampler_of, target_named, target_of, wished_target
    from nishimori.sampling.precision import with_precision

    section, point, seed = config.sampler, identity(config), config.run.seed
    chains = section.chains * (2 if section.start == "both" else 1)

    def calibrate(target: "NamedTarget", sampler: "Sampler", phase: str) -> "CalibrationRecord":
        own, judged = section.calibration_chains, section.kind == "auto"
        return calibration_of(target, sampler, seed, point, writer.progress, own, phase=phase, weights_too=judged)

    if like is not None:
        own = calibrate(
            target_of(config, problem, like), as_long(sampler_of(config, like), like.num_steps), "calibration"
        )
        return msgspec.structs.replace(own, choices=like.choices, precisions=like.precisions)
    if section.kind == "auto":
        record = choose(
            problem,
            candidates_for(problem, wished_target(config), section.integrator),
            lambda name, part: target_named(config, name, part),
            lambda integrator: hmc_named(config, integrator),
            chains,
            calibrate,
        )
        target = target_named(config, record.chosen.target if record.chosen else "plain", problem)
    else:
        target = target_named(config, section.target or "plain", problem)
        record = calibrate(target, sampler_of(config), "calibration")
    told = partial(writer.progress, "precision")
    return with_precision(
        target, sampler_of(config, record), record, seed, point, chains, section.calibration_chains, told
    )
