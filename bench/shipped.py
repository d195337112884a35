"""Every Triton kernel with the configurations it ships in: what the operations would launch, listed and not run."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from nishimori_kernels.accept import gpu as accept
from nishimori_kernels.blocks import Blocks, Buffer
from nishimori_kernels.energy.configs import DEFAULT, Configs, class_of, configs_of, read_table
from nishimori_kernels.energy.gpu import TRITON_ACTIVATIONS
from nishimori_kernels.energy.products import TritonProducts
from nishimori_kernels.energy.small import SmallNetwork
from nishimori_kernels.leapfrog import gpu as leapfrog
from nishimori_kernels.overlap import gpu as overlap
from nishimori_kernels.pieces import Launch, collected_launches
from nishimori_kernels.refresh import gpu as refresh
from nishimori_kernels.rng import gpu as rng
from nishimori_kernels.rng.address import address_of

Listed = Iterator[tuple[str, Launch]]
ALIGNED, UNALIGNED = Blocks(2, 4, (128 * 128, 128)), Blocks(2, 4, (63 * 7, 63))
HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
MODES = {**dict.fromkeys(("ieee", "tf32", "bf16x3"), torch.float32), **HALVES}
SIZES = (104, 1000)
"""Of square products that are "small" and "large": loads are wide, and no tile divides them, which takes masks."""


def shipped() -> Listed:
    """Each with a name for its configuration: "aligned" where all loads are wide, "tl.dot" where the matrix units work.
    Those take TF32 as it lies along the inner axis alone: other operands are copied four bytes at a time."""
    for place, blocks in (("aligned", ALIGNED), ("", UNALIGNED)):
        for name, dtype in (("fp32", torch.float32), ("fp64", torch.float64)):
            yield from _moves(f"{name} {place}".strip(), blocks, dtype)
    yield from _decisions()
    for kind in ("identity", "tanh", "erf", "relu"):
        for name, dtype in {"fp32": torch.float32, **HALVES}.items():
            yield from _activations(kind, f"{kind} {name}", dtype)
    for widths in ((128,), (128, 128), (100, 100)):
        for precision in HALVES:
            for chains in (64, 256):
                yield from _small("tanh", widths, precision, chains)
    for kind in ("erf", "relu"):
        for chains in (64, 256):
            yield from _small(kind, (128, 128), "bf16", chains)
    yield from _products()


def _listed(config: str, call: Callable[[], object]) -> Listed:
    with collected_launches() as launches:
        call()
    yield from ((config, launched) for launched in launches)


def _moves(config: str, blocks: Blocks, dtype: torch.dtype) -> Listed:
    first, second, third = (Buffer(torch.zeros(blocks.elements, dtype=dtype), blocks) for _ in range(3))
    step = torch.zeros(blocks.instances, dtype=torch.float64)
    address = address_of(2**63, 1, 0, range(blocks.instances), range(blocks.chains))
    rejected = torch.zeros(blocks.instances, blocks.chains, dtype=torch.bool)
    yield from _listed(config, lambda: leapfrog.add_scaled_(first, second, step))
    yield from _listed(config, lambda: leapfrog.rotate_(first, second, step))
    yield from _listed(config, lambda: leapfrog.kick_drift_(first, second, third, step, step))
    yield from _listed(config, lambda: leapfrog.kick_rotate_(first, second, third, step, step))
    if dtype == torch.float32:
        yield from _advances(config, first, second)
    yield from _listed(config, lambda: refresh.fill_normals_(first, address))
    yield from _listed(config, lambda: accept.restore_(rejected, first, second))
    for own, launched in _listed(config, lambda: overlap.row_dot(first, second)):
        yield own if launched.kernel is overlap.partial_dot_kernel else _format_of(own), launched


def _advances(config: str, position: Buffer, momentum: Buffer) -> Listed:
    """With the gradient and what is kept of the position in every format of a force."""
    blocks = position.blocks
    coefficients = torch.zeros(5, len(blocks.sizes), blocks.instances, blocks.chains, dtype=torch.float64)
    for name, dtype in HALVES.items():
        slope = torch.zeros(blocks.elements, dtype=dtype)
        own = position, momentum, slope, coefficients, 1.0, slope
        yield from _listed(f"{name} {config}", lambda own=own: leapfrog.advance_(*own))
    own = position, momentum, position.flat, coefficients, 1.0, None
    yield from _listed(config, lambda: leapfrog.advance_(*own))


def _format_of(config: str) -> str:
    """Without what says how elements lie."""
    return config.removesuffix(" aligned")


def _decisions() -> Listed:
    errors = torch.zeros(2, 4, dtype=torch.float64)
    yield from _listed("fp64", lambda: accept.metropolis(errors, errors, 1000.0))
    address = address_of(2**63, 1, 0, range(2), range(4))
    yield from _listed("fp64", lambda: rng.uniforms(address, torch.device("cpu")))


def _activations(kind: str, config: str, dtype: torch.dtype) -> Listed:
    kernel, shape = TRITON_ACTIVATIONS[kind], (2, 4, 64, 256)
    u, hidden, delta = (torch.zeros(shape, dtype=dtype) for _ in range(3))
    readout, gradient = (torch.zeros(2, 4, length, dtype=torch.float32) for length in (64, 256))
    out = torch.zeros_like(readout)
    yield from _listed(config, lambda: kernel.apply(u, hidden))
    yield from _listed(config, lambda: kernel.multiply_derivative_(delta, u, hidden))
    yield from _listed(config, lambda: kernel.read_out(u, hidden, readout, 0.5, gradient))
    own = gradient, readout, 0.5, u, hidden, delta, readout, out
    yield from _listed(config, lambda: kernel.pull_back_read_out(*own))
    labels, residual, shares = torch.zeros(2, 1, 256), torch.zeros(8, 256), torch.zeros(8, 4, 64)
    yield from _listed(config, lambda: kernel.pull_back_misfit(u.flatten(0, 1), readout, labels, 0.5, 0.5, residual))
    yield from _listed(config, lambda: kernel.weigh_readout(shares, readout, 0.5, readout))


def _small(kind: str, widths: tuple[int, ...], precision: str, chains: int) -> Listed:
    """As wide as its inputs; with few chains the rows are split."""
    width = widths[0]
    inputs: Tensor = torch.zeros(1, 200, width, dtype=torch.float32)
    force = SmallNetwork(inputs, widths, TRITON_ACTIVATIONS[kind], chains, precision)
    count = chains * (width * width * len(widths) + width)
    weights, labels = torch.zeros(count, dtype=torch.float32), torch.zeros(1, 1, 200, dtype=torch.float32)
    config = f"{kind} {precision} layers={len(widths)} width={width} chains={chains}"
    momentum, coefficients = torch.zeros_like(weights), torch.zeros(5, len(widths) + 1, 1, chains, dtype=torch.float64)
    force.load(weights)
    launches = [
        *_listed(config, lambda: force.misfit_gradient(weights, labels, 0.1, torch.zeros_like(weights))),
        *_listed(f"{config} advance", lambda: force.advance(weights, momentum, labels, 0.1, coefficients)),
    ]
    for own, launched in launches:
        yield (f"{own} tl.dot" if "gradient" in launched.kernel.__name__ else own), launched


def _products() -> Listed:
    """A launch for every tile that a GPU has for a kernel and mode, on operands as they lie in deep layers; for large
    products of the GPUs that are named also as in the first."""
    table, seen = read_table(), set[str]()
    for gpu in table:
        for mode, dtype in MODES.items():
            for size in SIZES:
                first = gpu != DEFAULT and class_of(size) == "large"
                for config, launched in _of_products(configs_of(gpu, table), mode, dtype, size, first):
                    named = f"{launched.kernel.__name__} {config}"
                    if named not in seen:
                        seen.add(named)
                        yield config, launched


def _of_products(configs: Configs, mode: str, dtype: torch.dtype, size: int, first_layer: bool) -> Listed:
    """Of square matrices; erf has the longest slope, and keeps u."""
    products = TritonProducts(TRITON_ACTIVATIONS["erf"], mode, configs)
    first, second, u, hidden = (torch.zeros(2, size, size, dtype=dtype) for _ in range(4))
    added, out = (torch.zeros(2, size, size, dtype=torch.float32) for _ in range(2))
    turned = second.transpose(1, 2)

    def listed(kernel: str, call: Callable[[], object], transposed: bool = False) -> Listed:
        tile = configs.tile(kernel, mode, size, size)
        parts = [mode, f"{tile.rows}x{tile.columns}x{tile.inner} warps={tile.warps} stages={tile.stages}"]
        parts += ["turned"] if transposed else []
        parts += ["aligned"] if mode != "tf32" or transposed else []
        parts += ["tl.dot"] if mode != "ieee" else []
        yield from _listed(" ".join(parts), call)

    yield from listed("lift", lambda: products.lift(first, second, u, hidden, 0.5))
    yield from listed("descend", lambda: products.descend(first, second, u, hidden, 0.5, hidden))
    yield from listed("weigh", lambda: products.add(added, first, turned, 0.5, out), True)
    if first_layer:
        yield from listed("lift", lambda: products.lift(first, turned, u, hidden, 0.5), True)
        yield from listed("weigh", lambda: products.add(added, first, second, 0.5, out))
