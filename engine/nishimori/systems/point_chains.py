"""The chains that a point asks for, all of them or one block. Importing this never imports torch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nishimori.description.config import Config
from nishimori.description.identity import identity

if TYPE_CHECKING:
    from nishimori.adaptation.calibration import CalibrationRecord
    from nishimori.chains.journal import Journal
    from nishimori.chains.progress import Progress
    from nishimori.models.layout import Position
    from nishimori.models.problem import Problem
    from nishimori.sampling.auto import NamedTarget
    from nishimori.sampling.moving import Moving


def asked_of_chains(config: Config) -> dict[str, Any]:
    """The arguments of `sampling.sample` that say which chains a point has and what is recorded of them."""
    section, settings = config.sampler, config.run
    return {
        "chains": section.chains,
        "warmup": settings.warmup,
        "draws": settings.draws,
        "thin": settings.thin,
        "start": section.start,
        "seed": settings.seed,
        "point": identity(config),
        "keep": settings.keep,
        "layer_overlaps": config.observables.layer_overlaps,
    }


def chains_of(
    config: Config, record: "CalibrationRecord", target: "NamedTarget", chains: Sequence[int], report: "Progress"
) -> "tuple[Moving, Position]":
    """These `chains` of every instance of `target`, calibrated as `record`, and where they start."""
    from nishimori.sampling.build import sampler_of
    from nishimori.sampling.wishes import Wishes, moving_of

    wishes = Wishes.of(target, **asked_of_chains(config), only_chains=chains)
    return moving_of(target, sampler_of(config, record), record, wishes, report), wishes.start(target)


def moved(
    config: Config,
    record: "CalibrationRecord",
    problem: "Problem",
    chains: Sequence[int],
    report: "Progress",
    journal: "Journal",
) -> "Moving":
    """`chains_of` the config's target, taken to the end of their schedule from where `journal` says that they
    stopped."""
    from nishimori.chains.start import ChainPlan
    from nishimori.sampling.build import sampler_of, target_of
    from nishimori.sampling.continuation import go_on
    from nishimori.sampling.memory import chains_that_fit

    target, plan = target_of(config, problem, record), ChainPlan.of(config.sampler.chains, config.sampler.start, chains)
    with chains_that_fit(target, sampler_of(config, record), plan):
        moving, start = chains_of(config, record, target, chains, report)
        go_on(moving, start, journal)
    return moving
