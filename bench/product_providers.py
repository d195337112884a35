"""Matrix products by torch, in the formats of the matrix units: those of a pass through a network, and a large one."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from operation import Call
from shapes import Shape, Square
from torch import Tensor

PRODUCTS = ("fp32", "tf32", "fp16", "bf16")
_FORMATS = {"fp32": torch.float32, "tf32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_ON_CPU = ("fp32", "bf16")


def format_of(precision: str, device: torch.device) -> torch.dtype:
    """Of the operands. Raises ValueError where `device` has no such products."""
    if device.type == "cpu" and precision not in _ON_CPU:
        raise ValueError(f"products in {precision} are timed on a GPU alone")
    return _FORMATS[precision]


@contextmanager
def products_in(precision: str) -> Iterator[None]:
    """Products of float32 matrices in TF32 where that is asked for, and in float32 otherwise."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def gradient_products(precision: str, shape: Shape, device: torch.device) -> Call:
    """Those of a gradient on contiguous operands, written to buffers that are there, and nothing else."""
    operands = _Operands(shape, device, format_of(precision, device))

    def run() -> None:
        with products_in(precision):
            operands.forward()
            operands.backward()

    return run


def forward_products(shape: Shape, device: torch.device) -> Call:
    return _Operands(shape, device, torch.float32).forward


def first_product(precision: str, shape: Shape, device: torch.device) -> Call:
    """Of the first layer: the weights of all chains, stacked, times the inputs."""
    operands = _Operands(shape, device, format_of(precision, device))

    def run() -> None:
        with products_in(precision):
            operands.lift_inputs()

    return run


def deeper_product(precision: str, shape: Shape, device: torch.device) -> Call:
    """Of a layer above: the weights of every chain times its activations."""
    operands = _Operands(shape, device, format_of(precision, device))

    def run() -> None:
        with products_in(precision):
            operands.lift_hidden()

    return run


def matrix_product(precision: str, square: Square, device: torch.device) -> Call:
    dtype = format_of(precision, device)
    first, second = (torch.randn(square.size, square.size, dtype=torch.float32, device=device).to(dtype) for _ in "ab")
    out = torch.empty_like(first)

    def run() -> None:
        with products_in(precision):
            torch.mm(first, second, out=out)

    return run


class _Operands:
    """Matrices of the shapes that meet in a pass, and buffers for their products."""

    def __init__(self, shape: Shape, device: torch.device, dtype: torch.dtype) -> None:
        def drawn(*sizes: int) -> Tensor:
            return torch.randn(*sizes, dtype=torch.float32, device=device).to(dtype)

        dim, samples, chains = shape.dim, shape.samples, shape.chains
        self._deep_layers = shape.depth - 1
        self._first, self._inputs = drawn(chains * dim, dim), drawn(dim, samples)
        self._rows, self._tall = drawn(samples, dim), drawn(chains * dim, samples)
        self._deep, self._hidden = drawn(chains, dim, dim), drawn(chains, dim, samples)
        self._turned = drawn(chains, samples, dim)
        self._lifted, self._pulled = torch.empty_like(self._tall), torch.empty_like(self._first)
        self._above, self._own = torch.empty_like(self._hidden), torch.empty_like(self._deep)

    def lift_inputs(self) -> None:
        torch.mm(self._first, self._inputs, out=self._lifted)

    def lift_hidden(self) -> None:
        torch.bmm(self._deep, self._hidden, out=self._above)

    def forward(self) -> None:
        self.lift_inputs()
        for _ in range(self._deep_layers):
            self.lift_hidden()

    def backward(self) -> None:
        torch.mm(self._tall, self._rows, out=self._pulled)
        for _ in range(self._deep_layers):
            torch.bmm(self._hidden, self._turned, out=self._own)
            torch.bmm(self._deep, self._hidden, out=self._above)
