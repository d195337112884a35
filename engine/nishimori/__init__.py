"""nishimori: sample deep Bayesian networks trained on matched teachers and lay theory over the measurements.

Public names are resolved on first use, so that importing the package imports neither torch nor numba.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nishimori import theory
    from nishimori.adaptation.calibration import CalibrationRecord
    from nishimori.description import (
        Activation,
        GaussianChannel,
        LogisticChannel,
        Network,
        OutputChannel,
        OutputFunction,
        ProbitChannel,
    )
    from nishimori.models.collapsed import CollapsedPosterior
    from nishimori.models.density import DensityTarget
    from nishimori.models.inputs import GaussianInputs, HiddenManifoldInputs, IndependentInputs, ModuleInputs
    from nishimori.models.likelihoods import CategoricalLikelihood, GaussianLikelihood
    from nishimori.models.mismatch import mismatched_teacher
    from nishimori.models.module import ModuleTarget
    from nishimori.models.posterior import Posterior
    from nishimori.models.problem import Problem, matched_teacher
    from nishimori.models.repriorised import RepriorisedPosterior
    from nishimori.models.wide_network import WideNetwork
    from nishimori.samplers.hmc import HMC
    from nishimori.samplers.langevin import UnderdampedLangevin
    from nishimori.samplers.mala import MALA
    from nishimori.samplers.mclmc import MCLMC
    from nishimori.samplers.pcn import PCN
    from nishimori.samplers.replica_exchange import ReplicaExchange
    from nishimori.sampling import Run, controlled_errors, information, load, sample

__version__ = "0.1.0"

_HOMES = {
    "theory": "nishimori.theory",
    "CalibrationRecord": "nishimori.adaptation.calibration",
    "Activation": "nishimori.description",
    "GaussianChannel": "nishimori.description",
    "LogisticChannel": "nishimori.description",
    "Network": "nishimori.description",
    "OutputChannel": "nishimori.description",
    "OutputFunction": "nishimori.description",
    "ProbitChannel": "nishimori.description",
    "CollapsedPosterior": "nishimori.models.collapsed",
    "DensityTarget": "nishimori.models.density",
    "GaussianInputs": "nishimori.models.inputs",
    "HiddenManifoldInputs": "nishimori.models.inputs",
    "IndependentInputs": "nishimori.models.inputs",
    "ModuleInputs": "nishimori.models.inputs",
    "CategoricalLikelihood": "nishimori.models.likelihoods",
    "GaussianLikelihood": "nishimori.models.likelihoods",
    "ModuleTarget": "nishimori.models.module",
    "Posterior": "nishimori.models.posterior",
    "Problem": "nishimori.models.problem",
    "matched_teacher": "nishimori.models.problem",
    "mismatched_teacher": "nishimori.models.mismatch",
    "RepriorisedPosterior": "nishimori.models.repriorised",
    "WideNetwork": "nishimori.models.wide_network",
    "HMC": "nishimori.samplers.hmc",
    "UnderdampedLangevin": "nishimori.samplers.langevin",
    "MALA": "nishimori.samplers.mala",
    "MCLMC": "nishimori.samplers.mclmc",
    "PCN": "nishimori.samplers.pcn",
    "ReplicaExchange": "nishimori.samplers.replica_exchange",
    "Run": "nishimori.sampling",
    "controlled_errors": "nishimori.sampling",
    "information": "nishimori.sampling",
    "load": "nishimori.sampling",
    "sample": "nishimori.sampling",
}

__all__ = [
    "HMC",
    "MALA",
    "MCLMC",
    "PCN",
    "Activation",
    "CalibrationRecord",
    "CategoricalLikelihood",
    "CollapsedPosterior",
    "DensityTarget",
    "GaussianChannel",
    "GaussianInputs",
    "GaussianLikelihood",
    "HiddenManifoldInputs",
    "IndependentInputs",
    "LogisticChannel",
    "ModuleInputs",
    "ModuleTarget",
    "Network",
    "OutputChannel",
    "OutputFunction",
    "Posterior",
    "ProbitChannel",
    "Problem",
    "ReplicaExchange",
    "RepriorisedPosterior",
    "Run",
    "UnderdampedLangevin",
    "WideNetwork",
    "controlled_errors",
    "information",
    "load",
    "matched_teacher",
    "mismatched_teacher",
    "sample",
    "theory",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nishimori' has no attribute {name!r}")
    module = import_module(_HOMES[name])
    return module if name == "theory" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
