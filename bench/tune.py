"""Measure, on this GPU, which tiles the Triton products of a force should take, and whether they or cuBLAS's run.

Every candidate of a kernel is first held to the same product in double precision; one that is wrong, or does not run
there, gets no time. Then all candidates take turns, and the smallest median over the shapes wins, each shape counting
alike. With the winners, whole gradients are timed beside cuBLAS's. What wins is written into the table of kernel
configurations, under the name of this GPU: commit it, and runs on such a GPU use it; `run.json` holds the table's hash.
Most of the time goes into compiling: a few seconds a candidate.

    python bench/tune.py                                          # all modes and shapes
    python bench/tune.py --mode bf16x3 --shape 1000,2000,2,32     # one mode, one shape
    python bench/tune.py --dry-run                                # print the entries, write nothing
    python bench/tune.py --output other.json                      # a table of one's own, which no run looks at

Exit codes: 0 measured, 2 there is no GPU.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any, TypeVar

import torch
from common import interleaved
from operation import Call
from shapes import CUDA_SHAPES, NOISE_VARIANCE, Shape
from torch import Tensor

from nishimori_kernels.energy.blocked import BlockedNetwork
from nishimori_kernels.energy.coarse import FORMATS, CoarseNetwork
from nishimori_kernels.energy.configs import TABLE, Configs, Table, Tile, class_of, configs_of, known_name, read_table
from nishimori_kernels.energy.fused import FusedNetwork
from nishimori_kernels.energy.gpu import TRITON_ACTIVATIONS
from nishimori_kernels.energy.products import TritonProducts

NO_GPU = 2
MODES = ("bf16x3", "bf16", "fp16", "tf32")
CHOSEN = ("bf16", "fp16", "tf32")
"""Modes that cuBLAS has too."""
KERNELS = ("lift", "descend", "weigh")
BLOCKS = ((64, 64), (64, 128), (128, 64), (128, 128), (128, 256), (256, 128))
ROW = 128
"""Bytes of a row of an operand that is taken at a time."""
SHARED = 227 * 1024
"""Bytes of shared memory a program may have."""
TOLERANCES = {"bf16x3": 1e-4, "tf32": 5e-3, "fp16": 5e-3, "bf16": 2e-2}
"""Of an error relative to what is expected, both as norms."""
ACTIVATION = TRITON_ACTIVATIONS["tanh"]

Name = TypeVar("Name")
Case = str
Times = Mapping[Case, Mapping[Name, Sequence[float]]]


@dataclass(frozen=True)
class OneTile:
    """For every product the same."""

    chosen: Tile

    def tile(self, kernel: str, mode: str, rows: int, columns: int) -> Tile:
        del kernel, mode, rows, columns
        return self.chosen


@dataclass(frozen=True)
class Operands:
    """A product that meets in a gradient: what it is called, its class, what runs it, and where the result is, beside
    the expected one in float64."""

    name: str
    size_class: str
    run: Callable[[TritonProducts], object]
    found: Tensor
    expected: Callable[[], Tensor]


def candidates(mode: str) -> list[Tile]:
    """Tiles whose operands fit in shared memory, as often as there are stages, and once more where they are split."""
    width, found = torch.finfo(FORMATS[mode]).bits // 8, list[Tile]()
    inner = ROW // width
    for rows, columns in BLOCKS:
        for stages in (2, 3, 4):
            held = (rows + columns) * inner * width * (stages + (mode == "bf16x3"))
            if held <= SHARED:
                warps = 4 if rows * columns <= 128 * 64 else 8
                found.append(Tile(rows, columns, inner, warps, stages))
    return found


def winner(times: Times[Name]) -> Name:
    """Of what was timed on every case, the smallest mean over the cases of the median beside the case's best median.

    Raises ValueError where nothing was.
    """
    medians = {case: {name: median(seconds) for name, seconds in own.items()} for case, own in times.items()}
    everywhere = set.intersection(*(set(own) for own in medians.values())) if medians else set[Name]()
    if not everywhere:
        raise ValueError("no candidate was right on every shape; give --shape fewer of them")

    def cost(name: Name) -> float:
        return geometric_mean([own[name] / min(own.values()) for own in medians.values()])

    first = next(iter(medians.values()))
    return min((name for name in first if name in everywhere), key=cost)


def with_entries(table: Table, gpu: str, entries: Mapping[str, Any], origin: str) -> Table:
    """The table with these entries of a GPU; its others, and those of its family, stay."""
    known = table.get(known_name(gpu, table) or gpu, {})
    return {**table, gpu: {**known, **entries, "origin": origin}}


def text_of(table: Table) -> str:
    """An entry a line, in order."""
    gpus = (
        f"  {json.dumps(gpu)}: {{\n"
        + ",\n".join(f"    {json.dumps(key)}: {json.dumps(own[key])}" for key in sorted(own))
        + "\n  }"
        for gpu, own in table.items()
    )
    return "{\n" + ",\n".join(gpus) + "\n}\n"


def shape_of(text: str) -> Shape:
    """Of "input_dim,samples,depth,chains"."""
    try:
        dim, samples, depth, chains = map(int, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no input_dim,samples,depth,chains; try 1000,2000,2,32") from None
    return Shape(dim, samples, depth, chains)


def operands_of(kernel: str, mode: str, shape: Shape, device: torch.device) -> Iterator[Operands]:
    """The products of a kernel in a gradient: of the first layer, and of the others where there are any."""
    dim, samples, chains = shape.dim, shape.samples, shape.chains

    def drawn(*sizes: int) -> Tensor:
        return torch.randn(*sizes, device=device, dtype=torch.float32).to(FORMATS[mode])

    scale = dim**-0.5
    layers = [(1, chains * dim), (chains, dim)][: shape.depth]
    for layer, (batch, rows) in enumerate(layers):
        delta = drawn(batch, rows, samples)
        below = drawn(batch, samples, dim).transpose(1, 2) if layer == 0 else drawn(batch, dim, samples)
        matrix = drawn(batch, rows, dim)
        named = f"{kernel} {mode} of layer {layer + 1}, {shape}"
        if kernel == "lift":
            yield _lift(named, matrix, below, scale)
        elif kernel == "weigh":
            yield _weigh(named, delta, below.transpose(1, 2), scale)
        elif layer > 0:
            yield _descend(named, matrix, delta, below.tanh(), scale)


def _lift(named: str, matrix: Tensor, below: Tensor, scale: float) -> Operands:
    rows, columns = matrix.shape[1], below.shape[2]
    found = matrix.new_empty(len(matrix), rows, columns)
    return Operands(
        named,
        class_of(rows, columns),
        lambda products: products.lift(matrix, below, found, found, scale),
        found,
        lambda: torch.tanh(scale * matrix.double() @ below.double()),
    )


def _descend(named: str, matrix: Tensor, delta: Tensor, hidden: Tensor, scale: float) -> Operands:
    found = torch.empty_like(hidden)
    return Operands(
        named,
        class_of(*hidden.shape[1:]),
        lambda products: products.descend(matrix, delta, hidden, hidden, scale, found),
        found,
        lambda: scale * matrix.double().transpose(1, 2) @ delta.double() * (1 - hidden.double().square()),
    )


def _weigh(named: str, delta: Tensor, below: Tensor, scale: float) -> Operands:
    rows, columns = delta.shape[1], below.shape[2]
    added = torch.randn(len(delta), rows, columns, device=delta.device, dtype=torch.float32)
    found = torch.empty_like(added)
    return Operands(
        named,
        class_of(rows, columns),
        lambda products: products.add(added, delta, below, scale, found),
        found,
        lambda: added + scale * delta.double() @ below.double(),
    )


def right_calls(operands: Operands, mode: str, tiles: Sequence[Tile]) -> dict[Tile, Call]:
    """Those tiles whose result is right; a line says what is wrong with another."""
    from triton.runtime.errors import OutOfResources

    expected, calls = operands.expected(), dict[Tile, Call]()
    for tile in tiles:
        products = TritonProducts(ACTIVATION, mode, OneTile(tile))
        operands.found.fill_(torch.nan)
        try:
            operands.run(products)
        except OutOfResources as refusal:
            print(f"{operands.name}: {tile} is left out: {refusal}")
            continue
        error = float((operands.found.double() - expected).norm() / expected.norm())
        if error <= TOLERANCES[mode]:
            calls[tile] = lambda products=products: operands.run(products)
        else:
            print(f"{operands.name}: {tile} is left out: it is {error:.1e} off")
    return calls


def tuned_tiles(mode: str, shapes: Sequence[Shape], repeats: int, device: torch.device) -> dict[str, Any]:
    """The entries of a mode's kernels, for the classes that these shapes have."""
    entries = dict[str, Any]()
    for kernel in KERNELS:
        by_class = dict[str, dict[Case, Mapping[Tile, Sequence[float]]]]()
        for shape in shapes:
            for operands in operands_of(kernel, mode, shape, device):
                calls = right_calls(operands, mode, candidates(mode))
                own = by_class.setdefault(operands.size_class, {})
                own[operands.name] = interleaved(calls, repeats, device)
        for size_class, times in by_class.items():
            best = winner(times)
            entries[f"{kernel} {mode} {size_class}"] = asdict(best)
            print(f"{kernel} {mode} {size_class}: {best}", flush=True)
    return entries


def tuned_products(
    mode: str, shapes: Sequence[Shape], configs: Configs, repeats: int, device: torch.device
) -> dict[str, Any]:
    """Whether cuBLAS's or Triton's gradients are faster, for the classes that these shapes have."""
    by_class = dict[str, dict[Case, Mapping[str, Sequence[float]]]]()
    for shape in shapes:
        calls = gradients(mode, shape, configs, device)
        own = by_class.setdefault(class_of(shape.dim, shape.samples), {})
        own[str(shape)] = interleaved(calls, repeats, device)
        for name, seconds in own[str(shape)].items():
            print(f"gradient {mode} {name}, {shape}: {1e3 * median(seconds):.3f} ms", flush=True)
    return {f"products {mode} {size_class}": winner(times) for size_class, times in by_class.items()}


def gradients(mode: str, shape: Shape, configs: Configs, device: torch.device) -> dict[str, Call]:
    """Whole gradients by either, those alone that are right."""
    problem, position = shape.problem(), shape.position(device).flat
    inputs, labels = problem.inputs.float().to(device), problem.labels.float().to(device).unsqueeze(1)
    own = inputs, (shape.dim,) * shape.depth, ACTIVATION, shape.chains
    networks = {"cublas": CoarseNetwork(*own, mode), "triton": FusedNetwork(*own, mode, configs)}
    out, expected = torch.empty_like(position), torch.empty_like(position)
    BlockedNetwork(*own).misfit_gradient(position, labels, NOISE_VARIANCE, expected)
    calls = dict[str, Call]()
    for name, network in networks.items():
        network.misfit_gradient(position, labels, NOISE_VARIANCE, out)
        error = float((out - expected).norm() / expected.norm())
        if error <= TOLERANCES[mode]:
            calls[name] = lambda network=network: network.misfit_gradient(position, labels, NOISE_VARIANCE, out)
        else:
            print(f"gradient {mode} by {name} is left out on {shape}: it is {error:.1e} off")
    return calls


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--mode", action="append", choices=MODES, help="a format of the products; all of them else")
    made.add_argument(
        "--shape",
        action="append",
        type=shape_of,
        metavar="D,N,L,C",
        help="input_dim = width, samples, depth and chains; those of bench/shapes.py for CUDA else",
    )
    made.add_argument("--repeats", type=int, default=20, help="calls a candidate (default: %(default)s)")
    made.add_argument("--output", type=Path, default=TABLE, metavar="FILE", help="the table (default: the shipped one)")
    made.add_argument("--dry-run", action="store_true", help="print the entries, write nothing")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    if not torch.cuda.is_available():
        print("there is no GPU to tune for: torch.cuda.is_available() is False; run this on one", file=sys.stderr)
        return NO_GPU
    device, shapes = torch.device("cuda"), options.shape or CUDA_SHAPES
    gpu = torch.cuda.get_device_name(device)
    table = read_table(options.output if options.output.exists() else TABLE)
    origin = f"measured by bench/tune.py with torch {torch.__version__} on {', '.join(map(str, shapes))}"
    for mode in options.mode or MODES:
        table = with_entries(table, gpu, tuned_tiles(mode, shapes, options.repeats, device), origin)
        if mode in CHOSEN:
            entries = tuned_products(mode, shapes, configs_of(gpu, table), options.repeats, device)
            table = with_entries(table, gpu, entries, origin)
    if options.dry_run:
        print(text_of({gpu: table[gpu]}), end="")
    else:
        options.output.write_text(text_of(table), encoding="utf-8")
        print(f"{options.output} has the entries of {gpu!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
