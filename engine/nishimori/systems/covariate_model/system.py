"""Convex learning from all samples at once in the Gaussian covariate model (arXiv 2102.08127), beside its state
evolution. Importing this never imports torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from nishimori.description.errors import BadInput
from nishimori.description.identity import identity
from nishimori.description.inputs import Inputs, input_parameters, inputs_named, with_input_defaults
from nishimori.description.validation import unknown_value
from nishimori.systems.covariate_model.covariates import Covariates, covariates
from nishimori.systems.covariate_model.sections import Config
from nishimori.systems.simulation import Measured, Simulation

if TYPE_CHECKING:
    from nishimori.chains.progress import Progress
    from nishimori.models.inputs import InputGenerator
    from nishimori.theory.convex_losses import Loss
    from nishimori.theory.covariate_model import Labels, Modes

Array = NDArray[np.float64]
CHANNELS = {"linear": "gaussian", "sign": "probit"}
"""What labels are called among the parameters of a point: the channels of the matched teacher, noise inside a sign."""
ERRORS = {"gaussian": "generalization_error", "probit": "classification_error"}
ARGUMENTS = {"gaussian": "residual", "probit": "margin"}


@dataclass(frozen=True)
class CovariateModel(Simulation):
    """Convex losses over structured inputs, of which a teacher may see others.

    `losses` are those that an experiment can name, by default `theory.convex_losses.LOSSES`. `generator`, of an input
    dimension, replaces the inputs that it names. A system with others is registered under a kind of its own.
    """

    losses: tuple["Loss", ...] | None = None
    generator: "Callable[[int], InputGenerator] | None" = None

    schema = Config
    papers = ("arXiv 2102.08127", "arXiv 2006.14709")
    main = "generalization_error"
    together = False

    def resolve(self, document: Mapping[str, Any]) -> Config:
        config: Config = super().resolve(document)
        self._require_loss(config)
        if config.labels.acts_on == "inputs" and config.labels.latent_exponent > 0:
            raise BadInput(
                "labels.latent_exponent is of latents, and this teacher acts on the inputs; remove it or labels.acts_on"
            )
        inputs = with_input_defaults(config.inputs, config.network.input_dim)
        return msgspec.structs.replace(config, inputs=inputs)

    def main_of(self, config: Config) -> str:
        return ERRORS[CHANNELS[config.labels.kind]]

    def parameters(self, config: Config) -> dict[str, Any]:
        labels = config.labels
        return {
            "channel": CHANNELS[labels.kind],
            "noise_variance": labels.noise_variance,
            "loss": config.loss.kind,
            "regularisation": config.loss.regularisation,
            "input_dim": config.network.input_dim,
            "sample_ratio": config.data.sample_ratio,
            **input_parameters(config.inputs),
            **({"acts_on": labels.acts_on} if labels.acts_on == "inputs" else {}),
            **({"latent_exponent": labels.latent_exponent} if labels.latent_exponent else {}),
        }

    def predict_at(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Averaged over teachers, for the drawn covariance; where the inputs are Gaussian, of the best student too, a
        second line of the error."""
        from nishimori.theory.covariate_model import bayes_optimal

        given, labels = self._covariates(parameters), _labels_of(parameters)
        found = self._predicted(parameters, given.covariance.modes())
        if not given.gaussian or parameters["channel"] == "gaussian" and not _is_noisy(given, labels):
            return found
        best = bayes_optimal(given.covariance, labels, parameters["sample_ratio"])
        if parameters["channel"] == "probit":
            return {**found, "classification_error, Bayes-optimal": best.classification_error}
        return {
            **found,
            "generalization_error, Bayes-optimal": best.bayes_error + labels.noise_variance,
            "bayes_error": best.bayes_error,
            "mutual_information_per_dim": best.mutual_information_per_dim,
        }

    def measure(self, config: Config, instances: range, progress: "Progress") -> dict[str, Measured]:
        del progress
        from nishimori.models.addressed import Draws
        from nishimori.models.device import resolve_device
        from nishimori.systems.covariate_model.simulation import DataSet, posterior, student

        parameters, device, dim = self.parameters(config), resolve_device(config.run.device), config.network.input_dim
        given, labels = self._covariates(parameters), _labels_of(parameters)
        generator = _generator(config.inputs, dim, self.generator)
        samples = max(1, round(config.data.sample_ratio * dim))
        bayesian = config.labels.kind == "linear" and given.gaussian and _is_noisy(given, labels)
        loss, found, teachers = self._loss(parameters), [], []
        for instance in instances:
            draws = Draws.of(config.run.seed, identity(config), (instance,), device)
            data = DataSet(given, generator, labels, samples, draws)
            learnt = student(data, loss, config.loss.regularisation, config.data.test_samples)
            found.append({**learnt, **(posterior(data) if bayesian else {})})
            teachers.append(data.teacher.cpu().numpy())
        theory = self._of_teachers({**parameters, "sample_ratio": samples / dim}, given, teachers)
        return {name: Measured(values, theory.get(name)) for name, values in _columns(found).items()}

    def _of_teachers(
        self, parameters: Mapping[str, Any], given: Covariates, teachers: Sequence[Array]
    ) -> dict[str, Array]:
        """Theory of every teacher [instances], by observable; empty where there is none of their average, which the
        summary gives the reason of."""
        if not _has_theory(self, tuple(sorted(parameters.items()))):
            return {}
        return _columns([self._predicted(parameters, given.covariance.modes(teacher)) for teacher in teachers])

    def _covariates(self, parameters: Mapping[str, Any]) -> Covariates:
        sight = parameters.get("acts_on", "latents"), parameters.get("latent_exponent", 0.0)
        return covariates(inputs_named(parameters), parameters["input_dim"], self.generator, *sight)

    def _predicted(self, parameters: Mapping[str, Any], modes: "Modes") -> dict[str, float]:
        from nishimori.theory.covariate_evolution import state_evolution

        strength, ratio = parameters["regularisation"], parameters["sample_ratio"]
        learnt = state_evolution(modes, _labels_of(parameters), self._loss(parameters), strength, ratio)
        name = ERRORS[parameters["channel"]]
        return {name: getattr(learnt, name), "training_loss": learnt.training_loss}

    def _loss(self, parameters: Mapping[str, Any]) -> "Loss":
        return self._known(ARGUMENTS[parameters["channel"]])[parameters["loss"]]

    def _known(self, argument: str) -> "dict[str, Loss]":
        """Losses of it, by name."""
        from nishimori.theory.convex_losses import LOSSES

        return {one.name: one for one in self.losses or LOSSES if one.argument == argument}

    def _require_loss(self, config: Config) -> None:
        taken = {kind: list(self._known(ARGUMENTS[channel])) for kind, channel in CHANNELS.items()}
        known, name = taken[config.labels.kind], config.loss.kind
        if name in known:
            return
        if name in {one for names in taken.values() for one in names}:
            raise BadInput(
                f"loss.kind = {name!r} does not go with labels.kind = {config.labels.kind!r}; take {' or '.join(known)}"
            )
        raise unknown_value("loss.kind", name, known)


@lru_cache(maxsize=1)
def _generator(inputs: Inputs, input_dim: int, own: "Callable[[int], InputGenerator] | None") -> "InputGenerator":
    """Of all instances, which are asked for one by one."""
    from nishimori.models.named_inputs import generator_of

    return generator_of(inputs, input_dim, own)


@lru_cache(maxsize=64)
def _has_theory(system: CovariateModel, parameters: tuple[tuple[str, Any], ...]) -> bool:
    """Of these parameters; asked for every data set."""
    try:
        system.predict_at(dict(parameters))
    except ValueError:
        return False
    return True


def _labels_of(parameters: Mapping[str, Any]) -> "Labels":
    from nishimori.theory.covariate_model import LinearLabels, SignLabels

    kind = LinearLabels if parameters["channel"] == "gaussian" else SignLabels
    return kind(parameters["noise_variance"])


def _is_noisy(given: Covariates, labels: "Labels") -> bool:
    """Whether linear labels leave something to believe: without any noise their information is infinite."""
    return labels.noise_variance + given.covariance.unexplained > 0


def _columns(found: Sequence[Mapping[str, float]]) -> dict[str, Array]:
    """[instances] by observable."""
    return {name: np.array([one[name] for one in found]) for name in found[0]}
