"""Experiments: objects with `parameters`, `run_point` and `predict`, made of the layers below; and how their files are
read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nishimori.description import experiment
from nishimori.description.experiment import Experiment
from nishimori.systems.base import System
from nishimori.systems.covariate_model import CovariateModel
from nishimori.systems.hidden_manifold_online import HiddenManifoldOnline
from nishimori.systems.infinite_ensemble import InfiniteEnsemble
from nishimori.systems.kernel_corrections import KernelCorrections
from nishimori.systems.matched_teacher import MatchedTeacher
from nishimori.systems.random_features_online import RandomFeaturesOnline

SYSTEMS: dict[str, System] = {
    "matched_teacher": MatchedTeacher(),
    "hidden_manifold_online": HiddenManifoldOnline(),
    "kernel_corrections": KernelCorrections(),
    "infinite_ensemble": InfiniteEnsemble(),
    "covariate_model": CovariateModel(),
    "random_features_online": RandomFeaturesOnline(),
}
"""By the kind that an experiment file names; another system is one entry."""

__all__ = ["SYSTEMS", "MatchedTeacher", "System", "expand", "load_experiment"]


def load_experiment(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Of any of the systems, as `description.experiment.load_experiment` does."""
    return experiment.load_experiment(path, overrides, {kind: system.resolve for kind, system in SYSTEMS.items()})


def expand(document: Mapping[str, Any]) -> Experiment:
    """Of any of the systems, as `description.experiment.expand` does."""
    return experiment.expand(document, {kind: system.resolve for kind, system in SYSTEMS.items()})
