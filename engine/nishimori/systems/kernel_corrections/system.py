"""The mean feature kernel of finite Bayesian networks (arXiv 2106.00651), beside its first order in 1/width and a deep
kernel machine (arXiv 2108.13097). Importing this never imports torch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from nishimori.description import Network
from nishimori.description.config import ActivationName, Count, KindSection, Positive, SimulationSection, to_plain
from nishimori.description.identity import identity
from nishimori.systems.simulation import CalibratedSimulation, Measured

if TYPE_CHECKING:
    from nishimori.adaptation.calibration import CalibrationRecord
    from nishimori.chains.progress import Progress
    from nishimori.systems.kernel_corrections.chains import Sampled
    from nishimori.systems.kernel_corrections.importance import Weighed
    from nishimori.systems.kernel_corrections.prediction import Predicted

Array = NDArray[np.float64]


class NetworkSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`depth` hidden layers of `width` units each, and weights of one prior variance."""

    input_dim: Count
    width: Count
    depth: Count = 1
    activation: ActivationName = "erf_sqrt2"
    weight_variance: Positive = 1.0


class DataSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One data set, of run.seed alone: labels are a linear function of variance `signal_variance` and noise."""

    samples: Annotated[int, msgspec.Meta(ge=1, le=64)]
    noise_variance: Positive
    signal_variance: Positive = 1.0


class SamplerSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Of an instance: `chains`, each with `warmup` transitions and then `draws`; `prior_draws` networks of the prior
    are weighed besides."""

    chains: Count = 8
    warmup: Count = 40
    draws: Count = 40
    prior_draws: Annotated[int, msgspec.Meta(ge=100, le=10**7)] = 2000


class TheorySection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Fourth moments of the activation are "exact", or averages over so many `draws` ("monte_carlo")."""

    fourth_moments: Literal["exact", "monte_carlo"] = "exact"
    draws: Annotated[int, msgspec.Meta(ge=100, le=10**7)] = 100_000


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One point."""

    system: KindSection
    network: NetworkSection
    data: DataSection
    sampler: SamplerSection = SamplerSection()
    theory: TheorySection = TheorySection()
    run: SimulationSection = SimulationSection()


class KernelCorrections(CalibratedSimulation):
    """What finite networks learn of their feature kernels, beside their first order in 1/width.

    Networks have one output; the theory takes several. Instances are independent groups of chains, and of prior
    networks, on one data set, so that errors are those of Monte Carlo. Observables, with n the width, K the last
    kernel, w the weight variance, and M as in `theory.kernel_corrections`:

    evidence_gain              n (w / 2) tr M (<K> - E K), what the learned kernel adds to the log evidence, in nats, to
                               first order in the change, times the width; from chains, by parts
    evidence_gain_of_means     the same from plain means over draws, less E K from prior networks
    evidence_gain_of_weighed   the same by importance sampling from the prior
    sampling_difference        evidence_gain less that of weighed networks: 0 at every width
    prior_divergence           n KL of the hidden layers' posterior to their prior, from prior networks; half the gain
                               to first order, and slower to reach it
    importance_efficiency      effective prior networks over prior networks
    kernel_change_l, kernel_change_l_of_weighed   n (<K^(l)> - E K^(l)) entry by entry, upper triangle; E K^(l) is K_inf
                               of linear networks and the first layer, else off by `theory.prior_kernels` besides
    """

    schema = Config
    papers = ("arXiv 2106.00651", "arXiv 2108.13097")
    main = "evidence_gain"

    def parameters(self, config: Config) -> dict[str, Any]:
        network = to_plain(config.network)
        return {"width": network.pop("width"), **network, **to_plain(config.data)}

    def predict_at(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        raise ValueError(f"theory is of one data set, at the points alone, not at width {parameters['width']:g}")

    def predict(self, config: Config) -> dict[str, Any]:
        """To first order in 1/width, which is the same at every width, and that of a deep kernel machine, which is not;
        `deep_kernel_machine` says why it is missing."""
        found = _predicted(config)
        gain = found.gain
        return {
            "evidence_gain": gain,
            **_machine(found),
            **({} if found.gain_error is None else {"theory_standard_error": found.gain_error}),
            "evidence_gain_of_means": gain,
            "evidence_gain_of_weighed": gain,
            "sampling_difference": 0.0,
            "prior_divergence": gain / 2,
        }

    def calibrate(self, config: Config, progress: "Progress") -> "CalibrationRecord":
        from nishimori.systems.kernel_corrections.measurement import calibration

        return calibration(config, _network(config), _predicted(config), identity(config), progress)

    def measure_calibrated(
        self, config: Config, instances: range, progress: "Progress", record: "CalibrationRecord | None"
    ) -> dict[str, Measured]:
        from nishimori.systems.kernel_corrections.measurement import measured_kernels

        assert record is not None  # every config calibrates
        predicted, address = _predicted(config), (identity(config), instances)
        sampled, weighed = measured_kernels(config, _network(config), predicted, *address, record, progress)
        return {**_scalars(predicted, sampled, weighed), **_curves(predicted, sampled, weighed)}


def _network(config: Config) -> Network:
    network = config.network
    widths = (network.width,) * network.depth
    return Network(network.input_dim, widths, network.activation, weight_variance=network.weight_variance)


def _predicted(config: Config) -> "Predicted":
    from nishimori.systems.kernel_corrections.data import data_set
    from nishimori.systems.kernel_corrections.prediction import Predicted
    from nishimori.theory.kernel_corrections import Evidence

    network, data, seed = config.network, config.data, config.run.seed
    sampled = config.theory.draws if config.theory.fourth_moments == "monte_carlo" else None
    inputs, labels = data_set(data.samples, network.input_dim, data.signal_variance, data.noise_variance, seed)
    evidence = Evidence(labels, data.noise_variance, network.weight_variance)
    return Predicted(_network(config), inputs, evidence, seed, sampled)


def _machine(predicted: "Predicted") -> dict[str, Any]:
    try:
        return {"evidence_gain, deep kernel machine": predicted.machine_gain()}
    except ValueError as refusal:
        return {"deep_kernel_machine": str(refusal)}


def _scalars(predicted: "Predicted", sampled: "Sampled", weighed: "Weighed") -> dict[str, Measured]:
    from_chains, from_prior = predicted.gains(sampled.changes), predicted.gains(weighed.changes)
    return {
        "evidence_gain": Measured(from_chains),
        "evidence_gain_of_means": Measured(predicted.gains(sampled.means - weighed.means)),
        "evidence_gain_of_weighed": Measured(from_prior),
        "sampling_difference": Measured(from_chains - from_prior),
        "prior_divergence": Measured(predicted.width * weighed.divergence),
        "importance_efficiency": Measured(weighed.efficiency),
    }


def _curves(predicted: "Predicted", sampled: "Sampled", weighed: "Weighed") -> dict[str, Measured]:
    """Without theory where there is none of these inputs."""
    try:
        changes = predicted.changes
    except ValueError:
        changes = None
    upper = np.triu_indices(len(predicted.inputs))
    places = tuple(float(place) for place in range(1, len(upper[0]) + 1))
    found = {}
    for layer in range(predicted.network.depth):
        theory = None if changes is None else predicted.width * changes[layer][upper]
        for ending, measured in (("", sampled.changes), ("_of_weighed", weighed.changes)):
            values = predicted.width * measured[:, layer, *upper]
            line = None if theory is None else np.broadcast_to(theory, values.shape)
            found[f"kernel_change_{layer + 1}{ending}"] = Measured(values, line, "entry", places)
    return found
