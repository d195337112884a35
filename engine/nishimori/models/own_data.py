"""Data of the user's own: checked, copied and brought to float64 on the CPU.

Raises ValueError, naming the argument, for other shapes or values that are not finite numbers.
"""

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor


def _numbers(name: str, values: ArrayLike | Tensor) -> Tensor:
    """A float64 copy on the CPU."""
    try:
        if isinstance(values, Tensor):
            numbers = values.detach().to("cpu", torch.float64, copy=True)
        else:
            numbers = torch.from_numpy(np.array(values, dtype=np.float64))
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be an array of real numbers; give a numpy array or a tensor") from None
    if not bool(torch.isfinite(numbers).all()):
        raise ValueError(f"{name} hold NaN or infinity; give finite numbers, or leave those rows out")
    return numbers


def rows_of(name: str, values: ArrayLike | Tensor, input_dim: int) -> Tensor:
    """[instances, samples, input_dim]; the axis of instances may be left out."""
    rows = _numbers(name, values)
    shape = tuple(rows.shape)
    rows = rows.unsqueeze(0) if rows.dim() == 2 else rows
    if rows.dim() != 3 or rows.shape[-1] != input_dim or not rows.numel():
        raise ValueError(
            f"{name} must be [samples, {input_dim}] or [instances, samples, {input_dim}] for this network, got shape "
            f"{list(shape)}; reshape them or change input_dim"
        )
    return rows


def labels_of(values: ArrayLike | Tensor, rows: Tensor) -> Tensor:
    """[instances, samples], one a row of `rows`."""
    labels = _numbers("labels", values)
    shape = tuple(labels.shape)
    labels = labels.unsqueeze(0) if labels.dim() == 1 else labels
    if labels.shape != rows.shape[:2]:
        raise ValueError(
            f"labels must be {list(rows.shape[:2])}, one a row of inputs ([samples] alone for one instance), got shape "
            f"{list(shape)}; give one real number a row"
        )
    return labels


def fresh_inputs_of(values: ArrayLike | Tensor | None, rows: Tensor) -> Tensor | None:
    """[instances, rows, input_dim]; given once, they serve all instances."""
    if values is None:
        return None
    instances, _, input_dim = rows.shape
    test = rows_of("test_inputs", values, input_dim)
    if len(test) not in (1, instances):
        raise ValueError(f"test_inputs are for {len(test)} instances and inputs for {instances}; make them the same")
    return test.expand(instances, -1, -1)
