"""Chains and prior networks of a point, on its device."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from nishimori.adaptation.calibration import CalibrationRecord
from nishimori.description import GaussianChannel, Network
from nishimori.models.collapsed import CollapsedPosterior
from nishimori.models.device import resolve_device
from nishimori.models.problem import Problem
from nishimori.sampling import calibration_of
from nishimori.systems.kernel_corrections.chains import SAMPLER, Sampled, sampled_kernels
from nishimori.systems.kernel_corrections.importance import Weighed, weighed_kernels
from nishimori.systems.kernel_corrections.layers import Layers
from nishimori.systems.kernel_corrections.prediction import Predicted
from nishimori_kernels.rng import random_key

if TYPE_CHECKING:
    from nishimori.chains.progress import Progress
    from nishimori.systems.kernel_corrections.system import Config


def calibration(
    config: "Config", network: Network, predicted: Predicted, point: str, progress: "Progress"
) -> CalibrationRecord:
    """Of the chains of all instances."""
    target = _target(config, network, predicted, range(config.run.instances))
    return calibration_of(target, SAMPLER, config.run.seed, point, progress)


def measured_kernels(
    config: "Config",
    network: Network,
    predicted: Predicted,
    point: str,
    instances: range,
    record: CalibrationRecord,
    progress: "Progress",
) -> tuple[Sampled, Weighed]:
    """All instances share inputs and labels, and differ in their random numbers."""
    sampler, noise, device = config.sampler, config.data.noise_variance, resolve_device(config.run.device)
    inputs, labels = predicted.inputs, predicted.evidence.labels
    layers = Layers(network, torch.tensor(inputs, device=device))
    key = random_key(config.run.seed, point)
    weighed = weighed_kernels(layers, torch.tensor(labels, device=device), noise, sampler.prior_draws, key, instances)
    target, counts = _target(config, network, predicted, instances), (sampler.chains, sampler.warmup, sampler.draws)
    return sampled_kernels(target, *counts, config.run.seed, point, record, progress), weighed


def _target(config: "Config", network: Network, predicted: Predicted, instances: range) -> CollapsedPosterior:
    known = predicted.inputs, predicted.evidence.labels
    copies = [np.broadcast_to(values, (len(instances), *values.shape)) for values in known]
    problem = Problem(network, GaussianChannel(config.data.noise_variance), *copies, instances=instances)
    return CollapsedPosterior(problem, precision="fp64", device=config.run.device)
