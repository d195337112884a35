"""Weights that minimise a convex loss over a data set, of inputs that are divided by sqrt(p) already.

    w = argmin sum_mu l(y_mu, x_mu.w) + (regularisation / 2) |w|^2

The square loss by a linear solve, smooth ones by L-BFGS, and the hinge, which has a kink, by its dual, a quadratic
function of one number a sample in [0, 1], by L-BFGS-B and a linear solve for those that end inside. L-BFGS is scipy's;
products with the inputs are computed on the device.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize
from torch import Tensor

from nishimori.theory.convex_losses import HINGE, SQUARE, SQUARE_OF_MARGIN, Loss

Array = NDArray[np.float64]
GAP = 1e-7
"""Largest relative distance from the minimum that is let pass."""
_ROUND_OFF = 1e-12
_EDGE = 1e-6
"""Of [0, 1], where L-BFGS-B leaves what belongs at its ends."""
OPTIONS = {"maxiter": 20_000, "maxfun": 40_000, "maxcor": 20, "ftol": 0.0, "gtol": 1e-9}


def learnt(loss: Loss, inputs: Tensor, labels: Tensor, regularisation: float) -> tuple[Tensor, float]:
    """Weights [p] and the mean loss over the samples, of inputs [n, p] and labels [n], float64.

    Raises RuntimeError where a minimum is not reached to GAP, and ValueError for a loss with kinks other than the
    hinge.
    """
    if loss in (SQUARE, SQUARE_OF_MARGIN):
        weights = _ridge(inputs, labels, regularisation)
    elif loss == HINGE:
        weights = _hinge(inputs, labels, regularisation)
    elif loss.smooth:
        weights = _smooth(loss, inputs, labels, regularisation)
    else:
        raise ValueError(
            f"loss {loss.name!r} has kinks, where L-BFGS does not settle: smooth it, or learn by the hinge"
        )
    return weights, float(loss_values(loss, inputs @ weights, labels).mean())


def loss_values(loss: Loss, outputs: Tensor, labels: Tensor) -> Array:
    """[n]; what is left by round-off is 0."""
    values = loss.value(_argument(loss, outputs, labels))
    return np.where(values < _ROUND_OFF, 0.0, values)


def _argument(loss: Loss, outputs: Tensor, labels: Tensor) -> Array:
    return (labels - outputs if loss.argument == "residual" else labels * outputs).cpu().numpy()


def _ridge(inputs: Tensor, labels: Tensor, regularisation: float) -> Tensor:
    count, dim = inputs.shape
    if count < dim:
        ridge = regularisation * torch.eye(count, dtype=inputs.dtype, device=inputs.device)
        return inputs.mT @ torch.linalg.solve(inputs @ inputs.mT + ridge, labels)
    ridge = regularisation * torch.eye(dim, dtype=inputs.dtype, device=inputs.device)
    return torch.linalg.solve(inputs.mT @ inputs + ridge, inputs.mT @ labels)


def _smooth(loss: Loss, inputs: Tensor, labels: Tensor, regularisation: float) -> Tensor:
    """Strong convexity bounds the distance from the minimum: |gradient|^2 / (2 regularisation)."""
    signs = labels if loss.argument == "margin" else -torch.ones_like(labels)

    def cost(weights: Tensor) -> tuple[Tensor, Tensor]:
        argument = _argument(loss, inputs @ weights, labels)
        slopes = signs * torch.as_tensor(loss.derivative(argument), device=labels.device)
        value = float(loss.value(argument).sum()) + 0.5 * regularisation * weights @ weights
        return value, inputs.mT @ slopes + regularisation * weights

    found = _minimum(cost, inputs.shape[1], inputs, None)
    value, slope = cost(found)
    _require(float(slope @ slope) / (2 * regularisation), float(value), loss)
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
    penalty = 0.5 * regularisation * float(weights @ weights)
    primal = float(loss_values(HINGE, inputs @ weights, labels).sum()) + penalty
    _require(primal + float(cost(shares)[0]), primal, HINGE)
    return weights


def _minimum(
    cost: Callable[[Tensor], tuple[Tensor, Tensor]], count: int, like: Tensor, bounds: list[tuple[float, float]] | None
) -> Tensor:
    def in_numpy(place: Array) -> tuple[float, Array]:
        value, slope = cost(torch.tensor(place, dtype=like.dtype, device=like.device))
        return float(value), slope.cpu().numpy()

    found = optimize.minimize(in_numpy, np.zeros(count), jac=True, method="L-BFGS-B", bounds=bounds, options=OPTIONS)
    return torch.tensor(found.x, dtype=like.dtype, device=like.device)


def _require(gap: float, value: float, loss: Loss) -> None:
    if not gap <= GAP * abs(value):
        raise RuntimeError(
            f"the {loss.name} loss was not minimised: its cost may be {gap:g} above the least, of {value:g}; give a "
            "larger regularisation"
        )
