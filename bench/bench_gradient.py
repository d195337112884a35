"""One energy gradient of all chains: ours, plain autograd, and the matrix products alone, interleaved in one run."""

import argparse
import csv
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import nishimori as nm
from nishimori.models.layout import Position
from nishimori_kernels.energy import reference

RESULTS = Path(__file__).with_name("results.csv")
SHAPES = ((100, 200, 1, 64), (100, 200, 3, 64), (400, 800, 1, 8), (400, 800, 3, 8))
"""(input_dim = width, samples, depth, chains)."""


def autograd_gradient(target: nm.Posterior, position: Position) -> list[torch.Tensor]:
    """The gradient as one writes it without thinking: the reference network, torch.autograd."""
    problem = target.problem
    inputs, labels = (values.to(target.dtype).to(target.device) for values in (problem.inputs, problem.labels))
    weights = [block.detach().requires_grad_() for block in position.blocks]
    output = reference.latent(weights, inputs, problem.network.activation.name)
    misfit = (labels.unsqueeze(1) - output).square().sum() / (2 * problem.channel.noise_variance)
    energy = misfit + sum((weight.square().sum() for weight in weights), torch.zeros(())) / 2
    return list(torch.autograd.grad(energy, weights))


def products(dim: int, samples: int, depth: int, chains: int, device: torch.device) -> Callable[[], None]:
    """The same matrix products on contiguous operands, nothing else."""
    first = torch.randn(chains * dim, dim, device=device)
    inputs, tall = torch.randn(dim, samples, device=device), torch.randn(chains * dim, samples, device=device)
    deep = torch.randn(chains, dim, dim, device=device)
    hidden = torch.randn(chains, dim, samples, device=device)
    turned = torch.randn(chains, samples, dim, device=device)
    rows = torch.randn(samples, dim, device=device)

    def run() -> None:
        _ = first @ inputs, tall @ rows
        for _ in range(depth - 1):
            _ = torch.bmm(deep, hidden), torch.bmm(hidden, turned), torch.bmm(deep, hidden)

    return run


def timed(call: Callable[[], object], device: torch.device) -> float:
    started = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def bench(shape: tuple[int, int, int, int], repeats: int, device: str) -> list[dict[str, object]]:
    """Rows for one shape: provider, median and quantiles in milliseconds, GFLOP/s."""
    dim, samples, depth, chains = shape
    problem = nm.matched_teacher(nm.Network(dim, (dim,) * depth, "tanh"), nm.GaussianChannel(0.1), samples)
    target = nm.Posterior(problem, device=device)
    position = target.initial_position(chains, "prior", seed=0)
    out = position.empty_like()
    for ours, theirs in zip(target.gradient(position, out).blocks, autograd_gradient(target, position), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()))
    providers: dict[str, Callable[[], object]] = {
        "nishimori": lambda: target.gradient(position, out),
        "torch autograd": lambda: autograd_gradient(target, position),
        "matrix products alone": products(dim, samples, depth, chains, target.device),
    }
    times: dict[str, list[float]] = {name: [] for name in providers}
    for repeat in range(repeats + 2):
        for name, call in providers.items():
            seconds = timed(call, target.device)
            if repeat >= 2:
                times[name].append(seconds)
    operations = chains * samples * (4 + 6 * (depth - 1)) * dim**2
    return [_row(shape, name, np.array(values), operations, target) for name, values in times.items()]


def _row(
    shape: tuple[int, int, int, int], provider: str, seconds: np.ndarray, operations: int, target: nm.Posterior
) -> dict[str, object]:
    low, middle, high = (1e3 * quantile for quantile in np.quantile(seconds, [0.2, 0.5, 0.8]))
    cuda = target.device.type == "cuda"
    return {
        "operation": "energy gradient",
        "provider": provider,
        **dict(zip(("dim", "samples", "depth", "chains"), shape, strict=True)),
        "milliseconds": f"{middle:.3f}",
        "quantile_20": f"{low:.3f}",
        "quantile_80": f"{high:.3f}",
        "gflops": f"{operations / middle / 1e6:.1f}",
        "precision": "fp32",
        "device": torch.cuda.get_device_name() if cuda else _processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "commit": _commit(),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=RESULTS.parent
    )
    return done.stdout.strip() or "unknown"


def _append(rows: list[dict[str, object]]) -> None:
    fresh = not RESULTS.exists()
    with RESULTS.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        if fresh:
            writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--dry-run", action="store_true", help="print, but do not append to results.csv")
    options = parser.parse_args()
    for shape in SHAPES:
        rows = bench(shape, options.repeats, options.device)
        floor = float(str(rows[-1]["milliseconds"]))
        for row in rows:
            share = floor / float(str(row["milliseconds"]))
            print(f"{shape}: {row['provider']:>22} {row['milliseconds']:>9} ms {row['gflops']:>7} GFLOP/s {share:.0%}")
        if not options.dry_run:
            _append(rows)


if __name__ == "__main__":
    main()
