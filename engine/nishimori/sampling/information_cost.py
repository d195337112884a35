"""What measuring the mutual information takes: gradients, a rough count for each method, and bytes of its files."""

from collections.abc import Mapping

import torch

from nishimori.adaptation.annealed_steps import CHAINS, RUNGS, TRANSITIONS
from nishimori.adaptation.calibration import NEARBY, count_of
from nishimori.adaptation.trajectory_length import COST_OF_A_TRANSITION, scan_length, scans_of
from nishimori.chains.checkpoint_files import LATEST
from nishimori.measurement.nodes import sum_rule
from nishimori.measurement.predictions import MOST_BATCHES
from nishimori.measurement.predictive import BATCHES
from nishimori.samplers.annealed_importance import SAMPLER
from nishimori.sampling.byte_counts import DOUBLE
from nishimori.sampling.pace import PATH
from nishimori.sampling.teacher_chains import CALIBRATION_CHAINS

POSITION_AND_GRADIENT = 2


def gradients_of_information(
    method: str, counts: Mapping[str, int], control: bool, samples: int, input_dim: int, instances: int, step: float
) -> float:
    """Gradients on all `samples` of a chain, summed over the chains of one instance; `step` is a step size that suits
    the posterior. What one costs besides counts as COST_OF_A_TRANSITION gradients a transition."""
    if method in ("ais", "collapsed"):
        transitions = 2 * counts["chains"] * counts["rungs"] + CHAINS * RUNGS * TRANSITIONS
        return transitions * ((SAMPLER.num_steps or 1) + 1 + COST_OF_A_TRANSITION)
    starts = 2 if method == "immse" and control else 1
    together = instances * (counts["nodes"] if method == "immse" else 1)
    node = _of_node(counts, starts, together, torch.tensor([step], dtype=torch.float64, device="cpu"))
    if method == "immse":
        return counts["nodes"] * node
    chosen, _ = sum_rule(samples, counts["nodes"], input_dim)
    return node * float(chosen.sum()) / samples


def bytes_of_information(
    method: str, counts: Mapping[str, int], control: bool, samples: int, test_samples: int, position: int
) -> int:
    """Of the files from which one instance's measurement goes on, where a chain's position takes so many bytes: those
    that are kept, and the next one while it is written."""
    if method in ("ais", "collapsed"):
        places = max(CHAINS, 2 * counts["chains"])
        return (LATEST + 1) * (places * (position + DOUBLE) + DOUBLE * (RUNGS * TRANSITIONS + counts["rungs"]))
    starts = 2 if method == "immse" and control else 1
    chains = starts * counts["chains"] * (counts["nodes"] if method == "immse" else 1)
    state = chains * (POSITION_AND_GRADIENT * position + DOUBLE)
    if method == "chain_rule":
        return (LATEST + 1) * (state + DOUBLE * min(BATCHES, counts["draws"]) * test_samples)
    means = samples * min(MOST_BATCHES, counts["draws"]) if control else 0
    return (LATEST + 1) * (state + DOUBLE * chains * (means + counts["draws"]))


def _of_node(counts: Mapping[str, int], starts: int, instances: int, step: torch.Tensor) -> float:
    """Of one posterior that is calibrated and sampled from the teacher."""
    transitions = starts * counts["chains"] * (counts["warmup"] + counts["draws"])
    trial = min(NEARBY.step_size_most_steps, count_of(NEARBY.step_size_path, step))
    settling = NEARBY.step_size_updates * (trial + COST_OF_A_TRANSITION)
    scans = scans_of(CALIBRATION_CHAINS * instances) * scan_length(step) * COST_OF_A_TRANSITION
    return transitions * (count_of(PATH, step) + COST_OF_A_TRANSITION) + CALIBRATION_CHAINS * (settling + scans)
