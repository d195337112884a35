"""How the chains of a point are divided into blocks, each sampled by itself."""

from collections.abc import Iterator
from dataclasses import dataclass

from nishimori.description.config import Config
from nishimori.description.errors import BadInput


@dataclass(frozen=True)
class Block:
    """Chains of these identities, of the instances at these places of a batch."""

    instances: range
    chains: tuple[int, ...]


def blocks_of(config: Config) -> tuple[Block, ...]:
    """`run.blocks` of them, as even as can be, instance by instance.

    Up to data.instances blocks are whole instances; more are some chains of one instance each, and chains whose draws
    are compared (one of each start, or two from the prior) stay together. Raises BadInput, with what can be had, for
    any other number.
    """
    count, instances, groups = config.run.blocks, config.data.instances, _groups(config)
    if count not in block_counts(config):
        more = f", or {instances} times 2 to {len(groups)}" if len(groups) > 1 else ""
        raise BadInput(
            f"run.blocks = {count} does not divide data.instances = {instances} and sampler.chains = "
            f"{config.sampler.chains} evenly, with chains that are compared in one block; use 1 to {instances}{more}"
        )
    by_instance, by_chain = min(count, instances), -(-count // instances)
    return tuple(
        Block(range(instances)[own], tuple(sorted(chain for group in groups[some] for chain in group)))
        for own in even(instances, by_instance)
        for some in even(len(groups), by_chain)
    )


def block_counts(config: Config) -> tuple[int, ...]:
    """What `run.blocks` may be."""
    instances = config.data.instances
    return *range(1, instances + 1), *(instances * chains for chains in range(2, len(_groups(config)) + 1))


def _groups(config: Config) -> list[tuple[int, ...]]:
    """Identities of chains that a draw compares; one that is left over goes with the last."""
    chains, start = config.sampler.chains, config.sampler.start
    if start == "both":
        return [(chain, chains + chain) for chain in range(chains)]
    if start == "teacher" or chains == 1:
        return [(chain,) for chain in range(chains)]
    last = 2 * (chains // 2 - 1)
    return [tuple(range(first, chains if first == last else first + 2)) for first in range(0, last + 1, 2)]


def even(count: int, parts: int) -> Iterator[slice]:
    """Slices of 0, ..., count - 1; none longer than another by more than one."""
    for part in range(parts):
        yield slice(part * count // parts, (part + 1) * count // parts)
