"""Chains and prior networks of a point, on its device."""

from typing import TYPE_CHECKING

import numpy as np
import torch

from nishimori.description import GaussianChannel, Network
from nishimori.models.collapsed import CollapsedPosterior
from nishimori.models.device import resolve_device
from nishimori.models.problem import Problem
from nishimori.systems.kernel_corrections.chains import Sampled, sampled_kernels
from nishimori.systems.kernel_corrections.importance import Weighed, weighed_kernels
from nishimori.systems.kernel_corrections.layers import Layers
from nishimori.systems.kernel_corrections.prediction import Predicted
from nishimori_kernels.rng import random_key

if TYPE_CHECKING:
    from nishimori.chains.progress import Progress
    from nishimori.systems.kernel_corrections.system import Config


def measured_kernels(
    config: "Config", network: Network, predicted: Predicted, point: str, progress: "Progress"
) -> tuple[Sampled, Weighed]:
    """All instances share inputs and labels, and differ in their random numbers."""
    instances, sampler, noise = range(config.run.instances), config.sampler, config.data.noise_variance
    inputs, labels = predicted.inputs, predicted.evidence.labels
    copies = [np.broadcast_to(values, (len(instances), *values.shape)) for values in (inputs, labels)]
    problem = Problem(network, GaussianChannel(noise), *copies, instances=instances)
    device = resolve_device(config.run.device)
    layers = Layers(network, torch.tensor(inputs, device=device))
    key = random_key(config.run.seed, point)
    weighed = weighed_kernels(layers, torch.tensor(labels, device=device), noise, sampler.prior_draws, key, instances)
    target = CollapsedPosterior(problem, precision="fp64", device=config.run.device)
    counts = sampler.chains, sampler.warmup, sampler.draws
    return sampled_kernels(target, *counts, config.run.seed, point, progress), weighed
