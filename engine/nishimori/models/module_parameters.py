"""Which parameters of a module are sampled, and the prior scale of each."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nishimori.description.errors import BadInput

PriorScale = float | Mapping[str, float | Tensor]


def sampled_shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the parameters to sample, in the module's order, tied ones once."""
    if not isinstance(module, nn.Module):
        raise BadInput(f"module must be a torch.nn.Module, got {type(module).__name__}; give a module")
    parameters = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
    if not parameters:
        raise BadInput("the module has no parameter that requires a gradient, so nothing to sample; unfreeze one")
    for name, parameter in parameters.items():
        if nn.parameter.is_lazy(parameter):
            raise BadInput(f"parameter {name!r} has no shape yet; call the module once before")
        if not parameter.is_floating_point():
            raise BadInput(f"parameter {name!r} is {parameter.dtype}; use floating point parameters")
    return {name: tuple(parameter.shape) for name, parameter in parameters.items()}


def prior_scales(
    module: nn.Module, shapes: Mapping[str, tuple[int, ...]], prior_scale: PriorScale
) -> list[float | Tensor]:
    """The scale of every sampled parameter, in order; tensors are expanded to its shape.

    Raises BadInput for a name that is missing or unknown, and a scale that is not positive or does not fit.
    """
    if not isinstance(prior_scale, Mapping):
        prior_scale = dict.fromkeys(shapes, prior_scale)
    for name in prior_scale:
        if name not in shapes:
            raise BadInput(f"prior_scale names {name!r}, {_why_unknown(module, name)}; use {', '.join(shapes)}")
    for name in shapes:
        if name not in prior_scale:
            raise BadInput(f"prior_scale leaves out parameter {name!r}; give it a scale")
    return [_scale_of(name, prior_scale[name], shape) for name, shape in shapes.items()]


def _why_unknown(module: nn.Module, name: str) -> str:
    parameter = dict(module.named_parameters(remove_duplicate=False)).get(name)
    if parameter is None:
        return "which is no parameter of the module"
    return "which is tied to another" if parameter.requires_grad else "which is frozen and keeps its value"


def _scale_of(name: str, scale: float | Tensor, shape: tuple[int, ...]) -> float | Tensor:
    values = torch.as_tensor(scale, dtype=torch.float64).detach()
    if not ((values > 0) & torch.isfinite(values)).all():
        raise BadInput(f"prior_scale of {name!r} must be positive; give a standard deviation")
    if values.numel() == 1:
        return float(values)
    try:
        return values.expand(shape)
    except RuntimeError as error:
        message = f"prior_scale of {name!r} has shape {list(values.shape)} and the parameter {list(shape)}"
        raise BadInput(f"{message}; give a float, or a tensor that broadcasts to it") from error
