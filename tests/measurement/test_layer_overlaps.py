"""Overlaps layer by layer: definitions, symmetries, chance, and the Nishimori identity."""

import math
from typing import Any

import numpy as np
import pytest
import torch

import nishimori as nm
from nishimori.chains.progress import silent
from nishimori.measurement.identities import number_of_checks
from nishimori.measurement.layer_overlaps import KINDS, LayerOverlaps
from nishimori.models.layout import Position
from nishimori.models.randomness import Randomness
from nishimori.sampling import Run

PAIRS = [(0, 1)]


def posterior_of(network: nm.Network, instances: int = 3, samples: int = 7, test_samples: int = 11) -> nm.Posterior:
    problem = nm.matched_teacher(
        network, nm.GaussianChannel(0.2), samples, instances, seed=2, test_samples=test_samples
    )
    return nm.Posterior(problem, precision="fp64", device="cpu")


@pytest.fixture(scope="module")
def posterior() -> nm.Posterior:
    return posterior_of(nm.Network(5, (4, 3), "erf"))


def renumbered(position: Position, signs: bool = True) -> Position:
    """The same functions, hidden units permuted and signed at random, chain by chain."""
    generator = torch.Generator().manual_seed(4)
    copy = position.clone()
    first, second, readout = copy.blocks
    for instance in range(first.shape[0]):
        for chain in range(first.shape[1]):
            w1, w2, a = first[instance, chain], second[instance, chain], readout[instance, chain]
            for rows, columns in ((w1, w2), (w2, a)):
                order = torch.randperm(len(rows), generator=generator)
                sign = (
                    1.0 - 2.0 * torch.randint(2, (len(rows),), generator=generator) if signs else torch.ones(len(rows))
                )
                rows.copy_(rows[order] * sign[:, None])
                columns.copy_(columns[..., order] * sign)
    return copy


def test_a_copy_of_the_teacher_has_overlap_one_however_its_units_are_numbered(posterior: nm.Posterior) -> None:
    overlaps = LayerOverlaps(posterior, KINDS, PAIRS)
    copies = renumbered(posterior.initial_position(2, "teacher", seed=1))
    values = overlaps(copies)
    assert set(overlaps.names) == {
        *("weight_overlap_1", "weight_overlap_2", "weight_overlap_3"),
        *("feature_overlap_1", "feature_overlap_2", "kernel_overlap_1", "kernel_overlap_2"),
    }
    for name in overlaps.names:
        for found in (values[name], values[f"replica_{name}"]):
            np.testing.assert_allclose(found.numpy() / overlaps.norms[name][:, None], 1.0, rtol=1e-12)


def test_other_networks_have_the_same_overlaps_however_their_units_are_numbered(posterior: nm.Posterior) -> None:
    overlaps, position = LayerOverlaps(posterior, KINDS, PAIRS), posterior.initial_position(2, "prior", seed=1)
    expected, found = overlaps(position), overlaps(renumbered(position))
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-12)
        assert (value[:, 0] < 1).any()


def test_features_and_kernels_are_their_definitions(posterior: nm.Posterior) -> None:
    """Kernels need no matching; features of the teacher with itself need none either."""
    overlaps, position = LayerOverlaps(posterior, KINDS, ()), posterior.initial_position(2, "prior", seed=1)
    values = overlaps(position)

    def kernels(weights: Position) -> list[torch.Tensor]:
        hidden, found = posterior.rows("test").transpose(1, 2)[:, None], []
        for block in weights.blocks[:2]:
            hidden = torch.erf(block @ hidden / math.sqrt(block.shape[-1]))
            found.append(hidden.transpose(-1, -2) @ hidden / hidden.shape[-2])
        return found

    star = kernels(posterior.initial_position(1, "teacher", seed=1))
    for layer, (own, teacher) in enumerate(zip(kernels(position), star, strict=True), start=1):
        torch.testing.assert_close(values[f"kernel_overlap_{layer}"], (own * teacher).mean((-1, -2)))
        norm = torch.diagonal(teacher, dim1=-1, dim2=-2).mean((-1, -2))
        torch.testing.assert_close(torch.as_tensor(overlaps.norms[f"feature_overlap_{layer}"]), norm)


def test_chance_is_the_overlap_of_networks_that_have_seen_no_data() -> None:
    """`prior_weight_overlap_1` against the mean over independent pairs of networks, each from a stream of its own."""
    posterior = posterior_of(nm.Network(12, (8,), "tanh"), instances=60)
    overlaps = LayerOverlaps(posterior, KINDS, ())
    chance = overlaps.at_prior(Randomness.of(5, "", posterior.instances, (0,)))
    independent = overlaps(posterior.initial_position(4, "prior", seed=9))
    for name in overlaps.names:
        here, there = chance[f"prior_{name}"], independent[name].mean(1).numpy()
        error = np.std(here - there, ddof=1) / math.sqrt(60)
        assert abs(np.mean(here - there)) < 4 * error
        assert 0 < np.mean(here) < np.mean(overlaps.norms[name])


@pytest.fixture(scope="module")
def run() -> Run:
    """The readout is learnt best where few weights meet many samples."""
    channel = nm.GaussianChannel(0.05)
    problem = nm.matched_teacher(
        nm.Network(4, (3,), "tanh2"), channel, samples=40, instances=24, seed=5, test_samples=30
    )
    record = nm.CalibrationRecord(problem.instances, (0.08,) * 24, 8)
    settings: dict[str, Any] = {"chains": 1, "warmup": 100, "draws": 50, "thin": 4, "seed": 3, "calibration": record}
    target = nm.Posterior(problem, device="cpu")
    return nm.sample(target, **settings, layer_overlaps=KINDS, progress=silent)


def test_teacher_and_replicas_have_the_same_overlaps(run: Run) -> None:
    """N2 of every layer overlap."""
    checks = {check.name: check for check in run.checks}
    names = [name for name in checks if name.startswith("teacher_replica_") and name[-1].isdigit()]
    assert len(names) == 4
    assert all(abs(checks[name].z) < 4 for name in names), checks
    exact = sum(check.exact for check in run.checks)
    assert exact == number_of_checks(run.plan, run.target.problem.network, layer_overlaps=KINDS)  # type: ignore[union-attr]


def test_the_posterior_is_told_from_chance(run: Run) -> None:
    estimates = run.estimates
    for name in ("weight_overlap_1", "weight_overlap_2", "feature_overlap_1", "kernel_overlap_1"):
        learnt, chance = estimates[name], estimates[f"prior_{name}"]
        assert f"replica_{name}" in estimates and 0 < learnt.value < 1.2
        assert learnt.value - chance.value > 2 * math.hypot(learnt.standard_error, chance.standard_error), name
    assert run.draws["weight_overlap_1"].shape == (24, 2, 50)
    assert run.draws["replica_weight_overlap_1"].shape == (24, 1, 50)
    assert "weight_overlap_1" in run.diagnostics()["observables"]
    assert "weight_overlap_1" not in run.record.warmup


def test_the_sampler_is_not_disturbed_and_readouts_are_completed() -> None:
    problem = nm.matched_teacher(nm.Network(4, (3,), "tanh"), nm.GaussianChannel(0.3), samples=8, instances=2, seed=5)
    record = nm.CalibrationRecord((0, 1), (0.2, 0.2), 4)
    settings: dict[str, Any] = {"chains": 1, "warmup": 5, "draws": 8, "calibration": record, "progress": silent}
    target = nm.CollapsedPosterior(problem, readouts=2, device="cpu")
    plain = nm.sample(target, **settings)
    measured = nm.sample(target, **settings, layer_overlaps=["weights"])
    np.testing.assert_array_equal(plain.draws["gibbs_error"], measured.draws["gibbs_error"])
    assert measured.draws["weight_overlap_2"].shape == (2, 2, 8)


def test_what_cannot_be_compared_is_refused(posterior: nm.Posterior) -> None:
    with pytest.raises(ValueError, match="'biases' are unknown; use some of weights, features, kernels"):
        nm.sample(posterior, layer_overlaps=["biases"], calibration=nm.CalibrationRecord((0, 1, 2), (0.1,) * 3, 2))
    target = nm.DensityTarget(lambda x: -x.square().sum(-1) / 2, dim=2)
    with pytest.raises(ValueError, match="this target has none; leave them out"):
        nm.sample(target, nm.HMC(), layer_overlaps=["weights"], progress=silent)
