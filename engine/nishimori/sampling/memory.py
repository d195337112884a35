"""A GPU whose memory ends says how many chains it has room for."""

from collections.abc import Iterator
from contextlib import contextmanager
from traceback import clear_frames

import torch

from nishimori.chains.start import ChainPlan
from nishimori.description.errors import BadInput
from nishimori.description.units import sized
from nishimori.measurement.observers import NetworkTarget
from nishimori.models.footprint import footprint
from nishimori.models.target import Target
from nishimori.samplers.base import Sampler
from nishimori.sampling.byte_counts import levels_of


@contextmanager
def chains_that_fit(target: Target, sampler: Sampler | None, plan: ChainPlan) -> Iterator[None]:
    """Running out of a GPU's memory within becomes a BadInput: what the chains of `plan` need, what is free, and how
    many fit. What was held when it was opened counts as taken."""
    held = torch.cuda.memory_allocated()
    try:
        yield
    except torch.OutOfMemoryError as error:
        free = torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved() - held
        clear_frames(error.__traceback__)  # whoever asks for fewer chains next needs what these have taken
        raise BadInput(_sentence(target, sampler, plan, free)) from None


def _sentence(target: Target, sampler: Sampler | None, plan: ChainPlan, free: int) -> str:
    starts = len(set(plan.starts))
    together, asked = starts * (levels_of(sampler) if sampler else 1), len(plan.chains) // starts
    whose, room = f"of {_counted(len(target.instances), 'instance')}", sized(free)
    known = footprint(target) if isinstance(target, NetworkTarget) else None
    if known is None or known.of(asked * together) <= free:
        smaller = f"a smaller {'density' if known is None else 'network'}"
        advice = f"ask for {_chains(asked // 2, starts)} or fewer, or {smaller}" if asked > 1 else f"use {smaller}"
        return f"{_chains(asked, starts)} {whose} need more than the {room} that are free on the GPU; {advice}"
    fit = known.chains_within(free) // together
    if fit == 0:
        return (
            f"not even one chain {whose} fits on the GPU: it needs about {sized(known.of(together))} and {room} are "
            'free; use a smaller network, fewer samples or instances, or device "cpu"'
        )
    return (
        f"{_chains(asked, starts)} {whose} need about {sized(known.of(asked * together))} on the GPU and {room} are "
        f"free; ask for {_chains(fit, starts)} or fewer, or a smaller network"
    )


def _chains(count: int, starts: int) -> str:
    """As a user counts them."""
    return _counted(count, "chain") + (" per start" if starts > 1 else "")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
