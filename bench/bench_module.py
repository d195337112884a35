"""Energy and gradient of a torch.nn.Module's posterior: ours, torch.func.vmap written by hand, and the same network as
a `Posterior`, interleaved in one run."""

import math
from collections.abc import Callable

import torch
from common import Row, case_of, interleaved, operations_of, report_times, timing_options, timing_rows
from torch import Tensor, nn

import nishimori as nm
from nishimori.models.layout import Position

SHAPES = ((64, 200, 2, 64), (16, 50, 2, 64), (200, 400, 2, 16))
"""(input_dim = width, samples, depth, chains)."""


class Network(nn.Sequential):
    """The network of `nm.Network(dim, (dim,) * depth, "tanh")`, its factors 1 / sqrt(width) left to the prior."""

    def __init__(self, dim: int, depth: int) -> None:
        hidden = [layer for _ in range(depth) for layer in (nn.Linear(dim, dim, bias=False), nn.Tanh())]
        super().__init__(*hidden, nn.Linear(dim, 1, bias=False), nn.Flatten(0))


def by_hand(module: nn.Module, inputs: Tensor, labels: Tensor, scale: float, noise_variance: float) -> Callable:
    """Parameters [chains, *shape] of N(0, 1) prior -> gradients and energies, as one writes it with torch.func."""

    def energy(parameters: dict[str, Tensor]) -> Tensor:
        scaled = {name: scale * values for name, values in parameters.items()}
        outputs = torch.func.functional_call(module, scaled, (inputs,))
        prior = sum((values.square().sum() for values in parameters.values()), torch.zeros((), device=inputs.device))
        return (outputs - labels).square().sum() / (2 * noise_variance) + prior / 2

    return torch.func.vmap(torch.func.grad_and_value(energy))


def bench(shape: tuple[int, int, int, int], repeats: int, device: str) -> list[Row]:
    """Rows for one shape; first the three are compared with each other."""
    dim, samples, depth, chains = shape
    problem = nm.matched_teacher(nm.Network(dim, (dim,) * depth, "tanh"), nm.GaussianChannel(0.1), samples)
    posterior = nm.Posterior(problem, device=device)
    inputs, labels = (values[0].float().to(posterior.device) for values in (problem.inputs, problem.labels))
    module, scale = Network(dim, depth).float().to(posterior.device), 1 / math.sqrt(dim)
    target = nm.ModuleTarget(module, nm.GaussianLikelihood(inputs, labels, 0.1), scale, device=device)
    position = target.initial_position(chains, "prior", seed=0)
    same = posterior.layout(chains).from_edge(position.to_edge())
    stacked = {name: block[0] for (name, _), block in zip(module.named_parameters(), position.blocks, strict=True)}
    hand = by_hand(module, inputs, labels, scale, 0.1)
    out, out_too = position.empty_like(), same.empty_like()
    _compare(hand(stacked), target.energy_and_gradient(position), posterior.energy_and_gradient(same))
    providers: dict[str, Callable[[], object]] = {
        "ModuleTarget": lambda: target.energy_and_gradient(position, out),
        "torch.func by hand": lambda: hand(stacked),
        "Posterior": lambda: posterior.energy_and_gradient(same, out_too),
    }
    times = interleaved(providers, repeats, target.device)
    return timing_rows("module energy and gradient", times, case_of(*shape), operations_of(*shape), target.device)


def _compare(by_hand: tuple[dict[str, Tensor], Tensor], *others: tuple[Tensor, Position]) -> None:
    gradients, energies = by_hand
    expected = torch.cat([gradient.flatten(1) for gradient in gradients.values()], dim=1)
    for energy, gradient in others:
        torch.testing.assert_close(energy[0], energies.double(), rtol=1e-4, atol=1e-2)
        torch.testing.assert_close(gradient.to_edge()[0], expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def main() -> None:
    options = timing_options(__doc__)
    for shape in SHAPES:
        report_times(bench(shape, options.repeats, options.device), "torch.func by hand", options)


if __name__ == "__main__":
    main()
