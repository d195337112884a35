"""Convex learning from all samples at once in the Gaussian covariate model (arXiv 2102.08127), beside its state
evolution. Importing this never imports torch."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from nishimori.description.config import Count, KindSection, Positive, SimulationSection
from nishimori.description.errors import BadInput
from nishimori.description.identity import identity
from nishimori.systems.covariate_model.inputs import PREFIX, InputsSection, Source, settings, source
from nishimori.systems.simulation import Measured, Simulation

if TYPE_CHECKING:
    from nishimori.chains.progress import Progress
    from nishimori.theory.covariate_model import Labels, Modes

Array = NDArray[np.float64]
CHANNELS = {"linear": "gaussian", "sign": "probit"}
"""What labels are called among the parameters of a point: the channels of the matched teacher, noise inside a sign."""
ERRORS = {"gaussian": "generalization_error", "probit": "classification_error"}


class NetworkSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """p, the numbers that the student sees."""

    input_dim: Count


class LabelsSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """linear: u + noise, sign: the sign of u + noise, of u = theta0.z / sqrt(k); `noise_variance` may be 0."""

    kind: Literal["linear", "sign"] = "linear"
    noise_variance: Annotated[float, msgspec.Meta(ge=0, le=1e12)] = 0.0


class LossSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """square: (y - z)^2 / 2; logistic: log(1 + exp(-y z)); hinge: max(0, 1 - y z); plus `regularisation` |w|^2 / 2."""

    kind: Literal["square", "logistic", "hinge"] = "square"
    regularisation: Positive = 0.1


class DataSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`sample_ratio` * p samples a data set; `test_samples` more where the inputs are not Gaussian."""

    sample_ratio: Positive
    test_samples: Count = 5000


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One point."""

    system: KindSection
    network: NetworkSection
    inputs: InputsSection = InputsSection()
    labels: LabelsSection = LabelsSection()
    loss: LossSection = LossSection()
    data: DataSection
    run: SimulationSection = SimulationSection()


class CovariateModel(Simulation):
    """Convex losses over structured inputs, of which a teacher may see others."""

    schema = Config
    papers = ("arXiv 2102.08127", "arXiv 2006.14709")
    main = "generalization_error"
    together = False

    def resolve(self, document: Mapping[str, Any]) -> Config:
        config: Config = super().resolve(document)
        settings(config.inputs)
        if config.labels.kind == "linear" and config.loss.kind != "square":
            raise BadInput(f'loss.kind = {config.loss.kind!r} is for classes; use "square", or labels.kind = "sign"')
        return config

    def main_of(self, config: Config) -> str:
        return ERRORS[CHANNELS[config.labels.kind]]

    def parameters(self, config: Config) -> dict[str, Any]:
        return {
            "channel": CHANNELS[config.labels.kind],
            "noise_variance": config.labels.noise_variance,
            "loss": config.loss.kind,
            "regularisation": config.loss.regularisation,
            "input_dim": config.network.input_dim,
            "sample_ratio": config.data.sample_ratio,
            **{f"{PREFIX}{key}": value for key, value in settings(config.inputs).items()},
        }

    def predict_at(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Averaged over teachers, for the drawn covariance; where the inputs are Gaussian, of the best student too."""
        from nishimori.theory.covariate_model import bayes_optimal

        given, labels = _source_of(parameters), _labels_of(parameters)
        found = _predicted(parameters, given.covariance.modes())
        if not given.gaussian or parameters["channel"] == "gaussian" and not _is_noisy(given, labels):
            return found
        best = bayes_optimal(given.covariance, labels, parameters["sample_ratio"])
        if parameters["channel"] == "probit":
            return {**found, "bayes_classification_error": best.classification_error}
        information = best.mutual_information_per_dim
        return {**found, "bayes_error": best.bayes_error, "mutual_information_per_dim": information}

    def measure(self, config: Config, instances: range, progress: "Progress") -> dict[str, Measured]:
        del progress
        from nishimori.models.device import resolve_device
        from nishimori.systems.covariate_model.simulation import Address, drawn, posterior, student

        parameters, device = self.parameters(config), resolve_device(config.run.device)
        given, labels = _source_of(parameters), _labels_of(parameters)
        samples = max(1, round(config.data.sample_ratio * config.network.input_dim))
        bayesian = config.labels.kind == "linear" and given.gaussian and _is_noisy(given, labels)
        loss, found, teachers = (config.loss.kind, config.loss.regularisation), [], []
        for instance in instances:
            address = Address(config.run.seed, identity(config), instance)
            data = drawn(given, labels, samples, address, device)
            best = posterior(given, labels, data) if bayesian else {}
            found.append({**student(given, labels, loss, data, config.data.test_samples, address), **best})
            teachers.append(data.teacher.cpu().numpy())
        theory = self._of_teachers({**parameters, "sample_ratio": samples / config.network.input_dim}, teachers)
        return {name: Measured(values, theory.get(name)) for name, values in _columns(found).items()}

    def _of_teachers(self, parameters: Mapping[str, Any], teachers: Sequence[Array]) -> dict[str, Array]:
        """Theory of every teacher [instances], by observable; empty where there is none of their average, which the
        summary gives the reason of."""
        if not _has_theory(self, tuple(sorted(parameters.items()))):
            return {}
        covariance = _source_of(parameters).covariance
        return _columns([_predicted(parameters, covariance.modes(teacher)) for teacher in teachers])


@lru_cache(maxsize=64)
def _has_theory(system: CovariateModel, parameters: tuple[tuple[str, Any], ...]) -> bool:
    """Of these parameters; asked for every data set."""
    try:
        system.predict_at(dict(parameters))
    except ValueError:
        return False
    return True


def _predicted(parameters: Mapping[str, Any], modes: "Modes") -> dict[str, float]:
    from nishimori.theory.convex_losses import HINGE, LOGISTIC, SQUARE, SQUARE_OF_MARGIN
    from nishimori.theory.covariate_evolution import state_evolution

    square = SQUARE if parameters["channel"] == "gaussian" else SQUARE_OF_MARGIN
    loss = {"square": square, "logistic": LOGISTIC, "hinge": HINGE}[parameters["loss"]]
    strength, ratio = parameters["regularisation"], parameters["sample_ratio"]
    learnt = state_evolution(modes, _labels_of(parameters), loss, strength, ratio)
    name = ERRORS[parameters["channel"]]
    return {name: getattr(learnt, name), "training_loss": learnt.training_loss}


def _labels_of(parameters: Mapping[str, Any]) -> "Labels":
    from nishimori.theory.covariate_model import LinearLabels, SignLabels

    kind = LinearLabels if parameters["channel"] == "gaussian" else SignLabels
    return kind(parameters["noise_variance"])


def _source_of(parameters: Mapping[str, Any]) -> Source:
    told = {name.removeprefix(PREFIX): value for name, value in parameters.items() if name.startswith(PREFIX)}
    return source(parameters["input_dim"], told)


def _is_noisy(given: Source, labels: "Labels") -> bool:
    """Whether linear labels leave something to believe: without any noise their information is infinite."""
    return labels.noise_variance + given.covariance.unexplained > 0


def _columns(found: Sequence[Mapping[str, float]]) -> dict[str, Array]:
    """[instances] by observable."""
    return {name: np.array([one[name] for one in found]) for name in found[0]}
