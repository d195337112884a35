"""The number by which the data multiply the kernel of a student of finite width; a conjecture.

    S(Q) = sum_l (N_l/N_1) (Q_l - log Q_l) + (1/N_1) [y^T (Q K + T)^{-1} y + log det(Q K + T)],    Q = prod_l Q_l

The posterior has weight exp(-N_1 S/2) in the scales Q_l of the layers, each chi^2_N / N without data: exact for linear
networks, a conjecture for others (arXiv 2209.04882, whose layers are alike). S is stationary where

    Q_l = 1 + F/N_l,    F = E [y^T M Q K M y - tr M Q K],    M = (Q K + T)^{-1}.

Labels of a matched teacher have E y y^T = K + T, so that F = 0 at Q = 1: their kernel is not renormalised at any width.

Sampled erf students of one hidden layer agree with Q within two standard errors (tests/validation/test_mismatch.py).
Those of two (d = 40, widths 20, alpha = 2, a quarter of the true noise variance) have the posterior variance 0.120(4)
and the training energy 0.0276(2), where Q gives 0.133 and 0.0268 and no renormalisation 0.086 and 0.0308; a likely
reason is that one Q multiplies what every layer adds to the kernel.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from nishimori.theory.mismatched_ridge import MismatchedRidge
from nishimori.theory.roots import root

_GRID = np.linspace(-12.0, 12.0, 97)
"""Of log Q."""


def renormalisation(ridge: MismatchedRidge, width_ratios: Sequence[float]) -> float:
    """Q of a student whose hidden layers are `width_ratios` = d_l/d wide, 1 where there is none; of several stationary
    points that of the least S."""
    if not width_ratios:
        return 1.0
    ratios = tuple(width_ratios)

    def excess(logarithm: float) -> float:
        return logarithm - _log_product(ridge, ratios, logarithm)

    values = [excess(float(place)) for place in _GRID]
    brackets = [
        (float(low), float(high))
        for (low, below), (high, above) in pairwise(zip(_GRID, values, strict=True))
        if below <= 0 < above or above <= 0 < below
    ]
    found = [root(excess, low, high) for low, high in brackets]
    if not found:
        raise ValueError(
            "the kernel of this student is renormalised by a factor beyond e^12: bring its noise variance nearer "
            "that of the teacher, or predict with width_ratios=()"
        )
    return math.exp(min(found, key=lambda logarithm: action(ridge, ratios, math.exp(logarithm))))


def scales(ridge: MismatchedRidge, width_ratios: Sequence[float], factor: float) -> tuple[float, ...]:
    """1 + F/N_l of every layer, at Q = `factor`."""
    force = ridge.sample_ratio * ridge.renormalised(factor).force
    return tuple(1 + force / ratio for ratio in width_ratios)


def action(ridge: MismatchedRidge, width_ratios: Sequence[float], factor: float) -> float:
    """S times N_1/d at a stationary point Q = `factor`."""
    layers = sum(
        ratio * (scale - math.log(scale))
        for ratio, scale in zip(width_ratios, scales(ridge, width_ratios, factor), strict=True)
    )
    return layers + ridge.sample_ratio * ridge.renormalised(factor).action_per_sample


def _log_product(ridge: MismatchedRidge, width_ratios: Sequence[float], logarithm: float) -> float:
    """Of the scales; far below the grid where one of them is not positive, and no scale of a layer."""
    product = scales(ridge, width_ratios, math.exp(logarithm))
    return sum(math.log(scale) for scale in product) if min(product) > 0 else -1e3
