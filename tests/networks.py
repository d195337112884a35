"""Networks of awkward sizes, and how their results are compared."""

import torch
from torch import Tensor

# instances, chains, samples, input_dim, widths
CASES = [
    (1, 1, 1, 1, ()),
    (3, 2, 7, 63, ()),
    (1, 1, 1, 1, (1,)),
    (2, 3, 5, 2, (1,)),
    (2, 1, 63, 100, (2,)),
    (1, 4, 1, 63, (100,)),
    (3, 2, 9, 5, (2, 63)),
    (2, 2, 17, 63, (1, 100)),
    (2, 3, 4, 100, (63, 2, 1)),
    (1, 2, 33, 2, (7, 100, 63)),
]


def draw(case, dtype=torch.float64) -> tuple[list[Tensor], Tensor, Tensor, list[Tensor]]:
    """Weights, inputs, latent gradients and addends."""
    instances, chains, samples, input_dim, widths = case
    generator = torch.Generator().manual_seed(1)
    columns = (input_dim, *widths)
    shapes = [*zip(widths, columns, strict=False), (columns[-1],)]

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

    weights = [normal(instances, chains, *shape) for shape in shapes]
    addend = [normal(instances, chains, *shape) for shape in shapes]
    return weights, normal(instances, samples, input_dim), normal(instances, chains, samples), addend


def doubles(values: list[Tensor]) -> list[Tensor]:
    return [value.double() for value in values]


def assert_close(actual: list[Tensor], expected: list[Tensor], tolerance: float) -> None:
    """Within `tolerance` of the largest entry over all blocks."""
    scale = max(float(value.abs().max()) for value in expected)
    for a, e in zip(actual, expected, strict=True):
        assert a.shape == e.shape
        error = float((a.double() - e).abs().max())
        assert error <= tolerance * scale, (error, scale)


def flattened(weights: list[Tensor]) -> Tensor:
    """Layer by layer in one buffer."""
    return torch.cat([weight.reshape(-1) for weight in weights])


def deep(cases):
    return [case for case in cases if case[4]]
