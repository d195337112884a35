"""Sums along the last axis that are the same to the bit whatever stands beside a row."""

from torch import Tensor


def row_sum(values: Tensor) -> Tensor:
    """values.sum(-1). Torch shares one long row among threads and adds their sums, but of several rows it gives each to
    a thread: a row by itself is summed as if there were two."""
    if values.is_cpu and values.numel() == values.shape[-1]:
        return values.expand(2, *values.shape).sum(-1)[0]
    return values.sum(-1)


def row_mean(values: Tensor) -> Tensor:
    """values.mean(-1), likewise."""
    return row_sum(values) / values.shape[-1]
