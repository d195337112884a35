"""Online learning of the readout over frozen random features, from a teacher of random directions (arXiv 2303.14083).

Inputs x ~ N(0, 1_d). Teacher y = sum_m v_m g(B_m.x / sqrt(d)), student f = sum_i tau_i g(J_i.x / sqrt(d)), rows of J
and B of length sqrt(d), J frozen; where E g != 0 both have g - E g. The error is eps = E (f - y)^2 / 2. A step of
stochastic gradient descent on a fresh input is tau += (learning_rate / d) (y - f) g(J x), and time is steps / d.

With A_ij = E g_i g_j, b_i = E g_i y and c = E y^2, which the angles between rows fix, and eigenvectors u_i of A of
eigenvalues a_i, the error is eps* + sum_i a_i D_i / 2, eps* = (c - b.A^-1 b) / 2, D_i = (u_i.(tau - A^-1 b))^2.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from nishimori.description.activations import Activation
from nishimori.description.quadrature import panel_rule
from nishimori.theory.roots import root

Array = NDArray[np.float64]
ORDERS = 64
"""Of Hermite polynomials, between different rows: |J_i.J_j| / d is small, and its powers die out."""
REACH, PANEL = 14.0, 0.25
RULE = 200
"""Points of the quadrature over the cosines of random directions."""


@dataclass(frozen=True)
class Hermite:
    """What a kernel of an activation at unit variance is made of: its coefficients on normalised Hermite polynomials,
    order by order (the first, E g, is left out of kernels), and E g^2 of all of them."""

    coefficients: Array
    second_moment: float

    @classmethod
    def of(cls, activation: Activation) -> "Hermite":
        """By quadrature, in panels that end at 0, where kinks are."""
        points, weights = panel_rule((-REACH, REACH), PANEL, kinks=(0.0,))
        weights = weights * np.exp(-(points**2) / 2) / math.sqrt(2 * math.pi)
        values = activation.function(points)
        before, polynomial, found = np.zeros_like(points), np.ones_like(points), []
        for order in range(ORDERS):
            found.append(float(weights @ (values * polynomial)))
            following = (points * polynomial - math.sqrt(order) * before) / math.sqrt(order + 1)
            before, polynomial = polynomial, following
        return cls(np.array(found), float(weights @ values**2))

    @property
    def squares(self) -> Array:
        return self.coefficients**2

    @property
    def linear(self) -> float:
        """Square of the coefficient of order 1, (E g')^2."""
        return float(self.squares[1])

    @property
    def nonlinear(self) -> float:
        """E g^2 without orders 0 and 1, which acts as noise where features are in proportion to inputs."""
        return self.second_moment - float(self.squares[0] + self.squares[1])

    def kernel(self, cosine: Array) -> Array:
        """E g(u) g(v) - (E g)^2 [any] of standard normals of correlation `cosine` [any]."""
        series = np.polynomial.polynomial.polyval(cosine, np.concatenate([[0.0], self.squares[1:]]))
        same = np.abs(cosine - 1.0) < 1e-12
        return np.where(same, self.second_moment - self.squares[0], series)


def plateau(activation: Activation, width_ratio: float) -> float:
    """lim eps of a teacher of a single unit of v = 1, as time goes to infinity, and then d and width = width_ratio * d
    do; sum_m v_m^2 times that for several units with orthogonal rows.

    From the Marchenko-Pastur law of J^T J / d (its Stieltjes transform at -z0). Raises ValueError for a width ratio
    that is not positive, and an activation without a linear part.
    """
    hermite = Hermite.of(activation)
    if not 0 < width_ratio < math.inf:
        raise ValueError(f"width_ratio = {width_ratio} must be finite and positive")
    if not hermite.linear > 1e-12:
        raise ValueError(
            f"activation {activation.name!r} has no linear part: features in proportion learn nothing of it"
        )
    shift = hermite.nonlinear / hermite.linear
    half = (shift + width_ratio - 1) / 2
    # the root of shift m^2 + 2 half m = 1 that is positive, without cancellation
    transform = 1 / (half + math.sqrt(half**2 + shift)) if half >= 0 else (math.sqrt(half**2 + shift) - half) / shift
    return 0.5 * (hermite.nonlinear + hermite.linear * shift * transform)


def plateau_after(activation: Activation, degree: int, input_dim: int | None = None) -> float:
    """eps of the same teacher where all of it up to `degree` is learnt, as width >> d^degree lets it be: as d goes to
    infinity, when degrees are those of Hermite polynomials, or at `input_dim` above 2, when they are those of spherical
    harmonics and the kernel is sum_l a_l P_l(cosine) in Gegenbauer polynomials of P_l(1) = 1."""
    hermite = Hermite.of(activation)
    if input_dim is None:
        return 0.5 * (hermite.second_moment - float(hermite.squares[: degree + 1].sum()))
    index = input_dim / 2 - 1
    cosines, weights = special.roots_gegenbauer(RULE, index)
    values = weights / weights.sum() * hermite.kernel(cosines)
    learnt = 0.0
    for order in range(degree + 1):
        harmonics = special.binom(order + input_dim - 1, order) - special.binom(order + input_dim - 3, order - 2)
        polynomial = special.eval_gegenbauer(order, index, cosines) / special.eval_gegenbauer(order, index, 1.0)
        learnt += float(harmonics * (values @ polynomial))
    return 0.5 * (hermite.second_moment - float(hermite.squares[0]) - learnt)


@dataclass(frozen=True, eq=False)
class Features:
    """One draw of rows: J [width, d], B [units, d], and the teacher's readout v [units]."""

    activation: Activation
    student: Array
    teacher: Array
    readout: Array

    @property
    def mean(self) -> float:
        """E g, which is taken off."""
        return float(Hermite.of(self.activation).coefficients[0])

    @cached_property
    def moments(self) -> tuple[Array, Array, float]:
        """A [width, width], b [width] and c."""
        hermite, dim = Hermite.of(self.activation), self.student.shape[1]
        among = hermite.kernel(self.student @ self.student.T / dim)
        np.fill_diagonal(among, hermite.second_moment - hermite.squares[0])
        across = hermite.kernel(self.student @ self.teacher.T / dim) @ self.readout
        of_teacher = hermite.kernel(self.teacher @ self.teacher.T / dim)
        np.fill_diagonal(of_teacher, hermite.second_moment - hermite.squares[0])
        return among, across, float(self.readout @ of_teacher @ self.readout)

    @cached_property
    def _modes(self) -> tuple[Array, Array]:
        """a [width], ascending, and u.b [width]."""
        among, across, _ = self.moments
        eigenvalues, vectors = np.linalg.eigh(among)
        return eigenvalues, vectors.T @ across

    @property
    def plateau(self) -> float:
        """eps*, what remains as the learning rate goes to 0 and time to infinity."""
        eigenvalues, projections = self._modes
        return 0.5 * (self.moments[2] - float(np.sum(projections**2 / eigenvalues)))

    def stationary_error(self, learning_rate: float) -> float:
        """lim eps at this learning rate: eps* / (1 - learning_rate tr A / (2 d)); infinite where that is not positive,
        at learning rates that diverge."""
        eigenvalues, _ = self._modes
        left = 1 - learning_rate * float(eigenvalues.sum()) / (2 * self.student.shape[1])
        return self.plateau / left if left > 0 else math.inf

    def posterior_mean_error(self, sample_ratio: float, noise_variance: float) -> float:
        """E (f - y)^2 of the mean of the posterior over tau ~ N(0, 1/width), given n = sample_ratio * width labels with
        Gaussian noise, as the width grows: ridge regression on features of covariance A / width, whose effective ridge
        kappa solves noise_variance = kappa (sample_ratio - tr A (A + kappa)^-1 / width).

        The teacher is no linear function of the features: what of it they miss acts as noise besides, which the
        student does not know of. Raises ValueError where the arguments are not positive.
        """
        if not (sample_ratio > 0 and noise_variance > 0):
            raise ValueError("sample_ratio and noise_variance must be positive")
        eigenvalues, projections = self._modes

        def excess(ridge: float) -> float:
            return ridge * (sample_ratio - float(np.mean(eigenvalues / (eigenvalues + ridge)))) - noise_variance

        most = (noise_variance + float(np.mean(eigenvalues))) / sample_ratio
        ridge = root(excess, 0.0, 1.01 * most)
        kept = eigenvalues / (eigenvalues + ridge)
        bias = ridge**2 * float(np.sum(projections**2 / eigenvalues / (eigenvalues + ridge) ** 2))
        noise = noise_variance + 2 * self.plateau
        return (bias + noise) / (1 - float(np.mean(kept**2)) / sample_ratio) - noise_variance

    def errors(self, learning_rate: float, times: ArrayLike) -> Array:
        """eps [times] from tau = 0 on, averaged over inputs, by

            dD_i/dt = -2 learning_rate a_i D_i + (learning_rate^2 / d) a_i 2 eps.

        Solved in the eigenbasis by scipy's LSODA to 1e-9 relative.
        """
        from scipy.integrate import solve_ivp

        eigenvalues, projections = self._modes
        floor, dim = self.plateau, self.student.shape[1]
        start = (projections / eigenvalues) ** 2

        def error(squares: Array) -> Array:
            return floor + 0.5 * eigenvalues @ squares

        def velocity(time: float, squares: Array) -> Array:
            del time
            return eigenvalues * (2 * learning_rate**2 / dim * error(squares) - 2 * learning_rate * squares)

        asked = np.asarray(times, dtype=float)
        spans = (0.0, float(max(asked.max(), 1e-12)))
        solved = solve_ivp(velocity, spans, start, "LSODA", t_eval=np.unique(asked), rtol=1e-9, atol=1e-14)
        found = dict(zip(solved.t, error(solved.y), strict=True))
        return np.array([found[time] for time in asked])
