"""Deep networks with as many samples as weights: n = alpha d^2, where hidden units specialise.

    F(x) = (1, ..., 1) . phi(W_L phi(... W_1 x / sqrt(d) ...) / sqrt(d)) / sqrt(d),    y = F + sqrt(Delta) z

All widths are d, the readout is fixed at 1, and phi has unit variance and no Hermite component of order 0, 1 or 2.
q_l is the overlap of the weights of layer l with the teacher's, unit by unit. With g(x) = sum_{j>=3} mu_j^2 x^j / j!,
mu_j = E phi(Z) He_j(Z),

    K(q_1, ..., q_L) = g(q_L g(q_{L-1} ... g(q_1))),   mmse = 1 - K
    r_l = alpha dK/dq_l / (Delta + mmse),              q_l = r_l / (1 + r_l)
    potential = -alpha log(Delta + mmse) + sum_l [q_l + log(1 - q_l)]

(arXiv 2510.24616; a replica conjecture.) Nothing is learnt at q = 0, the uninformed branch, which is a solution at
every alpha. The informed branch exists from `spinodal_threshold` on and has the larger potential from
`equilibrium_threshold` on. The sample ratio of this module is n / d^2, not n / d.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nishimori.description import Activation, Channel, GaussianChannel, Network
from nishimori.description.quadrature import hermite_products, normal_rule
from nishimori.theory.roots import root

Array = NDArray[np.float64]

_ORDERS = 400
_ROUNDS = 20_000
_TOLERANCE = 1e-8
_STRENGTHS = np.geomspace(0.1, 1e5, 71)
_INFORMED = 1 - 1e-6


@dataclass(frozen=True)
class Branch:
    """A solution at one sample ratio alpha = n / d^2; informations in nats.

    overlaps: (q_1, ..., q_L). mmse: E (F* - <F>)^2 on a fresh input. potential: the value that the branches compare,
    twice E log Z / d^2 up to a constant common to both.
    """

    sample_ratio: float
    overlaps: tuple[float, ...]
    mmse: float
    potential: float
    noise_variance: float

    @property
    def observables(self) -> dict[str, float]:
        """What `nishimori.sample` measures, by its names, on chains that stay in this branch.

        bayes_error, generalization_error and gibbs_error are mmse, mmse + Delta and 2 mmse; weight_overlap_l is q_l;
        mutual_information is I(theta*; D) / n and mutual_information_per_squared_dim is I / d^2 = alpha I / n, in nats,
        -(potential + alpha log Delta) / 2. The branch in equilibrium is the one with the smaller information.
        """
        information = -(self.potential + self.sample_ratio * math.log(self.noise_variance)) / 2
        return {
            "bayes_error": self.mmse,
            "generalization_error": self.mmse + self.noise_variance,
            "gibbs_error": 2 * self.mmse,
            **{f"weight_overlap_{layer}": overlap for layer, overlap in enumerate(self.overlaps, start=1)},
            "mutual_information": information / self.sample_ratio,
            "mutual_information_per_squared_dim": information,
        }


@dataclass(frozen=True)
class QuadraticSamples:
    """A network of `depth` hidden layers and label noise of variance `noise_variance` in the regime n = alpha d^2.

    coefficients: [orders] mu_j^2 / j! for j = 0, 1, ...; they sum to 1. `of` computes them for an activation.
    """

    coefficients: tuple[float, ...]
    depth: int
    noise_variance: float

    @classmethod
    def of(cls, activation: Activation, depth: int, noise_variance: float) -> "QuadraticSamples":
        """Raises ValueError when the activation has another variance than 1 or a Hermite component of order 0 to 2."""
        if depth < 1 or not (math.isfinite(noise_variance) and noise_variance > 0):
            raise ValueError(
                f"depth {depth} and noise_variance {noise_variance}: give at least one hidden layer and a finite "
                "variance greater than 0"
            )
        squares = hermite_squares(activation)
        if squares[:3].max() > _TOLERANCE or abs(activation.second_moment(1.0) - 1) > _TOLERANCE:
            raise ValueError(
                f"activation {activation.name!r} needs unit variance and no Hermite components of order 0, 1 and 2: "
                "subtract them and divide by the standard deviation (`without_linear_part` for an odd activation)"
            )
        if abs(squares.sum() - 1) > _TOLERANCE:
            raise ValueError(
                f"activation {activation.name!r} is not resolved by {_ORDERS} Hermite components: use a smooth one"
            )
        squares[:3] = 0.0
        return cls(tuple(squares / squares.sum()), depth, noise_variance)

    @classmethod
    def of_network(cls, network: Network, channel: Channel) -> "QuadraticSamples":
        """Raises ValueError, besides what `of` refuses, for a sampled readout, widths other than input_dim, biases,
        weight variances or layers that differ, or a channel other than Gaussian noise."""
        if network.readout != "fixed" or set(network.widths) != {network.input_dim}:
            raise ValueError(
                f"widths {network.widths} with readout {network.readout!r}: the theory of n ~ d^2 samples is that of "
                f'layers as wide as input_dim = {network.input_dim} and readout="fixed"; make them so'
            )
        if not isinstance(channel, GaussianChannel):
            raise ValueError(
                f"no theory of n ~ d^2 samples for the channel {channel!r}: use GaussianChannel(noise_variance)"
            )
        if isinstance(network.activation, tuple) or not network.plain:
            raise ValueError(
                "the theory of n ~ d^2 samples is that of one activation, unit weight variance and no biases; leave "
                "bias_variance, weight_variance and further activations out"
            )
        return cls.of(network.activation, network.depth, channel.noise_variance)

    def kernel(self, overlaps: Array) -> tuple[float, Array]:
        """K at overlaps [L], and its gradient [L]."""
        coefficients, orders = np.array(self.coefficients), np.arange(len(self.coefficients))
        value, gradient = 1.0, np.zeros(len(overlaps))
        for layer, overlap in enumerate(overlaps):
            powers = (overlap * value) ** orders
            slope = float(powers[:-1] @ (orders * coefficients)[1:])
            gradient[:layer] *= slope * overlap
            gradient[layer] = slope * value
            value = float(powers @ coefficients)
        return value, gradient

    def uninformed(self, sample_ratio: float) -> Branch:
        """The branch q = 0, on which mmse = 1."""
        return self._branch(sample_ratio, np.zeros(self.depth))

    def informed(self, sample_ratio: float) -> Branch | None:
        """The branch with the larger overlaps, or None below the spinodal threshold."""
        lowest = self._spinodal
        if sample_ratio < self._at(lowest).sample_ratio:
            return None
        highest = lowest
        while self._at(highest).sample_ratio < sample_ratio:
            highest *= 2.0
        if highest == lowest:
            return self._at(lowest)
        return self._at(root(lambda strength: self._at(strength).sample_ratio - sample_ratio, lowest, highest))

    def spinodal_threshold(self) -> Branch:
        """The informed branch where it begins, at alpha_c."""
        return self._at(self._spinodal)

    def equilibrium_threshold(self) -> Branch:
        """The informed branch where its potential equals that of the uninformed one, at alpha_e."""

        def advantage(strength: float) -> float:
            branch = self._at(strength)
            return branch.potential - self.uninformed(branch.sample_ratio).potential

        lowest = self._spinodal
        highest = lowest
        while advantage(highest) < 0:
            highest *= 2.0
        return self._at(root(advantage, lowest, highest))

    def _at(self, strength: float) -> Branch:
        """The informed solution at given `strength` = alpha / (Delta + mmse), from which alpha follows.

        q -> r/(1 + r) with r = strength dK/dq increases with q: from q = 1 it falls to the largest solution.
        """
        overlaps = np.ones(self.depth)
        for _ in range(_ROUNDS):
            ratios = strength * self.kernel(overlaps)[1]
            renewed = ratios / (1 + ratios)
            change = np.abs(renewed - overlaps).max()
            overlaps = renewed
            if change < 1e-14:
                break
        return self._branch(strength * (self.noise_variance + 1 - self.kernel(overlaps)[0]), overlaps)

    def _branch(self, sample_ratio: float, overlaps: Array) -> Branch:
        mmse = 1 - self.kernel(overlaps)[0]
        weights = float((overlaps + np.log1p(-overlaps)).sum())
        potential = weights - sample_ratio * math.log(self.noise_variance + mmse)
        return Branch(
            float(sample_ratio), tuple(float(overlap) for overlap in overlaps), mmse, potential, self.noise_variance
        )

    @cached_property
    def _spinodal(self) -> float:
        """The strength at which alpha is smallest along the informed branch."""
        from scipy import optimize  # it loads slowly, and few commands need it

        branches = [self._at(strength) for strength in _STRENGTHS]
        ratios = [branch.sample_ratio if branch.mmse < _INFORMED else math.inf for branch in branches]
        lowest = int(np.argmin(ratios))
        bounds = (_STRENGTHS[lowest - 1], _STRENGTHS[lowest + 1])

        def ratio(strength: float) -> float:
            branch = self._at(strength)
            # Below the end of the branch a slope leads the search back to it.
            return branch.sample_ratio if branch.mmse < _INFORMED else ratios[lowest] * (10 - strength / bounds[1])

        found: Any = optimize.minimize_scalar(ratio, bounds=bounds, method="bounded", options={"xatol": 1e-9})
        return float(found.x)


def without_linear_part(activation: Activation) -> Activation:
    """(phi(x) - rho x) / sqrt(eps), rho = E phi'(Z), eps = E phi(Z)^2 - rho^2, of an odd activation phi.

    Sampled through torch where phi has its torch functions."""
    gain = activation.mean_derivative(1.0)
    deviation = math.sqrt(activation.second_moment(1.0) - gain**2)
    own, slope = activation.torch_function, activation.torch_derivative
    return Activation(
        lambda x: (activation.function(x) - gain * x) / deviation,
        lambda x: (activation.derivative(x) - gain) / deviation,
        f"{activation.name} without its linear part",
        odd=activation.odd,
        smooth=activation.smooth,
        torch_function=(lambda x: (own(x) - gain * x) / deviation) if own else None,
        torch_derivative=(lambda x: (slope(x) - gain) / deviation) if slope else None,
    )


def hermite_squares(activation: Activation) -> Array:
    """mu_j^2 / j! [orders], the squared coefficients of phi in normalised Hermite polynomials of a standard normal."""
    points, weights = normal_rule(1 / 64)
    roots = np.sqrt(weights)
    values = roots * activation.function(points)
    return np.array([(values @ each) ** 2 for each in islice(hermite_products(points, roots), _ORDERS)])
