"""Mismatched students: the matched limit, the published fixed point, regression and linear networks simulated."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

import nishimori as nm
from nishimori.theory.mismatched_ridge import MismatchedRidge
from nishimori.theory.renormalisation import action, renormalisation, scales

Array = NDArray[np.float64]
NOISE = nm.GaussianChannel(0.1)
ODD = MismatchedRidge(0.4, 0.05, 0.3, 0.6, 0.02, 0.1, 1.7)
"""No two of its values alike."""


def erf(width: int = 10, depth: int = 1, input_dim: int = 10, activation: str = "erf") -> nm.Network:
    return nm.Network(input_dim, (width,) * depth, activation)


@pytest.mark.parametrize("sample_ratio", [1e-3, 0.3, 1.0, 2.0, 50.0])
@pytest.mark.parametrize("activation", ["tanh", "identity"])
@pytest.mark.parametrize("widths", [(), (10,), (3, 40)])
def test_a_matched_student_is_not_renormalised_and_has_the_bayes_error(
    sample_ratio: float, activation: str, widths: tuple[int, ...]
) -> None:
    network = nm.Network(10, widths, activation)
    found = nm.theory.predict_mismatched(network, NOISE, sample_ratio, network, NOISE)
    bayes = nm.theory.predict(network, NOISE, sample_ratio)
    assert found.renormalisation == pytest.approx(1, abs=1e-10)
    for name in ("sigma", "eta", "gamma", "overlap", "function_overlap", "gibbs_error", "generalization_error"):
        assert getattr(found, name) == pytest.approx(getattr(bayes, name), rel=1e-10, abs=1e-12), name
    assert found.posterior_mean_error == pytest.approx(bayes.bayes_error, rel=1e-10)
    assert found.posterior_variance == pytest.approx(bayes.bayes_error, rel=1e-10)
    assert found.replica_function_overlap == pytest.approx(bayes.function_overlap, rel=1e-10, abs=1e-12)
    assert found.training_energy == pytest.approx(NOISE.noise_variance, rel=1e-10)
    assert found.train_gibbs_error == pytest.approx(2 * bayes.train_mmse, rel=1e-10)


@pytest.mark.parametrize("believed", [0.01, 0.1, 2.0])
@pytest.mark.parametrize("sample_ratio", [0.4, 1.0, 3.0])
def test_the_wide_student_solves_the_published_fixed_point(believed: float, sample_ratio: float) -> None:
    """arXiv 2302.00375, eq. 24, iterated from no data."""
    student, teacher = nm.Network(10, (10,), "tanh"), nm.Network(10, (10, 10), "tanh2")
    channel = nm.GaussianChannel(believed)
    found = nm.theory.predict_mismatched(student, channel, sample_ratio, teacher, NOISE, width_ratios=())
    ks1, residual = found.eta**2, found.gamma
    kt1, noise = found.teacher_eta**2, found.teacher_gamma + NOISE.noise_variance
    v = q = m = 0.0
    for _ in range(20_000):
        vh = sample_ratio / (1 + v)
        mh, qh = math.sqrt(kt1) * vh, sample_ratio * (kt1 + noise + q - 2 * math.sqrt(kt1) * m) / (1 + v) ** 2
        gain = ks1 / (believed + vh * ks1)
        v, q, m = residual / believed + gain, (mh**2 + qh) * gain**2, mh * gain
    error = kt1 + found.teacher_gamma + q - 2 * math.sqrt(kt1) * m
    assert found.posterior_mean_error == pytest.approx(error, rel=1e-10)
    assert found.replica_function_overlap == pytest.approx(q, rel=1e-10)
    assert found.function_overlap == pytest.approx(math.sqrt(kt1) * m, rel=1e-10)


def arcsine(left: Array, right: Array, input_dim: int) -> Array:
    """Covariance of a wide layer of erf(x) on inputs of these rows."""
    of_left, of_right = (1 + 2 * (rows**2).sum(1) / input_dim for rows in (left, right))
    return 2 / math.pi * np.arcsin(2 * (left @ right.T) / input_dim / np.sqrt(of_left[:, None] * of_right))


def test_gaussian_process_regression_on_a_network_of_another_kind(instances: int = 8, d: int = 400) -> None:
    """An infinitely wide erf student of four times the noise variance, on data of tanh(2x) networks of width d.

    Readouts have the norm that they have in the limit: its spread at this size would hide the rest.
    """
    samples, believed = 2 * d, 0.4
    teacher, student = nm.Network(d, (d,), "tanh2"), nm.Network(d, (d,), "erf")
    channel = nm.GaussianChannel(believed)
    theory = nm.theory.predict_mismatched(student, channel, samples / d, teacher, NOISE, width_ratios=())
    generator, rows = np.random.default_rng(5), []
    for _ in range(instances):
        hidden, readout = generator.standard_normal((d, d)), generator.standard_normal(d)
        readout *= math.sqrt(d) / np.linalg.norm(readout)
        inputs = generator.standard_normal((samples + 500, d))
        latent = np.tanh(2 * inputs @ hidden.T / math.sqrt(d)) @ readout / math.sqrt(d)
        x, fresh = inputs[:samples], inputs[samples:]
        labels = latent[:samples] + math.sqrt(NOISE.noise_variance) * generator.standard_normal(samples)
        kernel, cross = arcsine(x, x, d), arcsine(fresh, x, d)
        solved = np.linalg.solve(
            kernel + believed * np.eye(samples), np.column_stack([labels, cross.T, np.eye(samples)])
        )
        weights, smoother, inverse = solved[:, 0], solved[:, 1:501], solved[:, 501:]
        predicted, variance = cross @ weights, np.diag(arcsine(fresh, fresh, d)) - (cross * smoother.T).sum(1)
        train_variance = np.diag(kernel) - (kernel * (inverse @ kernel).T).sum(1)
        truth, residual = latent[samples:], believed * weights
        rows.append(
            {
                "posterior_mean_error": ((truth - predicted) ** 2).mean(),
                "posterior_variance": variance.mean(),
                "function_overlap": (truth * predicted).mean(),
                "replica_function_overlap": (predicted**2).mean(),
                "training_energy": (residual**2 + train_variance).mean(),
                "train_gibbs_error": ((latent[:samples] - labels + residual) ** 2 + train_variance).mean(),
            }
        )
    for name in rows[0]:
        values, expected = np.array([row[name] for row in rows]), getattr(theory, name)
        # Corrections to the limit are below 1/d.
        error = math.hypot(values.std(ddof=1) / math.sqrt(instances), expected / d)
        t = (values.mean() - expected) / error
        assert stats.t.sf(abs(t), instances - 1) > 1e-3, (name, values.mean(), expected, error)
        assert error < 0.05 * expected, name


def slope(function: Callable[[float], float], place: float, step: float = 1e-4) -> float:
    """The derivative, to step^4."""
    near, far = (function(place + k * step) - function(place - k * step) for k in (1, 2))
    return (8 * near - far) / (12 * step)


def test_the_force_is_the_slope_of_the_action() -> None:
    for factor in (0.3, 1.0, 2.5):
        derivative = slope(lambda t: ODD.renormalised(math.exp(t)).action_per_sample, math.log(factor))
        assert ODD.renormalised(factor).force == pytest.approx(-derivative, rel=1e-9)


@pytest.mark.parametrize("ratios", [(0.5,), (1.0, 3.0)])
def test_the_renormalisation_is_where_the_action_is_stationary(ratios: tuple[float, ...]) -> None:
    factor = renormalisation(ODD, ratios)
    layers = scales(ODD, ratios, factor)
    assert math.prod(layers) == pytest.approx(factor, rel=1e-12)
    assert abs(factor - 1) > 0.01

    def whole(number: int, shift: float) -> float:
        moved = [scale * (math.exp(shift) if place == number else 1) for place, scale in enumerate(layers)]
        own = sum(ratio * (scale - math.log(scale)) for ratio, scale in zip(ratios, moved, strict=True))
        return own + ODD.sample_ratio * ODD.renormalised(math.prod(moved)).action_per_sample

    assert whole(0, 0.0) == pytest.approx(action(ODD, ratios, factor), rel=1e-12)
    for number in range(len(ratios)):
        assert slope(lambda shift, number=number: whole(number, shift), 0.0) == pytest.approx(0, abs=1e-9)


def test_widths_beyond_bounds_leave_the_kernel_alone() -> None:
    assert renormalisation(ODD, (1e9,)) == pytest.approx(1, abs=1e-8)
    assert renormalisation(ODD, ()) == 1.0


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize(("noise", "believed"), [(1.0, 0.1), (0.1, 1.5)])
def test_linear_networks_have_the_renormalised_scale(
    noise: float, believed: float, depth: int, instances: int = 12, d: int = 160
) -> None:
    """The weights of a linear network are N(0, s), s a product of chi^2_N / N: the posterior of s is one integral.

    No renormalisation, Q = 1, would miss it.
    """
    width, samples = d // 2, 2 * d
    generator, found = np.random.default_rng(7), []
    places = np.linspace(-3.0, 3.0, 1201)
    prior = one = np.exp(width / 2 * (places - np.exp(places) + 1))
    for _ in range(depth - 1):
        prior = np.convolve(prior, one, mode="same")
    for _ in range(instances):
        x = generator.standard_normal((samples, d)) / math.sqrt(d)
        weights = generator.standard_normal(d)
        weights *= math.sqrt(d) / np.linalg.norm(weights)
        labels = x @ weights + math.sqrt(noise) * generator.standard_normal(samples)
        vectors, values, _ = np.linalg.svd(x, full_matrices=True)
        spectrum = np.concatenate([values**2, np.zeros(samples - d)])
        variance = np.exp(places)[:, None] * spectrum + believed
        evidence = -0.5 * ((vectors.T @ labels) ** 2 / variance + np.log(variance)).sum(1)
        law = prior * np.exp(evidence - evidence.max())
        found.append(law @ np.exp(places) / law.sum())
    linear = nm.Network(d, (width,) * depth, "identity")
    channels = nm.GaussianChannel(believed), nm.GaussianChannel(noise)
    theory = nm.theory.predict_mismatched(linear, channels[0], 2.0, teacher_channel=channels[1])
    error = np.std(found, ddof=1) / math.sqrt(instances)
    # The mean of s is 1/N or so from where its posterior is largest.
    tolerance = 4 * error + 1 / width
    assert abs(np.mean(found) - theory.renormalisation) < tolerance
    assert abs(np.mean(found) - 1) > tolerance


def test_what_has_no_theory_is_refused() -> None:
    predict = nm.theory.predict_mismatched
    with pytest.raises(ValueError, match="Gaussian label noise alone.*use GaussianChannel"):
        predict(erf(), nm.ProbitChannel(0.1), 1.0)
    with pytest.raises(ValueError, match="Gaussian label noise alone.*use GaussianChannel"):
        predict(erf(), NOISE, 1.0, erf(), nm.ProbitChannel(0.1))
    with pytest.raises(nm.theory.OutsideTheTheorem, match="relu"):
        predict(erf(), NOISE, 1.0, erf(activation="relu"))
    with pytest.raises(ValueError, match="sample_ratio must be finite"):
        predict(erf(), NOISE, 0.0)


def test_predictions_are_ready_for_json_and_told_to_be_a_conjecture() -> None:
    found = nm.theory.predict_mismatched(erf(5), NOISE, 1.0, erf(activation="sin"))
    document = found.to_dict()
    assert document["basis"] == "conjecture"
    assert document["sigma"] == list(found.sigma)
    assert set(document) == {field.name for field in dataclasses.fields(found)}
    assert found.gibbs_error == pytest.approx(found.posterior_mean_error + found.posterior_variance, rel=1e-14)


def test_overlaps_are_those_of_weights_with_their_variances():
    """phi(sqrt(s) x) with s = 1 or 4 is tanh or tanh2; a weight vector of variance 4 is twice as long."""
    channel, plain = nm.GaussianChannel(0.1), nm.Network(10, (10,), "tanh")
    named = nm.theory.predict_mismatched(plain, channel, 2.0, nm.Network(10, (10,), "tanh2"))
    scaled = nm.theory.predict_mismatched(
        plain, channel, 2.0, nm.Network(10, (10,), "tanh", weight_variance=(4.0, 1.0))
    )
    assert scaled.posterior_mean_error == pytest.approx(named.posterior_mean_error, rel=1e-10)
    assert scaled.overlap == pytest.approx(named.overlap / 2, rel=1e-10)
    assert scaled.replica_overlap == pytest.approx(named.replica_overlap / 4, rel=1e-10)
