"""Observables of a point: of trained networks in time, of the limits of their ensemble, and of posteriors."""

from collections.abc import Sequence
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
from nishimori.theory.ensemble_information import fisher_trace, path_lengths

if TYPE_CHECKING:
    from nishimori.chains.progress import Progress
    from nishimori.systems.infinite_ensemble.system import Config

Array = NDArray[np.float64]
AXIS = "training time"
LINE = 60
"""Places at which a figure draws the theory."""


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
    outputs = np.moveaxis(trained.outputs, 0, 1)  # [instances, times, members, rows]
    dense = np.geomspace(times[0] / 1.2, times[-1], LINE)
    line = dense, np.array([_variances(one, dense.tolist()) for one in instances])
    variances = outputs.var(axis=2, ddof=1).mean(axis=2), np.array([_variances(one, times) for one in instances])
    traces = [np.full(len(times), fisher_trace(one.wide.flow.tangent)) for one in instances]
    curves = {
        "alignment": _alignments(outputs, instances, times),
        "fisher_trace": (trained.traces.mean(axis=2).T, np.array(traces)),
        "path_length": (trained.lengths.mean(axis=2).T, _path_lengths(trained.starts, instances, times)),
        **_judged(outputs, instances, times),
    }
    return {"ensemble_variance": Measured(*variances, AXIS, times, line)} | {
        name: Measured(values, predicted, AXIS, times) for name, (values, predicted) in curves.items()
    }


def _variances(instance: Instance, times: Sequence[float]) -> Array:
    """Mean over the test inputs, [times]."""
    return np.array([law.variance.mean() for law in instance.trained(times)])


def _alignments(outputs: Array, instances: Sequence[Instance], times: Sequence[float]) -> tuple[Array, Array]:
    """Mean over the test inputs of the ensemble's mean times the true output, [instances, times] both."""
    latent = np.array([one.judge.latent for one in instances])[:, None]
    means = np.array([[law.mean for law in one.trained(times)] for one in instances])
    return (outputs.mean(axis=2) * latent).mean(axis=2), (means * latent).mean(axis=2)


def _path_lengths(starts: Array, instances: Sequence[Instance], times: Sequence[float]) -> Array:
    """Of wide networks from the starts of the finite ones, mean over members, [instances, times]."""
    return np.array(
        [
            [path_lengths(one.wide.flow.tangent, own, one.wide.labels, time).mean() for time in times]
            for one, own in zip(instances, starts, strict=True)
        ]
    )


def _judged(outputs: Array, instances: Sequence[Instance], times: Sequence[float]) -> dict[str, tuple[Array, Array]]:
    """By observable, of networks and of theory, [instances, times] both."""
    found, known = [], []
    for own, instance in zip(outputs, instances, strict=True):
        found.append([instance.judge.of_ensemble(members) for members in own])
        known.append([instance.judge.told(law.mean, law.variance) for law in instance.trained(times)])
    return {name: (_column(found, name), _column(known, name)) for name in known[0][0]}


def _column(rows: Sequence[Sequence[dict[str, float]]], name: str) -> Array:
    return np.array([[one[name] for one in row] for row in rows])
