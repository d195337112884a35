"""The definition: a product an entry of the batch."""

from torch import Tensor


def multiply(first: Tensor, second: Tensor, addend: Tensor | None = None, alpha: float = 1.0) -> Tensor:
    """addend[b] + alpha * first[b] @ second[b // share], share = len(first) / len(second)."""
    product = alpha * (first @ second.repeat_interleave(len(first) // len(second), 0))
    return product if addend is None else addend + product
