"""nishimori: sample deep Bayesian networks trained on matched teachers and lay theory over the measurements.

Public names are resolved on first use, so that importing the package imports neither torch nor numba.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nishimori import theory
    from nishimori.adaptation.calibration import CalibrationRecord
    from nishimori.description import Activation, GaussianChannel, Network
    from nishimori.models.posterior import Posterior
    from nishimori.models.problem import Problem, matched_teacher
    from nishimori.samplers.hmc import HMC
    from nishimori.sampling import Run, sample

__version__ = "0.1.0"

_HOMES = {
    "theory": "nishimori.theory",
    "Activation": "nishimori.description",
    "GaussianChannel": "nishimori.description",
    "Network": "nishimori.description",
    "Posterior": "nishimori.models.posterior",
    "Problem": "nishimori.models.problem",
    "matched_teacher": "nishimori.models.problem",
    "HMC": "nishimori.samplers.hmc",
    "CalibrationRecord": "nishimori.adaptation.calibration",
    "Run": "nishimori.sampling",
    "sample": "nishimori.sampling",
}

__all__ = [
    "HMC",
    "Activation",
    "CalibrationRecord",
    "GaussianChannel",
    "Network",
    "Posterior",
    "Problem",
    "Run",
    "matched_teacher",
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
