"""Weights that minimise a loss over a data set, of inputs that are divided by sqrt(p) already.

    w = argmin sum_mu l(y_mu, x_mu.w) + (regularisation / 2) |w|^2

The square loss by a linear solve, the logistic one by L-BFGS, and the hinge, which has kinks, by its dual, a quadratic
function of one number a sample in [0, 1], by L-BFGS-B and a linear solve for those that end inside. L-BFGS is scipy's;
costs are computed on the device.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize
from torch import Tensor

Array = NDArray[np.float64]
GAP = 1e-7
"""Largest relative distance from the minimum that is let pass."""
_ROUND_OFF = 1e-12
_EDGE = 1e-6
"""Of [0, 1], where L-BFGS-B leaves what belongs at its ends."""
OPTIONS = {"maxiter": 20_000, "maxfun": 40_000, "maxcor": 20, "ftol": 0.0, "gtol": 1e-9}


def learnt(kind: str, inputs: Tensor, labels: Tensor, regularisation: float) -> tuple[Tensor, float]:
    """Weights [p] and the mean loss over the samples, of inputs [n, p] and labels [n], float64.

    Raises RuntimeError where a minimum is not reached to GAP.
    """
    weights = MINIMISERS[kind](inputs, labels, regularisation)
    return weights, float(loss_values(kind, inputs @ weights, labels).mean())


def loss_values(kind: str, outputs: Tensor, labels: Tensor) -> Tensor:
    """[n]; margins that miss 1 by round-off have reached it."""
    if kind == "square":
        return 0.5 * (labels - outputs) ** 2
    margins = labels * outputs
    if kind == "logistic":
        return torch.nn.functional.softplus(-margins, threshold=800.0)
    return torch.where(margins < 1 - _ROUND_OFF, 1 - margins, 0.0)


def _square(inputs: Tensor, labels: Tensor, regularisation: float) -> Tensor:
    count, dim = inputs.shape
    if count < dim:
        ridge = regularisation * torch.eye(count, dtype=inputs.dtype, device=inputs.device)
        return inputs.mT @ torch.linalg.solve(inputs @ inputs.mT + ridge, labels)
    ridge = regularisation * torch.eye(dim, dtype=inputs.dtype, device=inputs.device)
    return torch.linalg.solve(inputs.mT @ inputs + ridge, inputs.mT @ labels)


def _logistic(inputs: Tensor, labels: Tensor, regularisation: float) -> Tensor:
    """Strong convexity bounds the distance from the minimum: |gradient|^2 / (2 regularisation)."""

    def cost(weights: Tensor) -> tuple[Tensor, Tensor]:
        outputs = inputs @ weights
        slopes = -labels * torch.sigmoid(-labels * outputs)
        penalty = 0.5 * regularisation * weights @ weights
        value = loss_values("logistic", outputs, labels).sum() + penalty
        return value, inputs.mT @ slopes + regularisation * weights

    found = _minimum(cost, inputs.shape[1], inputs, None)
    value, slope = cost(found)
    _require(float(slope @ slope) / (2 * regularisation), float(value), "logistic")
    return found


def _hinge(inputs: Tensor, labels: Tensor, regularisation: float) -> Tensor:
    """Of a_mu in [0, 1]: w = sum_mu a_mu y_mu x_mu / regularisation, the dual cost |w|^2 regularisation / 2 - sum a."""
    signed = labels[:, None] * inputs

    def cost(shares: Tensor) -> tuple[Tensor, Tensor]:
        weights = signed.mT @ shares / regularisation
        return 0.5 * regularisation * weights @ weights - shares.sum(), signed @ weights - 1

    shares = _minimum(cost, inputs.shape[0], inputs, [(0.0, 1.0)] * inputs.shape[0])
    inside, full = (shares > _EDGE) & (shares < 1 - _EDGE), shares >= 1 - _EDGE
    kernel = signed[inside] @ signed.mT / regularisation
    solved = torch.linalg.solve(kernel[:, inside], 1 - kernel[:, full].sum(1))
    shares = full.to(inputs.dtype).masked_scatter(inside, solved.clamp(0, 1))
    weights = signed.mT @ shares / regularisation
    primal = float(loss_values("hinge", inputs @ weights, labels).sum() + 0.5 * regularisation * weights @ weights)
    _require(primal + float(cost(shares)[0]), primal, "hinge")
    return weights


def _minimum(
    cost: Callable[[Tensor], tuple[Tensor, Tensor]], count: int, like: Tensor, bounds: list[tuple[float, float]] | None
) -> Tensor:
    def in_numpy(place: Array) -> tuple[float, Array]:
        value, slope = cost(torch.tensor(place, dtype=like.dtype, device=like.device))
        return float(value), slope.cpu().numpy()

    found = optimize.minimize(in_numpy, np.zeros(count), jac=True, method="L-BFGS-B", bounds=bounds, options=OPTIONS)
    return torch.tensor(found.x, dtype=like.dtype, device=like.device)


def _require(gap: float, value: float, kind: str) -> None:
    if not gap <= GAP * abs(value):
        raise RuntimeError(
            f"the {kind} loss was not minimised: its cost may be {gap:g} above the least, of {value:g}; give a larger "
            "regularisation"
        )


MINIMISERS = {"square": _square, "logistic": _logistic, "hinge": _hinge}
