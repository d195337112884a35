"""Ensembles of networks trained by gradient flow (arXiv 1911.09189, 1902.06720, 1806.07572) beside the law that they
have at infinite width, the information in them, and the posterior of the same networks. Importing this never imports
torch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from nishimori.description.config import (
    ActivationName,
    Count,
    KindSection,
    NonNegative,
    Positive,
    SimulationSection,
    to_plain,
)
from nishimori.description.errors import BadInput
from nishimori.description.validation import require_growing
from nishimori.systems.simulation import CalibratedSimulation, Measured

if TYPE_CHECKING:
    from nishimori.adaptation.calibration import CalibrationRecord
    from nishimori.chains.progress import Progress

TIMES = (0.1, 0.3, 1.0, 3.0, 10.0)
NOMINAL = 0.95


class NetworkSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`depth` hidden layers of `width` units; `weight_variance` of all weights, or of each layer and the readout."""

    input_dim: Count
    width: Count
    depth: NonNegative = 1
    activation: ActivationName = "erf_sqrt2"
    weight_variance: Positive | tuple[Positive, ...] = 1.0
    bias_variance: Annotated[float, msgspec.Meta(ge=0, le=1e12)] = 0.0


class DataSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`labels` of a "teacher" drawn from the networks' own prior, or of a "linear" one, with noise; `test_samples`
    inputs at which laws of the output are compared."""

    samples: Count
    noise_variance: Positive
    labels: Literal["teacher", "linear"] = "teacher"
    test_samples: Annotated[int, msgspec.Meta(ge=2, le=10_000)] = 40


class TrainingSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`members` networks an instance, trained on its data for `times` under the gradient flow of |z - Y|^2 / 2."""

    members: Annotated[int, msgspec.Meta(ge=4, le=100_000)] = 32
    times: Annotated[tuple[Positive, ...], msgspec.Meta(min_length=1, max_length=1000)] = TIMES


class PosteriorSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The Bayesian twin: `chains` of the posterior of the same networks on the same data; left out where there is no
    such section."""

    chains: Count = 4
    warmup: NonNegative = 50
    draws: Count = 100


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One point."""

    system: KindSection
    network: NetworkSection
    data: DataSection
    training: TrainingSection = TrainingSection()
    posterior: PosteriorSection | None = None
    run: SimulationSection = SimulationSection()


class InfiniteEnsemble(CalibratedSimulation):
    """Ensembles of wide trained networks, the information in them, and their posterior."""

    schema = Config
    papers = ("arXiv 1911.09189", "arXiv 1902.06720", "arXiv 1806.07572")
    main = "ensemble_variance"

    def resolve(self, document: Mapping[str, Any]) -> Config:
        config: Config = super().resolve(document)
        network, times = config.network, config.training.times
        require_growing("training.times", times)
        variances = network.weight_variance
        if isinstance(variances, tuple) and len(variances) != network.depth + 1:
            raise BadInput(
                f"network.weight_variance has {len(variances)} entries; give one, or {network.depth + 1}, that of the "
                "readout last"
            )
        if config.posterior is not None and (network.depth == 0 or network.bias_variance > 0):
            raise BadInput(
                "[posterior] integrates readouts out, which needs a hidden layer and no biases; set network.depth to 1 "
                "or more and network.bias_variance to 0, or leave [posterior] out"
            )
        return config

    def parameters(self, config: Config) -> dict[str, Any]:
        time = config.training.times[-1]
        return {**to_plain(config.network), **to_plain(config.data), "members": config.training.members, "time": time}

    def predict_at(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """What a posterior covers of the labels of its own teacher; of another one nothing is known beforehand."""
        if parameters["labels"] != "teacher":
            return {}
        return {"posterior_coverage": NOMINAL, "wide_posterior_coverage": NOMINAL}

    def calibrates(self, config: Config) -> bool:
        return config.posterior is not None

    def calibrate(self, config: Config, progress: "Progress") -> "CalibrationRecord":
        from nishimori.systems.infinite_ensemble.measured import calibration

        return calibration(config, progress)

    def measure_calibrated(
        self, config: Config, instances: range, progress: "Progress", record: "CalibrationRecord | None"
    ) -> dict[str, Measured]:
        from nishimori.systems.infinite_ensemble.measured import measured

        return measured(config, instances, progress, record)
