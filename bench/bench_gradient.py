"""One energy gradient of all chains: ours, plain autograd, and the matrix products alone, interleaved in one run."""

from collections.abc import Callable

import torch
from common import Row, case_of, interleaved, operations_of, report_times, timing_options, timing_rows

import nishimori as nm
from nishimori.models.layout import Position
from nishimori_kernels.energy import reference

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
    """The same matrix products on contiguous operands, written to buffers that are there, and nothing else."""

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, device=device)

    first, inputs, rows, tall = (
        drawn(chains * dim, dim),
        drawn(dim, samples),
        drawn(samples, dim),
        drawn(chains * dim, samples),
    )
    deep, hidden, turned = drawn(chains, dim, dim), drawn(chains, dim, samples), drawn(chains, samples, dim)
    lifted, pulled = torch.empty_like(tall), torch.empty_like(first)
    above, below, own = torch.empty_like(hidden), torch.empty_like(hidden), torch.empty_like(deep)

    def run() -> None:
        torch.mm(first, inputs, out=lifted)
        torch.mm(tall, rows, out=pulled)
        for _ in range(depth - 1):
            torch.bmm(deep, hidden, out=above)
            torch.bmm(hidden, turned, out=own)
            torch.bmm(deep, hidden, out=below)

    return run


def bench(shape: tuple[int, int, int, int], repeats: int, device: str) -> list[Row]:
    """Rows for one shape; first ours is compared with plain autograd."""
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
    times = interleaved(providers, repeats, target.device)
    return timing_rows("energy gradient", times, case_of(*shape), operations_of(*shape), target.device)


def main() -> None:
    options = timing_options(__doc__)
    for shape in SHAPES:
        report_times(bench(shape, options.repeats, options.device), "matrix products alone", options)


if __name__ == "__main__":
    main()
