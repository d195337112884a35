"""The empty loop: transitions a second of HMC where energy and gradient cost nothing, what is left being our own.

One leapfrog step a transition, float32, through the chain loop, which keeps nothing.
"""

from collections import deque

import numpy as np
import torch
from common import Row, append, interleaved, parser_of, row_of
from torch import Tensor

from nishimori.chains.loop import Schedule, chain_loop
from nishimori.models.device import resolve_device
from nishimori.models.layout import Layout, Position
from nishimori.models.randomness import Randomness
from nishimori.samplers.base import Kernel, State
from nishimori.samplers.hmc import HMC

OPERATION = "empty loop"
CHAINS, DIMENSION = 8, 10


class FreeTarget:
    """U = 0: an energy that is kept, and a gradient of zeros that nothing writes anew."""

    gaussian_prior = False
    num_parameters = DIMENSION
    instances: tuple[int, ...] = (0,)
    dtype = torch.float32

    def __init__(self, device: torch.device, chains: int = CHAINS) -> None:
        self.device, self._chains = device, chains
        self._energy = torch.zeros(1, chains, dtype=torch.float64, device=device)
        self._layout = Layout(1, chains, ((DIMENSION,),))

    def layout(self, chains: int) -> Layout:
        """Raises ValueError for another number of chains than this target was made for."""
        if chains != self._chains:
            raise ValueError(f"this target is of {self._chains} chains, not {chains}; make another")
        return self._layout

    def energy(self, position: Position) -> Tensor:
        del position
        return self._energy

    def gradient(self, position: Position, out: Position | None = None) -> Position:
        return Position(torch.zeros_like(position.flat), position.layout) if out is None else out

    def energy_and_gradient(self, position: Position, out: Position | None = None) -> tuple[Tensor, Position]:
        return self._energy, self.gradient(position, out)

    def initial_position(self, chains: int | tuple[int, ...], start: str, seed: int, point: str = "") -> Position:
        """The origin."""
        del start, seed, point
        layout = self.layout(chains if isinstance(chains, int) else len(chains))
        return Position(
            torch.zeros(layout.num_parameters * layout.chains, dtype=self.dtype, device=self.device), layout
        )


def kernel_of(jitter: float, device: torch.device) -> tuple[Kernel, State]:
    """HMC with one step a transition, one or two where jittered, and the state it starts from."""
    target, randomness = FreeTarget(device), Randomness.of(0, "", (0,), range(CHAINS))
    step_size = torch.tensor([0.1], dtype=torch.float64)
    kernel = HMC(jitter=jitter).kernel(target, step_size, 1, randomness)
    return kernel, kernel.init(target.initial_position(CHAINS, "prior", 0))


def rows_of(transitions: int, repeats: int, device: torch.device) -> list[Row]:
    """A row a jitter, `repeats` loops of `transitions` by turns."""
    cases = {jitter: kernel_of(jitter, device) for jitter in (0.0, HMC().jitter)}
    schedule = Schedule(0, transitions)
    calls = {
        jitter: lambda kernel=kernel, state=state: deque(chain_loop(kernel, state, schedule), maxlen=0)
        for jitter, (kernel, state) in cases.items()
    }
    rows = []
    for jitter, seconds in interleaved(calls, repeats, device).items():
        low, middle, high = np.quantile(transitions / np.array(seconds), [0.2, 0.5, 0.8])
        case = f"sampler=HMC num_steps=1 jitter={jitter:g} chains={CHAINS} dimension={DIMENSION}"
        named = OPERATION, "nishimori", case, "transitions_per_second", "1/s"
        rows.append(row_of(*named, middle, device, (low, high)))
    return rows


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--transitions", type=int, default=1000, help="of a loop that is timed")
    parser.add_argument("--repeats", type=int, default=15, help="loops a case")
    options = parser.parse_args()
    rows = rows_of(options.transitions, options.repeats, resolve_device(options.device))
    for row in rows:
        per_second = float(row["value"])
        print(f"{row['case']}: {per_second:.0f} transitions/s, {1e6 / per_second:.1f} us each")
    if not options.dry_run:
        append(rows, options.results)


if __name__ == "__main__":
    main()
