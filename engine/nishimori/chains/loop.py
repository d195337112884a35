"""The chain loop: a generator the caller owns. Stop asking, and it stops."""

from collections.abc import Iterator
from dataclasses import dataclass

from nishimori.models.ranges import named_range
from nishimori.samplers.base import Info, Kernel, State


@dataclass(frozen=True)
class Schedule:
    """`warmup` transitions, then `draws` kept ones, `thin` transitions apart."""

    warmup: int
    draws: int
    thin: int = 1

    def __post_init__(self) -> None:
        for name, least in (("warmup", 0), ("draws", 1), ("thin", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}; ask for {least} or more")

    @property
    def transitions(self) -> int:
        return self.warmup + self.draws * self.thin

    def draws_by(self, step: int) -> int:
        """How many draws are complete before transition `step`."""
        return max(0, step - self.warmup) // self.thin

    def draw_at(self, step: int) -> int | None:
        """The index of the draw that transition `step` completes, or None."""
        after = step + 1 - self.warmup
        return after // self.thin - 1 if after > 0 and after % self.thin == 0 else None


@dataclass(frozen=True, eq=False)
class Transition:
    """What one transition left: its number, the draw it completes (None in warm-up and between draws), state and
    info."""

    step: int
    draw: int | None
    state: State
    info: Info


def chain_loop(kernel: Kernel, state: State, schedule: Schedule, first: int = 0) -> Iterator[Transition]:
    """Move all chains through the schedule from transition `first` on, one transition an item. A rejected chain's state
    is kept and counted."""
    for step in range(first, schedule.transitions):
        with named_range("transition", state.position.flat.device):
            state, info = kernel.step(state, step)
        yield Transition(step, schedule.draw_at(step), state, info)
