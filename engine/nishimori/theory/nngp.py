"""The equivalent linear model of a network whose activation is not odd, from the kernel of infinite width.

A conjecture: the theorem of arXiv 2505.03577 covers odd activations alone. Infinitely wide ReLU networks of one and
two hidden layers approach it as the input dimension grows; finite widths were not compared.
"""

import math

import numpy as np
from numpy.typing import NDArray

from nishimori.description import ACTIVATIONS, Activation, Network
from nishimori.description.quadrature import normal_rule, panel_rule
from nishimori.theory.coefficients import Coefficients, require_gaussian_readout

Array = NDArray[np.float64]


def conjectured_linear_model(network: Network, input_variance: float = 1.0) -> Coefficients:
    """Coefficients of the linear model that has the infinite-width kernel K(c) of `network` to first order in c.

        F(x)  ->  bias + eta v.x / sqrt(d) + sqrt(gamma) xi,    Var(bias) = K(0)
        eta^2 = K'(0),   gamma = K(r) - K(0) - r K'(0),         K(x.x'/d) = E F(x) F(x'),   r = input_variance

        (s, c, eta^2)  <-  (kappa(s, s), kappa(s, c), eta^2 kappa'(s, c)),   from (r, 0, 1)
        kappa(s, c) = E phi(u) phi(v),   kappa'(s, c) = E phi'(u) phi'(v),   Var u = Var v = s,   Cov(u, v) = c

    rho_l is the square root of kappa'(s_{l-1}, c_{l-1}). Where the activation is odd, c stays 0 and the coefficients
    are those of `equivalent_linear_model` up to signs. Raises OutsideTheTheorem when the readout is fixed, and
    ValueError when a Gaussian average of the activation does not exist.
    """
    require_gaussian_readout(network)
    phi = network.activation
    sigma, rho, common = [input_variance], [], 0.0
    for _ in range(network.depth):
        variance = sigma[-1]
        phi.mean_derivative(variance)  # refuses a derivative that is not the function's
        common, slope = kernel(phi, variance, common)
        rho.append(math.sqrt(slope))
        sigma.append(phi.second_moment(variance))
    eta = math.prod(rho)
    return Coefficients(tuple(sigma), tuple(rho), eta, max(0.0, sigma[-1] - common - input_variance * eta**2), common)


def kernel(phi: Activation, variance: float, covariance: float) -> tuple[float, float]:
    """kappa and kappa' at s = `variance` and c = `covariance` in [0, s).

    Closed forms for relu (Cho and Saul 2009) and sign; else E_x (E_w phi(sqrt(c) x + sqrt(s - c) w))^2, the inner
    average by panels that end at 0, where an activation may have a kink.
    """
    cosine = covariance / variance
    if phi == ACTIVATIONS["relu"]:
        angle = math.acos(cosine)
        arc = math.pi - angle
        return variance * (math.sin(angle) + arc * cosine) / (2 * math.pi), arc / (2 * math.pi)
    if phi == ACTIVATIONS["sign"]:
        return 2 / math.pi * math.asin(cosine), 2 / math.pi / math.sqrt(variance**2 - covariance**2)
    own = math.sqrt(variance - covariance)
    shared, weights = normal_rule(min(0.25, 0.5 * own / math.sqrt(covariance)) if covariance > 0 else 9.0)
    reach = 9.0 * (math.sqrt(covariance) + own)
    points, widths = panel_rule((-reach, reach), min(0.5, own), (0.0,))
    distances = (points - math.sqrt(covariance) * shared[:, None]) / own
    law = widths * np.exp(-0.5 * distances**2) / (math.sqrt(2 * math.pi) * own)  # [shared, points]
    return _mean_square(law @ phi.function(points), weights), _mean_square(law @ phi.derivative(points), weights)


def _mean_square(averages: Array, weights: Array) -> float:
    return float(weights @ averages**2)
