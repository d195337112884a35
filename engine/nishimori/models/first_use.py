"""What is asked of a density that a user wrote, checked once, at its first use: BadInput with a sentence each."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from nishimori.description.errors import BadInput


@contextmanager
def user_code(what: str, advice: str) -> Iterator[None]:
    """Whatever the user's code raises becomes a BadInput that names `what` failed and ends in `advice`."""
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise BadInput(f"{what} failed ({type(error).__name__}: {reason}); {advice}") from error


def require_values(values: object, what: str, shape: Sequence[int], shape_advice: str, like: Tensor) -> None:
    """`values` is a tensor of this shape, on the device of `like`, in its dtype or in float64."""
    if not isinstance(values, Tensor):
        raise BadInput(f"{what} returned a {type(values).__name__}; return a torch tensor of shape {list(shape)}")
    if tuple(values.shape) != tuple(shape):
        raise BadInput(f"{what} returned shape {list(values.shape)} instead of {list(shape)}; {shape_advice}")
    if values.device != like.device:
        raise BadInput(
            f"{what} returned values on {values.device} at positions on {like.device}; "
            f"keep its data on {like.device}, or choose device="
        )
    if not values.is_floating_point():
        raise BadInput(f"{what} returned {values.dtype}, which has no gradient; return {like.dtype}")
    if values.dtype not in (like.dtype, torch.float64):
        raise BadInput(
            f"{what} returned {values.dtype} at positions in {like.dtype}; "
            f"keep its data in {like.dtype}, or choose precision="
        )


def require_gradient(values: Tensor, arguments: Sequence[Tensor], what: str) -> None:
    """`values` depend on some of `arguments` through torch operations that autograd can follow."""
    reached = False
    if values.requires_grad:
        with user_code(f"the gradient of {what}", "use torch operations that autograd can differentiate"):
            gradients = torch.autograd.grad(values.sum(), arguments, allow_unused=True)
        reached = any(gradient is not None for gradient in gradients)
    if not reached:
        raise BadInput(
            f"{what} is not differentiable: its values carry no graph back to the parameters; "
            "compute them with torch operations alone, without detach, no_grad or numpy"
        )


def require_repeatable(first: Tensor, second: Tensor, dtype: torch.dtype, what: str, advice: str) -> None:
    """Two evaluations at one position agree."""
    if differing(first, second, dtype) is not None:
        raise BadInput(f"{what} takes two values at the same parameters, so it draws random numbers; {advice}")


def require_separate_rows(log_density: Callable[[Tensor], Tensor], rows: Tensor, values: Tensor) -> None:
    """A row's value stays the same when other rows leave and the order is turned round; `values` belong to `rows`."""
    kept = (len(rows) + 1) // 2
    alone = log_density(rows.flip(0)[:kept])
    expected = values.flip(0)[:kept]
    require_values(alone, "log_density", (kept,), "return one value a row, whatever the number of rows", rows)
    place = differing(alone, expected, rows.dtype)
    if place is not None:
        row, together, apart = len(rows) - 1 - place, float(expected[place]), float(alone[place])
        raise BadInput(
            f"log_density mixes the rows of its batch: row {row} has {together:g} among {len(rows)} rows and {apart:g} "
            f"among {kept}; compute every row from itself alone (reduce over dim=-1)"
        )


def differing(first: Tensor, second: Tensor, dtype: torch.dtype) -> int | None:
    """Index of the first pair of values further apart than round-off in `dtype` explains; two NaNs are alike."""
    first, second = first.detach().double(), second.detach().double()
    finite = first[torch.isfinite(first)].abs()
    scale = 1.0 + (float(finite.max()) if finite.numel() else 0.0)
    tolerance = torch.finfo(dtype).eps ** 0.5 * scale
    alike = torch.isclose(first, second, rtol=0.0, atol=tolerance, equal_nan=True)
    places = torch.nonzero(~alike.reshape(-1))
    return int(places[0]) if len(places) else None
