"""Observables of a point: of trained networks in time, of the limits of their ensemble, and of posteriors."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nishimori.adaptation.calibration import CalibrationRecord
from nishimori.description import GaussianChannel, Network
from nishimori.description.identity import identity
from nishimori.systems.infinite_ensemble.beside import of_limits, of_posterior, wide_coverage
from nishimori.systems.infinite_ensemble.data import Data, drawn, held_out_normals
from nishimori.systems.infinite_ensemble.instances import Instance, instances_of
from nishimori.systems.infinite_ensemble.sampled import calibrated, sampled_law
from nishimori.systems.infinite_ensemble.training import Ensemble, Trained, train
from nishimori.systems.simulation import Measured
from nishimori.theory.ensemble_information import fisher_trace, path_energies, path_lengths

if TYPE_CHECKING:
    from nishimori.chains.progress import Progress
    from nishimori.systems.infinite_ensemble.system import Config
    from nishimori.theory.ensembles import Predictive

Array = NDArray[np.float64]
AXIS = "training time"
LINE = 30
"""Places at which theory is drawn, besides the times."""


def measured(
    config: "Config", numbers: range, progress: "Progress", record: CalibrationRecord | None
) -> dict[str, Measured]:
    """Of the instances of these numbers, by observable; chains are calibrated as `record`."""
    data, times, device = config.data, config.training.times, config.run.device
    address = config.run.seed, identity(config), numbers
    found = _drawn(config, numbers)
    instances = instances_of(found, network_of(config), data.noise_variance)
    ensemble = Ensemble(found.problem, config.training.members, *address[:2], device)
    trained = train(ensemble, times, _rate(config), progress)
    matched, normals = data.labels == "teacher", held_out_normals(data.samples + data.test_samples, address)
    told = {
        **of_training(trained, instances, times),
        **of_limits(instances, times[-1]),
        "wide_posterior_coverage": wide_coverage(instances, normals, matched),
    }
    if config.posterior is None or record is None:
        return told
    sampled = sampled_law(found.problem, config.posterior, *_chains(config), record, device, progress)
    return {**told, **of_posterior(sampled, instances, matched)}


def calibration(config: "Config", progress: "Progress") -> CalibrationRecord:
    """Of the chains of all instances."""
    problem = _drawn(config, range(config.run.instances)).problem
    return calibrated(problem, *_chains(config), config.run.device, progress)


def _chains(config: "Config") -> tuple[int, str]:
    """Seed and point of their random numbers."""
    return config.run.seed, f"{identity(config)} posterior"


def _drawn(config: "Config", numbers: range) -> Data:
    data, address = config.data, (config.run.seed, identity(config), numbers)
    sizes = data.samples, data.test_samples
    return drawn(network_of(config), GaussianChannel(data.noise_variance), data.labels, sizes, address)


@lru_cache(maxsize=16)
def _rate(config: "Config") -> float:
    """The largest of all instances: their steps are the same."""
    found = _drawn(config, range(config.run.instances))
    return max(one.rate for one in instances_of(found, network_of(config), config.data.noise_variance))


def network_of(config: "Config") -> Network:
    section = config.network
    return Network(
        section.input_dim,
        (section.width,) * section.depth,
        section.activation,
        bias_variance=section.bias_variance,
        weight_variance=section.weight_variance,
    )


def of_training(trained: Trained, instances: Sequence[Instance], times: tuple[float, ...]) -> dict[str, Measured]:
    """Curves in time of finite networks beside those of infinite width, each instance its own."""
    return {**_of_laws(trained.outputs, instances, times), **_of_paths(trained, instances, times)}


def _of_laws(outputs: Array, instances: Sequence[Instance], times: tuple[float, ...]) -> dict[str, Measured]:
    """Of outputs [times, instances, members, rows]."""
    found = [[_found(one, members) for members in outputs[:, number]] for number, one in enumerate(instances)]
    known = [[_known(one, law) for law in one.trained(_places(times))] for one in instances]
    return {name: _over_line(_column(found, name), _column(known, name), times) for name in known[0][0]}


def _places(times: tuple[float, ...]) -> list[float]:
    """Of theory: the times, and what lies between."""
    return np.union1d(np.geomspace(times[0] / 1.2, times[-1], LINE), times).tolist()


def _over_line(values: Array, known: Array, times: tuple[float, ...]) -> Measured:
    """From values [instances, times] and theory at all places [instances, places]."""
    places = np.array(_places(times))
    predicted = known[:, np.searchsorted(places, times)]
    return Measured(values, predicted, AXIS, times, (places, known))


def _found(instance: Instance, outputs: Array) -> dict[str, float]:
    """By observable, of outputs [members, rows]."""
    variance, alignment = outputs.var(axis=0, ddof=1).mean(), (outputs.mean(axis=0) * instance.judge.latent).mean()
    return {"ensemble_variance": variance, "alignment": alignment, **instance.judge.of_ensemble(outputs)}


def _known(instance: Instance, law: "Predictive") -> dict[str, float]:
    """The same of networks of infinite width."""
    variance, alignment = law.variance.mean(), (law.mean * instance.judge.latent).mean()
    return {"ensemble_variance": variance, "alignment": alignment, **instance.judge.told(law.mean, law.variance)}


def _of_paths(trained: Trained, instances: Sequence[Instance], times: tuple[float, ...]) -> dict[str, Measured]:
    """Means over members, beside wide networks from the same starts."""
    places = _places(times)
    curves = {
        "fisher_trace": (trained.traces, [[fisher_trace(one.wide.flow.tangent)] * len(places) for one in instances]),
        "path_length": (trained.lengths, _from_starts(path_lengths, trained.starts, instances, places)),
        "path_energy": (trained.energies, _from_starts(path_energies, trained.starts, instances, places)),
    }
    return {name: _over_line(values.mean(axis=2).T, np.array(known), times) for name, (values, known) in curves.items()}


def _from_starts(
    theory: Callable[[Array, Array, Array, float], Array],
    starts: Array,
    instances: Sequence[Instance],
    times: Sequence[float],
) -> Array:
    """[instances, times]: means over members of `theory` from each of the `starts` [instances, members, samples]."""
    return np.array(
        [
            [theory(one.wide.flow.tangent, own, one.wide.labels, time).mean() for time in times]
            for one, own in zip(instances, starts, strict=True)
        ]
    )


def _column(rows: Sequence[Sequence[dict[str, float]]], name: str) -> Array:
    return np.array([[one[name] for one in row] for row in rows])
