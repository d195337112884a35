"""Online learning of both layers on structured inputs (arXiv 2006.14709, 1909.11500): descent beside the equations of
the Gaussian equivalent. Importing this never imports torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np

from nishimori.description.config import Count, InputsSection, KindSection, Positive, SimulationSection
from nishimori.description.errors import BadInput
from nishimori.description.identity import identity
from nishimori.description.inputs import input_parameters, with_input_defaults
from nishimori.description.validation import require_growing
from nishimori.systems.simulation import Measured, Simulation

if TYPE_CHECKING:
    from nishimori.chains.progress import Progress
    from nishimori.models.inputs import InputGenerator

TIMES = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0)
LINE = 80
"""Places at which a figure draws the theory."""
Time = Annotated[float, msgspec.Meta(ge=0, le=1e9)]


class NetworkSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A student of `units` hidden units on `input_dim` inputs, a teacher of `teacher_units` on the latent numbers, both
    with erf(u / sqrt(2)); the student starts at normal weights and readouts of these standard deviations."""

    input_dim: Count
    units: Count = 2
    teacher_units: Count = 2
    initial_weight: Positive = 1.0
    initial_readout: Positive = 0.5


class DescentSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`times`, in steps over input_dim, at which the error is taken; labels have noise of `noise_variance`."""

    learning_rate: Positive = 0.2
    noise_variance: Annotated[float, msgspec.Meta(ge=0, le=1e12)] = 0.0
    times: Annotated[tuple[Time, ...], msgspec.Meta(min_length=1, max_length=1000)] = TIMES
    test_samples: Count = 5000


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One point."""

    system: KindSection
    network: NetworkSection
    inputs: Literal["gaussian"] | InputsSection = "gaussian"
    descent: DescentSection = DescentSection()
    run: SimulationSection = SimulationSection()


@dataclass(frozen=True)
class HiddenManifoldOnline(Simulation):
    """Two-layer student of structured inputs, the teacher on what they are made of.

    `generator`, of an input dimension, replaces the inputs that an experiment file names by those of one's own: such a
    system is registered under a kind of its own."""

    generator: "Callable[[int], InputGenerator] | None" = None

    schema = Config
    papers = ("arXiv 2006.14709", "arXiv 1909.11500")
    main = "error"

    def resolve(self, document: Mapping[str, Any]) -> Config:
        config: Config = super().resolve(document)
        require_growing("descent.times", config.descent.times)
        if config.descent.times[-1] == 0:
            raise BadInput("descent.times ends at 0, where nothing has moved; add a time")
        inputs = with_input_defaults(config.inputs, config.network.input_dim)
        return msgspec.structs.replace(config, inputs=inputs)

    def parameters(self, config: Config) -> dict[str, Any]:
        network, descent = msgspec.structs.asdict(config.network), config.descent
        rates = {"learning_rate": descent.learning_rate, "noise_variance": descent.noise_variance}
        return {**network, **input_parameters(config.inputs), **rates, "time": descent.times[-1]}

    def predict_at(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Nothing: what theory says depends on where the student starts."""
        return {}

    def measure(self, config: Config, instances: range, progress: "Progress") -> dict[str, Measured]:
        from nishimori.models.addressed import Draws
        from nishimori.models.device import resolve_device
        from nishimori.models.named_inputs import generator_of
        from nishimori.systems.hidden_manifold_online.descent import Descent, chunk_of, drawn_starts
        from nishimori.theory.hidden_manifold import OnlineDescent, Spectrum

        network, descent = config.network, config.descent
        generator = generator_of(config.inputs, network.input_dim, self.generator)
        draws = Draws.of(config.run.seed, identity(config), instances, resolve_device(config.run.device))
        deviations = network.initial_weight, network.initial_readout
        starts = drawn_starts(generator, network.units, network.teacher_units, deviations, draws)
        rates, chunk = (descent.learning_rate, descent.noise_variance), chunk_of(generator, config.run.instances)
        moved = Descent(generator, draws, starts, *rates, descent.test_samples, chunk)
        errors = moved.errors(descent.times, progress)
        spectrum, dense = Spectrum(generator.moments), np.geomspace(*_range(descent.times), LINE)
        known = [OnlineDescent(spectrum, start, *rates) for start in starts]
        solved = np.array([one.errors([*descent.times, *dense]) for one in known])
        count = len(descent.times)
        line = (dense, solved[:, count:])
        return {"error": Measured(errors, solved[:, :count], "time", descent.times, line)}


def _range(times: tuple[float, ...]) -> tuple[float, float]:
    """Of a line on a logarithmic axis."""
    first = next(time for time in times if time > 0)
    return first / 1.2, times[-1]
