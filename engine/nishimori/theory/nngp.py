"""The equivalent linear model of a network with biases or an activation that is not odd, from the kernel of infinite
width.

A conjecture: the theorem of arXiv 2505.03577 covers odd activations without biases alone. Infinitely wide ReLU networks
of one and two hidden layers, and networks with biases, approach it as the input dimension grows.
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

        (s, c, eta^2)  <-  (w kappa(s, s) + b, w kappa(s, c) + b, w eta^2 kappa'(s, c)),   from (w_1 r + b, b, w_1)
        kappa(s, c) = E phi(u) phi(v),   kappa'(s, c) = E phi'(u) phi'(v),   Var u = Var v = s,   Cov(u, v) = c

    with w = w_{l+1} the next weight variance, that of the readout last, b the bias variance, and kappa that of layer l.
    rho_l is the square root of kappa'(s_{l-1}, c_{l-1}). The part c of a pre-activation's variance is the same for all
    inputs and differs between units, so that a unit's gain does: v weighs units by it, and its squared correlation with
    the effective linear weights is the product of (E phi'(u))^2 / kappa'(s, c). Where the activations are odd and there
    are no biases, c stays 0 and the coefficients are those of `equivalent_linear_model` up to signs.

    Raises OutsideTheTheorem when the readout is fixed, and ValueError when a Gaussian average of an activation does not
    exist.
    """
    require_gaussian_readout(network)
    (first, *weights), bias = network.weight_variances, network.bias_variance
    sigma, rho, common, alignment = [first * input_variance + bias], [], bias, 1.0
    for phi, weight in zip(network.activations, weights, strict=True):
        variance = sigma[-1]
        mean = phi.mean_derivative(variance)  # refuses a derivative that is not the function's
        shared, slope = kernel(phi, variance, common)
        alignment *= min(1.0, mean**2 / slope) if slope > 0 else 1.0
        common = weight * shared + bias
        rho.append(math.sqrt(slope))
        sigma.append(weight * phi.second_moment(variance) + bias)
    eta = math.prod(rho) * math.sqrt(network.effective_variance)
    noise = max(0.0, sigma[-1] - common - input_variance * eta**2)
    return Coefficients(tuple(sigma), tuple(rho), eta, noise, common, alignment, input_variance)


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
