"""Log likelihoods of a module's parameters: data, and what it says of the outputs on it.

A log likelihood is a function of `predict`, itself a function that runs the module at the parameters of one chain; it
returns a scalar. Any such function will do; these two hold their data, which a target places on its device.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from nishimori.description.errors import BadInput

Predict = Callable[..., Any]
LogLikelihood = Callable[[Predict], Tensor]


class GaussianLikelihood:
    """log p(targets | outputs) = -sum (targets - outputs)^2 / (2 noise_variance), up to a constant.

    `inputs` [rows, ...] is what the module is called with; `targets` is [rows] or [rows, outputs], as the module
    returns it ([rows, 1] is taken for [rows]); `noise_variance` is a variance, the same for all. Squares are summed in
    float64.

    Raises BadInput where the shapes disagree, a target is not finite, or the variance is not positive.
    """

    def __init__(self, inputs: Tensor, targets: Tensor, noise_variance: float) -> None:
        if not 0 < noise_variance < float("inf"):
            raise BadInput(f"noise_variance must be positive, got {noise_variance}; give the variance of the noise")
        if targets.dim() not in (1, 2):
            raise BadInput(f"targets have shape {list(targets.shape)}; give [rows] or [rows, outputs]")
        _require_rows(inputs, targets, "targets")
        if not torch.isfinite(targets).all():
            raise BadInput("targets hold a value that is not finite; leave such rows out")
        self.inputs, self.targets, self.noise_variance = inputs, targets, noise_variance

    def placed(self, device: torch.device, dtype: torch.dtype) -> "GaussianLikelihood":
        """The same with its data on `device`, in `dtype` where they are floating point."""
        inputs, targets = (place(values, device, dtype) for values in (self.inputs, self.targets))
        return GaussianLikelihood(inputs, targets, self.noise_variance)

    def __call__(self, predict: Predict) -> Tensor:
        outputs = predict(self.inputs)
        rows = len(self.targets)
        if outputs.shape != self.targets.shape:
            if {tuple(outputs.shape), tuple(self.targets.shape)} != {(rows,), (rows, 1)}:
                shapes = f"{list(outputs.shape)} and the targets {list(self.targets.shape)}"
                raise BadInput(f"the module's outputs have shape {shapes}; give targets of the shape of the outputs")
            outputs = outputs.reshape(self.targets.shape)
        return (self.targets - outputs).double().square().sum() / (-2 * self.noise_variance)


class CategoricalLikelihood:
    """log p(labels | outputs) = sum over rows of log softmax(outputs)[label].

    `inputs` [rows, ...] is what the module is called with, and it returns logits [rows, classes]; `labels` [rows] are
    integers from 0 to classes - 1. The rows are summed in float64.

    Raises BadInput for labels that are no integers or negative, and at the first use for a label without a class.
    """

    def __init__(self, inputs: Tensor, labels: Tensor) -> None:
        if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
            raise BadInput(f"labels must be integers, got {labels.dtype}; give the number of the class (labels.long())")
        if labels.dim() != 1:
            raise BadInput(f"labels have shape {list(labels.shape)}; give [rows], the number of the class of each")
        _require_rows(inputs, labels, "labels")
        if int(labels.min()) < 0:
            raise BadInput(f"labels hold {int(labels.min())}; number the classes from 0")
        self.inputs, self.labels = inputs, labels
        self._classes = int(labels.max()) + 1

    def placed(self, device: torch.device, dtype: torch.dtype) -> "CategoricalLikelihood":
        """The same with its data on `device`, the inputs in `dtype` where they are floating point."""
        return CategoricalLikelihood(place(self.inputs, device, dtype), self.labels.to(device).long())

    def __call__(self, predict: Predict) -> Tensor:
        logits = predict(self.inputs)
        if logits.dim() != 2 or len(logits) != len(self.labels) or logits.shape[1] < self._classes:
            raise BadInput(
                f"the module's outputs have shape {list(logits.shape)} for {len(self.labels)} rows and labels up to "
                f"{self._classes - 1}; return logits [rows, classes]"
            )
        return torch.log_softmax(logits, dim=-1).gather(1, self.labels.unsqueeze(1)).double().sum()


def place(values: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """On `device`; in `dtype` where they are floating point, as integers may be indices."""
    return values.to(device=device, dtype=dtype if values.is_floating_point() else values.dtype)


def _require_rows(inputs: Tensor, values: Tensor, name: str) -> None:
    if inputs.dim() == 0 or len(inputs) != len(values) or len(values) == 0:
        shapes = f"inputs have shape {list(inputs.shape)} and {name} {list(values.shape)}"
        raise BadInput(f"{shapes}; give every row of inputs its own of the {name}")
