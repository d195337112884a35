"""The number of integrator steps that buys the most effective samples for a gradient.

From stationary chains, trajectories are followed step by step. After l steps the lag-one autocorrelation that a
transition of l steps would have is rho_l = 1 - S_l / (2 Var f), S_l = E[min(1, exp(-Delta H_l)) (f_l - f_0)^2].
Maximised is the efficiency (1 - rho_l) / (1 + rho_l) / (g l + 2), the smallest over the observables f, where a step
costs g gradients: a transition costs about two besides its steps (refresh, accept, measurement). Negative correlations
count as none, and of the counts within 20 % of the best (about the noise of the estimate) the largest is taken: chains
that mix in fewer transitions are easier to trust. The expected squared jump is that of Pasarica and Gelman 2010, with
the acceptance averaged out. Where a target names no observables, f = |theta - mean|^2: S_l is then four times the ChEES
criterion (Hoffman, Radul and Sountsov 2021, eq. 4), here at every length at once instead of by gradient ascent.

With a Gaussian prior, paths shorter than 0.7 are not chosen: directions that the data leave to the prior turn at unit
frequency, and what is slow in them does not show at lag one (training energy, one hidden layer, sample_ratio 4: R-hat
1.06 to 1.08 after 70 draws with paths of 0.4, 1.02 with paths of 1). Without one, scales are unknown, and the longest
trajectory is doubled until the best is well inside.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from nishimori.description.errors import BadInput
from nishimori.models.layout import Position
from nishimori.models.randomness import Randomness
from nishimori.models.target import Target
from nishimori.samplers.base import State, Streams, choose_, metropolis

SHORTEST_PATH, LONGEST_PATH = 0.7, 1.6
MOST_STEPS = 64
FIRST_STEPS, MOST_STEPS_WITHOUT_PRIOR = 32, 512
LEAST_TRAJECTORIES = 256
COST_OF_A_TRANSITION = 2.0
NEAR_BEST = 0.8

Observables = Callable[[State], Tensor]
"""A function of the state: [observables, instances, chains], float64."""


class TrajectoryKernel(Protocol):
    """A kernel whose trajectories can be followed step by step."""

    @property
    def target(self) -> Target: ...

    @property
    def step_size(self) -> Tensor: ...

    @property
    def randomness(self) -> Randomness: ...

    @property
    def streams(self) -> Streams: ...

    @property
    def gradients_per_step(self) -> int: ...

    def trajectory(self, state: State, step: int, longest: int) -> Iterator[tuple[State, Tensor]]: ...


def squared_distance(mean: Position) -> Observables:
    """The observable of the ChEES criterion, |theta - mean|^2 for `mean` with one chain an instance."""

    def observe(state: State) -> Tensor:
        pairs = zip(state.position.blocks, mean.blocks, strict=True)
        return torch.stack([(a.double() - b.double()).square().flatten(2).sum(-1) for a, b in pairs]).sum(0)[None]

    return observe


@dataclass(frozen=True, eq=False)
class TrajectoryScan:
    """What one scan saw: `squared_jump` and `acceptance`, by number of steps, and the observables at the start."""

    start: Tensor  # [observables, instances, chains]
    squared_jump: Tensor  # [steps, observables]
    acceptance: Tensor  # [steps]


def choose_num_steps(
    kernel: TrajectoryKernel,
    state: State,
    observables: Observables,
    first_step: int,
    advance: Callable[[float], None],
) -> tuple[int, list[float], list[float]]:
    """The best number of steps, with the efficiency and acceptance of 1, 2, ... steps.

    `state` must have forgotten its start; `advance(acceptance)` is called after each trajectory; `first_step` is the
    first unused random step. Raises BadInput where no trajectory is accepted.
    """
    prior = kernel.target.gaussian_prior
    longest = scan_length(kernel.step_size) if prior else FIRST_STEPS
    while True:
        scans = []
        for repeat in range(num_scans(state)):
            state, scan = _scan(kernel, state, observables, longest, first_step + repeat)
            advance(float(scan.acceptance[longest // 2]))
            scans.append(scan)
        efficiency = _efficiency(scans, kernel.gradients_per_step)
        best = _best(efficiency, kernel.step_size, SHORTEST_PATH if prior else 0.0)
        if prior or best <= longest // 2 or longest >= MOST_STEPS_WITHOUT_PRIOR:
            break
        longest, first_step = 2 * longest, first_step + num_scans(state)
    acceptance = torch.stack([scan.acceptance for scan in scans]).mean(0)
    return best, efficiency.tolist(), acceptance.tolist()


def _efficiency(scans: list[TrajectoryScan], gradients_per_step: int) -> Tensor:
    """By number of steps, the smallest over the observables; zero where nothing moved."""
    starts = torch.stack([scan.start for scan in scans], dim=-1).flatten(2)  # [observables, instances, values]
    variance = starts.var(dim=-1).mean(dim=-1)
    jump = torch.stack([scan.squared_jump for scan in scans]).mean(0)
    correlation = (1 - jump / (2 * variance)).clamp(min=0.0)
    gain = torch.nan_to_num((1 - correlation) / (1 + correlation), nan=0.0).amin(dim=1)
    gradients = gradients_per_step * torch.arange(1, len(gain) + 1, device=gain.device)
    return gain / (COST_OF_A_TRANSITION + gradients)


def _best(efficiency: Tensor, step_size: Tensor, shortest_path: float) -> int:
    first = max(1, min(len(efficiency), math.ceil(shortest_path / typical_step(step_size)))) - 1
    eligible = efficiency[first:]
    if not float(eligible.max()) > 0:
        raise BadInput(
            f"no trajectory was accepted at step size {typical_step(step_size):.2g}; "
            'lower sampler.step_size, or use run.precision = "fp64" where the noise variance is tiny'
        )
    return first + 1 + int(torch.nonzero(eligible >= NEAR_BEST * eligible.max()).max())


def scan_length(step_size: Tensor) -> int:
    return max(1, min(MOST_STEPS, math.ceil(LONGEST_PATH / typical_step(step_size))))


def typical_step(step_size: Tensor) -> float:
    """The median over instances, in the layer of the largest steps: there the prior is felt most."""
    widest = step_size.amax(0) if step_size.dim() == 3 else step_size
    return float(widest.median())


def num_scans(state: State) -> int:
    """Enough trajectories to see correlations to a few per cent."""
    return scans_of(state.energy.numel())


def scans_of(trajectories: int) -> int:
    """As many scans of so many trajectories each."""
    return max(6, math.ceil(LEAST_TRAJECTORIES / trajectories))


def _scan(
    kernel: TrajectoryKernel, state: State, observables: Observables, longest: int, step: int
) -> tuple[State, TrajectoryScan]:
    """One trajectory of `longest` steps; the chain itself moves by half of it."""
    uniform = kernel.randomness.uniforms(kernel.streams.accept, step, kernel.target.device)
    start = observables(state)
    moved, jumps, acceptances = state, [], []
    for count, (here, error) in enumerate(kernel.trajectory(state, step, longest), start=1):
        acceptance, accepted = metropolis(error, uniform)
        jump = torch.where(acceptance > 0, (observables(here) - start).square(), 0.0)
        jumps.append((acceptance * jump).mean(dim=(1, 2)))
        acceptances.append(acceptance.mean())
        if count == (longest + 1) // 2:
            moved = choose_(accepted, _copy(here), state)
    return moved, TrajectoryScan(start, torch.stack(jumps), torch.stack(acceptances))


def _copy(state: State) -> State:
    """`trajectory` overwrites what it gives."""
    gradient = None if state.gradient is None else state.gradient.clone()
    return State(state.position.clone(), state.energy, gradient)
