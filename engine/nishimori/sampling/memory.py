"""Where memory ends, the user hears how many chains there is room for."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from traceback import clear_frames

import torch

from nishimori.chains.start import ChainPlan
from nishimori.description.errors import BadInput
from nishimori.description.shortage import is_shortage
from nishimori.description.units import sized
from nishimori.measurement.observers import NetworkTarget
from nishimori.models.footprint import Footprint, footprint
from nishimori.models.target import Target
from nishimori.samplers.base import Sampler
from nishimori.sampling.byte_counts import levels_of
from nishimori.sampling.free_space import free_host_memory


@dataclass(frozen=True)
class Room:
    """`free` bytes of memory on a GPU or in the host, and what the chains of one target are known to take there."""

    where: str
    free: int
    known: Footprint | None

    @property
    def on_gpu(self) -> bool:
        return self.where == GPU


GPU, HOST = "on the GPU", "in memory"


@contextmanager
def chains_that_fit(target: Target, sampler: Sampler | None, plan: ChainPlan) -> Iterator[None]:
    """Running out of memory within, a GPU's or the host's, becomes a BadInput: what the chains of `plan` need, what is
    free, and how many fit. What was held when it was opened counts as taken."""
    held, free = torch.cuda.memory_allocated(), free_host_memory()
    try:
        yield
    except torch.OutOfMemoryError as error:
        free = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved() - held
        clear_frames(error.__traceback__)  # whoever asks for fewer chains next needs what these have taken
        room = Room(GPU, free, footprint(target) if isinstance(target, NetworkTarget) else None)
        raise BadInput(_sentence(target, sampler, plan, room)) from None
    except (MemoryError, RuntimeError, OSError, ImportError) as error:
        if not is_shortage(error):
            raise
        clear_frames(error.__traceback__)
        raise BadInput(_sentence(target, sampler, plan, Room(HOST, free, _on_host(target)))) from None


def _on_host(target: Target) -> Footprint | None:
    """Without what passes through the layers, which blocks of chains share; None where it is not known."""
    if not isinstance(target, NetworkTarget) or target.device.type == "cuda":
        return None
    return replace(footprint(target), activations=0)


def _sentence(target: Target, sampler: Sampler | None, plan: ChainPlan, room: Room) -> str:
    starts, known = len(set(plan.starts)), room.known
    together, asked = starts * (levels_of(sampler) if sampler else 1), len(plan.chains) // starts
    whose, free = f"of {_counted(len(target.instances), 'instance')}", sized(room.free)
    others = _others(target, room)
    if known is None or known.of(asked * together) <= room.free:
        advice = f"ask for {_listed(_fewer(asked // 2, starts), *others)}" if asked > 1 else f"use {_listed(*others)}"
        return f"{_chains(asked, starts)} {whose} need more than the {free} that are free {room.where}; {advice}"
    fit = known.chains_within(room.free) // together
    if fit == 0:
        least = ["a smaller network", "fewer samples or instances", *(['device "cpu"'] if room.on_gpu else [])]
        return (
            f"not even one chain {whose} fits {room.where}: it needs about {sized(known.of(together))} and {free} are "
            f"free; use {_listed(*least)}"
        )
    return (
        f"{_chains(asked, starts)} {whose} need about {sized(known.of(asked * together))} {room.where} and {free} are "
        f"free; ask for {_listed(_fewer(fit, starts), *others)}"
    )


def _others(target: Target, room: Room) -> list[str]:
    """What takes less memory besides fewer chains; draws are recorded in the host's."""
    smaller = f"a smaller {'network' if isinstance(target, NetworkTarget) else 'density'}"
    fewer = ["fewer instances"] if len(target.instances) > 1 else []
    return [smaller] if room.on_gpu else [*fewer, "fewer draws", smaller]


def _listed(*choices: str) -> str:
    return ", or ".join([", ".join(choices[:-1]), choices[-1]] if len(choices) > 1 else choices)


def _fewer(count: int, starts: int) -> str:
    return f"{_chains(count, starts)} or fewer"


def _chains(count: int, starts: int) -> str:
    """As a user counts them."""
    return _counted(count, "chain") + (" per start" if starts > 1 else "")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
