"""The Gaussian covariate model: published digits, closed forms beside the general iteration, and brute force."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import optimize

from nishimori.description import Network, ProbitChannel
from nishimori.theory import predict
from nishimori.theory.convex_losses import HINGE, LOGISTIC, SQUARE, SQUARE_OF_MARGIN, Loss
from nishimori.theory.covariate_evolution import Learnt, settled, state_evolution
from nishimori.theory.covariate_model import JointCovariance, LinearLabels, Modes, SignLabels, bayes_optimal

STEP = 6.9 / 19
LOGISTIC_ERRORS = {0.1: 0.441938, 2.4: 0.267492, 4.7: 0.228159}
RIDGE_ERRORS = (0.442536, 0.386484, 0.361930, 0.340603, 0.317681, 0.297855)
"""Of alpha = 0.1 + i * 6.9 / 19."""
BAYES_ERRORS = {0.1: 0.44190182, 2.4: 0.26694863, 4.7: 0.22789154, 7.0: 0.21150372}
LOG_COSH = Loss(lambda t: np.logaddexp(t, -t) - np.log(2), np.tanh, "residual", "log_cosh")


def two_layers_of_tanh2() -> tuple[float, float]:
    """k1 and gamma of the network of arXiv 2302.00375, figure 1."""
    found = predict(Network(500, (700, 700), "tanh2"), ProbitChannel(0.0), 1.0)
    return found.eta**2, found.gamma


def of_itself(eigenvalues: np.ndarray) -> JointCovariance:
    """x = z."""
    return JointCovariance(*[np.diag(eigenvalues)] * 3)


def sign_features(width: int, count: int, seed: int = 0) -> JointCovariance:
    """Of x = sign(F c) for c in R^width, by its Gaussian equivalent."""
    rows = np.random.default_rng(seed).standard_normal((count, width))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    linear = 2 / math.pi
    return JointCovariance(
        np.eye(width), math.sqrt(linear) * rows, linear * rows @ rows.T + (1 - linear) * np.eye(count)
    )


def rotated(width: int, count: int, correlation: float, seed: int) -> JointCovariance:
    """Power laws in z and x, of which the directions are at random to one another."""
    drawn = np.random.default_rng(seed).standard_normal((max(width, count), min(width, count)))
    isometry = np.linalg.qr(drawn)[0]
    isometry = isometry if count >= width else isometry.T
    psi, omega = ((np.arange(size) + 1.0) ** -0.4 for size in (width, count))
    psi, omega = psi / psi.mean(), omega / omega.mean()
    phi = correlation * np.sqrt(omega)[:, None] * isometry * np.sqrt(psi)
    return JointCovariance(np.diag(psi), phi, np.diag(omega))


@pytest.mark.parametrize(("ratio", "expected"), LOGISTIC_ERRORS.items())
def test_logistic_regression_of_a_deep_teacher(ratio: float, expected: float) -> None:
    signal, noise = two_layers_of_tanh2()
    modes = Modes(np.ones(1), np.array([signal]), signal, 1.0)
    found = state_evolution(modes, SignLabels(noise), LOGISTIC, 0.1, ratio)
    assert found.classification_error == pytest.approx(expected, abs=6e-7)


@pytest.mark.parametrize(("number", "expected"), list(enumerate(RIDGE_ERRORS)))
def test_ridge_classification_of_a_deep_teacher(number: int, expected: float) -> None:
    signal, noise = two_layers_of_tanh2()
    modes = Modes(np.ones(1), np.array([signal]), signal, 1.0)
    found = state_evolution(modes, SignLabels(noise), SQUARE_OF_MARGIN, 0.1, 0.1 + number * STEP)
    assert found.classification_error == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("ratio", "expected"), BAYES_ERRORS.items())
def test_the_bayes_classifier_of_a_deep_teacher(ratio: float, expected: float) -> None:
    """Independent formulas of another derivation (arXiv 2302.00375, eq. 15), to their digits."""
    signal, noise = two_layers_of_tanh2()
    covariance = of_itself(np.full(3, signal))
    assert bayes_optimal(covariance, SignLabels(noise), ratio).classification_error == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(
    ("ratio", "error", "training"), [(0.5, 1.420, 0.0119), (1.0, 1.957, 0.0903), (2.0, 1.315, 0.3679)]
)
def test_ridge_on_sign_features(ratio: float, error: float, training: float) -> None:
    """Digits of an independent implementation, of another draw of the rows; error without noise, squared."""
    found = state_evolution(sign_features(1200, 600).modes(), LinearLabels(0.01), SQUARE, 0.05, ratio)
    assert found.generalization_error - 0.01 == pytest.approx(error, abs=1.5e-3)
    assert 2 * found.training_loss == pytest.approx(training, abs=1.5e-4)


@pytest.mark.parametrize(
    ("ratio", "error", "information", "exact_error", "exact_information"),
    [
        (0.3, 0.58782, 0.32512, 0.58835, 0.32545),
        (1.0, 0.16695, 0.81781, 0.16723, 0.81721),
        (2.0, 0.06369, 1.16096, 0.06379, 1.16077),
    ],
)
def test_the_best_of_a_quadratic_spectrum(
    ratio: float, error: float, information: float, exact_error: float, exact_information: float
) -> None:
    """Digits of an independent implementation, and what it found for posteriors of p = 600."""
    spectrum = np.linspace(1, 60, 600) ** 2
    found = bayes_optimal(of_itself(spectrum / spectrum.mean()), LinearLabels(0.1), ratio)
    assert found.bayes_error == pytest.approx(error, abs=6e-6)
    assert found.mutual_information_per_dim == pytest.approx(information, abs=6e-6)
    assert found.bayes_error == pytest.approx(exact_error, rel=2e-3)
    assert found.mutual_information_per_dim == pytest.approx(exact_information, rel=2e-3)


def posteriors(covariance: JointCovariance, noise: float, ratio: float, runs: int) -> tuple[np.ndarray, np.ndarray]:
    """Bayes error and information per dimension [runs] of exact posteriors of theta0 given data sets."""
    (count, width), rest = covariance.phi.shape, covariance.unexplained
    known = covariance.phi.T @ np.linalg.inv(covariance.omega)
    root = np.linalg.cholesky(covariance.omega)
    errors, informations = [], []
    for seed in range(runs):
        drawn = np.random.default_rng(seed).standard_normal((round(ratio * count), count))
        features = drawn @ root.T @ known.T / math.sqrt(width)
        precision = np.eye(width) + features.T @ features / (noise + rest)
        errors.append(np.trace(np.linalg.solve(precision, known @ covariance.omega @ known.T)) / width + rest)
        informations.append(0.5 * np.linalg.slogdet(precision)[1] / count)
    return np.array(errors), np.array(informations)


@pytest.mark.parametrize("shape", [(1.0, 1.0), (0.5, 0.8), (1.5, 0.9)])
def test_exact_posteriors_come_near_the_best_as_they_grow(shape: tuple[float, float]) -> None:
    """1/p: four times nearer at four times the size, and within a percent at p = 96."""
    ratio, correlation = shape
    away: dict[int, np.ndarray] = {}
    for count, runs in ((24, 1500), (96, 150)):
        covariance = rotated(round(ratio * count), count, correlation, 1)
        found = posteriors(covariance, 0.1, 1.5, runs)
        limit = bayes_optimal(covariance, LinearLabels(0.1), 1.5)
        limits = limit.bayes_error, limit.mutual_information_per_dim
        errors = [np.std(values, ddof=1) / math.sqrt(runs) for values in found]
        away[count] = np.array([np.mean(values) / limit - 1 for values, limit in zip(found, limits, strict=True)])
        slack = 3.5 * np.array(errors) / limits
        assert np.all(np.abs(away[count]) < 0.01 * 96 / count + slack)
    assert np.all(np.abs(away[96]) < 0.4 * np.abs(away[24]) + slack)


def test_the_general_iteration_finds_what_is_known_of_the_square_loss() -> None:
    modes, residual, margin = (
        rotated(30, 40, 0.8, 2).modes(),
        dataclasses.replace(SQUARE, name="mine", proximal=None, second_derivative=None),
        dataclasses.replace(SQUARE_OF_MARGIN, name="mine"),
    )
    for ratio in (0.4, 3.0):
        for labels, closed, own in (
            (LinearLabels(0.2), SQUARE, residual),
            (SignLabels(0.2), SQUARE_OF_MARGIN, margin),
            (SignLabels(0.0), SQUARE_OF_MARGIN, margin),
        ):
            expected, found = (state_evolution(modes, labels, loss, 0.3, ratio) for loss in (closed, own))
            for name in ("response", "self_overlap", "teacher_overlap", "training_loss", "generalization_error"):
                assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-8)


def test_ridge_with_the_noise_variance_is_the_posterior_mean() -> None:
    """Where x = z the two theories, of different formulas, meet; away from there ridge is worse."""
    covariance = of_itself(np.linspace(0.2, 1.8, 50))
    for ratio in (0.4, 1.0, 3.0):
        best = bayes_optimal(covariance, LinearLabels(0.3), ratio)
        found = state_evolution(covariance.modes(), LinearLabels(0.3), SQUARE, 0.3, ratio)
        assert found.generalization_error == pytest.approx(best.generalization_error, rel=1e-9)
        other = state_evolution(covariance.modes(), LinearLabels(0.3), SQUARE, 0.6, ratio)
        assert other.generalization_error > 1.005 * best.generalization_error


@pytest.mark.parametrize("labels", [LinearLabels(0.1), SignLabels(0.1)])
def test_no_loss_does_better_than_the_best(labels: LinearLabels | SignLabels) -> None:
    covariance = rotated(60, 40, 0.9, 3)
    best = bayes_optimal(covariance, labels, 2.0)
    losses = [SQUARE, LOG_COSH] if isinstance(labels, LinearLabels) else [SQUARE_OF_MARGIN, LOGISTIC, HINGE]
    for loss in losses:
        for regularisation in (0.01, 0.1, 1.0, 10.0):
            found = state_evolution(covariance.modes(), labels, loss, regularisation, 2.0)
            if isinstance(labels, LinearLabels):
                assert found.generalization_error > best.generalization_error
            else:
                assert best.classification_error is not None
                assert found.classification_error > best.classification_error


def test_the_mean_over_teachers_is_the_mean_of_teachers() -> None:
    covariance = rotated(5, 8, 0.9, 4)
    one_by_one = [covariance.modes(direction) for direction in np.eye(5)]
    together = covariance.modes()
    np.testing.assert_allclose(together.alignment, sum(modes.alignment for modes in one_by_one), rtol=1e-12)
    assert together.teacher_variance == pytest.approx(sum(modes.teacher_variance for modes in one_by_one))


def minimised(loss: Loss, inputs: np.ndarray, labels: np.ndarray, regularisation: float) -> np.ndarray:
    """The weights [p] themselves."""

    def cost(weights: np.ndarray) -> tuple[float, np.ndarray]:
        residuals = labels - inputs @ weights
        slope = regularisation * weights - inputs.T @ loss.derivative(residuals)
        return float(loss.value(residuals).sum() + 0.5 * regularisation * weights @ weights), slope

    start = np.zeros(inputs.shape[1])
    found = optimize.minimize(cost, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000, "gtol": 1e-7})
    return found.x


def deviations(simulated: list[tuple[float, float]], predicted: Callable[[int], Learnt]) -> list[float]:
    """z of generalization error and training loss, of paired differences."""
    theory = [predicted(seed) for seed in range(len(simulated))]
    away = np.array(simulated) - [(one.generalization_error, one.training_loss) for one in theory]
    return list(away.mean(0) / (away.std(0, ddof=1) / math.sqrt(len(away))))


def test_a_loss_of_ones_own_learns_as_predicted() -> None:
    """log cosh on non-white inputs with k > p, in units of standard errors; another regularisation is far off."""
    covariance, noise, strength, ratio = rotated(180, 120, 0.9, 5), 0.5, 0.2, 2.0
    joint = np.linalg.cholesky(
        np.block([[covariance.psi, covariance.phi.T], [covariance.phi, covariance.omega]]) + 1e-12 * np.eye(300)
    )

    def teacher(seed: int) -> np.ndarray:
        return np.random.default_rng(seed).standard_normal(180)

    simulated = []
    for seed in range(20):
        drawn = np.random.default_rng(1000 + seed).standard_normal((round(ratio * 120), 300)) @ joint.T
        generator, inputs = np.random.default_rng(2000 + seed), drawn[:, 180:] / math.sqrt(120)
        labels = drawn[:, :180] @ teacher(seed) / math.sqrt(180)
        labels = labels + math.sqrt(noise) * generator.standard_normal(len(labels))
        weights = minimised(LOG_COSH, inputs, labels, strength)
        away = np.concatenate([teacher(seed) / math.sqrt(180), -weights / math.sqrt(120)])
        error = float(np.sum((joint.T @ away) ** 2)) + noise
        simulated.append((error, float(LOG_COSH.value(labels - inputs @ weights).mean())))

    def predicted(regularisation: float) -> Callable[[int], Learnt]:
        return lambda seed: state_evolution(
            covariance.modes(teacher(seed)), LinearLabels(noise), LOG_COSH, regularisation, ratio
        )

    assert max(map(abs, deviations(simulated, predicted(strength)))) < 3.5
    assert max(map(abs, deviations(simulated, predicted(2 * strength)))) > 5


def test_covariances_that_are_none_are_refused() -> None:
    identity = np.eye(3)
    for arguments, said in (
        ((identity, np.eye(4, 3), identity), "do not match"),
        ((identity, 1.1 * identity, identity), "no joint covariance"),
        ((identity, 0 * identity, np.triu(np.ones((3, 3)))), "finite and symmetric"),
        ((identity, np.nan * identity, identity), "finite and symmetric"),
    ):
        with pytest.raises(ValueError, match=said):
            JointCovariance(*arguments)


def test_what_has_no_theory_is_refused() -> None:
    covariance = of_itself(np.ones(4))
    modes = covariance.modes()
    for labels, loss, strength, ratio, said in (
        (LinearLabels(0.1), LOGISTIC, 0.1, 1.0, "need a loss of the residual"),
        (SignLabels(0.1), SQUARE, 0.1, 1.0, "need a loss of the margin"),
        (LinearLabels(0.1), SQUARE, 0.0, 1.0, "must be finite and positive"),
        (LinearLabels(0.1), SQUARE, 0.1, math.inf, "must be finite and positive"),
    ):
        with pytest.raises(ValueError, match=said):
            state_evolution(modes, labels, loss, strength, ratio)
    with pytest.raises(ValueError, match="noise_variance"):
        LinearLabels(-1.0)
    with pytest.raises(ValueError, match="without noise is infinite"):
        bayes_optimal(covariance, LinearLabels(0.0), 1.0)
    with pytest.raises(ValueError, match="x does not depend on z"):
        bayes_optimal(JointCovariance(np.eye(4), np.zeros((4, 4)), np.eye(4)), LinearLabels(0.1), 1.0)


def test_an_iteration_that_does_not_settle_is_refused() -> None:
    for step in (lambda order: (order[0] + 1, 1.0, 1.0), lambda order: (order[0] * 1e200, 1.0, 1.0)):
        with pytest.raises(ValueError, match="did not settle"):
            settled(step, (3.0, 1.0, 0.2))


def test_a_loss_with_an_unnamed_kink_is_not_resolved() -> None:
    """Named, it is: the same loss with its place."""
    modes = of_itself(np.ones(4)).modes()
    unnamed = dataclasses.replace(HINGE, kinks=())
    with pytest.raises(ValueError, match="is not resolved"):
        state_evolution(modes, SignLabels(0.1), unnamed, 0.1, 2.0)
    assert state_evolution(modes, SignLabels(0.1), HINGE, 0.1, 2.0).classification_error < 0.25
