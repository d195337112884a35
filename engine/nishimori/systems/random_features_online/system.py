"""Online learning of the readout over frozen random features (arXiv 2303.14083): stochastic gradient descent beside the
differential equation of its modes, and its plateaus. Importing this never imports torch."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np

from nishimori.description.activations import activation
from nishimori.description.config import (
    ActivationName,
    Count,
    KindSection,
    Positive,
    SimulationSection,
    to_plain,
)
from nishimori.description.identity import identity
from nishimori.description.validation import require_growing
from nishimori.systems.simulation import Measured, Simulation

if TYPE_CHECKING:
    from nishimori.chains.progress import Progress

TIMES = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
DEGREES = (3, 5)
LINE = 100
"""Places at which a figure draws the theory."""


class NetworkSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`width_ratio` hidden units per input, frozen; a teacher of `units` hidden units, with readouts 1."""

    input_dim: Count
    width_ratio: Positive
    activation: ActivationName = "erf_sqrt2"
    units: Count = 1


class DescentSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`learning_rate` over d is the size of a step; `times`, in steps over d, at which the error is taken."""

    learning_rate: Positive = 1.0
    times: Annotated[tuple[Positive, ...], msgspec.Meta(min_length=1, max_length=1000)] = TIMES


class PosteriorSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The Bayesian twin: the posterior of the readout over the same features, from `sample_ratio` * width labels with
    noise; left out where there is no such section."""

    sample_ratio: Positive
    noise_variance: Positive


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One point."""

    system: KindSection
    network: NetworkSection
    descent: DescentSection = DescentSection()
    posterior: PosteriorSection | None = None
    run: SimulationSection = SimulationSection()


class RandomFeaturesOnline(Simulation):
    """Student and teacher of one hidden layer, the student's frozen."""

    schema = Config
    papers = ("arXiv 2303.14083",)
    main = "error"

    def resolve(self, document: Mapping[str, Any]) -> Config:
        config: Config = super().resolve(document)
        require_growing("descent.times", config.descent.times)
        return config

    def parameters(self, config: Config) -> dict[str, Any]:
        network = to_plain(config.network)
        twin = {} if config.posterior is None else to_plain(config.posterior)
        rate, time = config.descent.learning_rate, config.descent.times[-1]
        return {**network, "learning_rate": rate, "time": time, **{f"posterior_{key}": twin[key] for key in twin}}

    def predict_at(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The plateau of small learning rates and infinite size, for orthogonal units of the teacher; and what remains
        as width >> input_dim^degree, where there are more features than monomials of a degree above 1."""
        from nishimori.theory.random_features import plateau, plateau_after

        phi, ratio, dim = activation(parameters["activation"]), parameters["width_ratio"], parameters["input_dim"]
        levels = {
            f"plateau, degree {degree} learnt": parameters["units"] * plateau_after(phi, degree, dim)
            for degree in DEGREES
            if dim > 2 and ratio * dim >= math.comb(dim + degree - 1, degree)
        }
        return {"plateau": parameters["units"] * plateau(phi, ratio), **levels}

    def measure(self, config: Config, instances: range, progress: "Progress") -> dict[str, Measured]:
        from nishimori.models.addressed import Draws
        from nishimori.models.device import resolve_device
        from nishimori.systems.random_features_online.descent import chunk_of, descend, features_drawn
        from nishimori.systems.random_features_online.posterior import posterior_mean_errors

        network, times, rate = config.network, config.descent.times, config.descent.learning_rate
        draws = Draws.of(config.run.seed, identity(config), instances, resolve_device(config.run.device))
        width = max(1, round(network.width_ratio * network.input_dim))
        drawn = features_drawn(activation(network.activation), network.input_dim, width, network.units, draws)
        chunk = chunk_of(config.run.instances, network.input_dim, width)
        errors = descend(drawn, rate, times, draws, progress, chunk)
        dense = np.geomspace(times[0] / 1.2, times[-1], LINE)
        solved = np.array([features.errors(rate, [*times, *dense]) for features in drawn])
        predicted, line = solved[:, : len(times)], (dense, solved[:, len(times) :])
        measured = {
            "error": Measured(errors, predicted, "time", times, line),
            "plateau": Measured(np.array([features.plateau for features in drawn])),
        }
        if config.posterior is None:
            return measured
        twin = config.posterior.sample_ratio, config.posterior.noise_variance
        known = np.array([features.posterior_mean_error(*twin) for features in drawn])
        found = posterior_mean_errors(drawn, *twin, draws)
        return {**measured, "posterior_mean_error": Measured(found, known)}
