"""Blocks have every chain of every instance once, and leave chains that are compared together."""

import pytest
from experiments import changed

from nishimori.chains.start import ChainPlan
from nishimori.description.blocks import block_counts, blocks_of
from nishimori.description.config import Config
from nishimori.description.errors import BadInput
from nishimori.description.experiment import expand


def config_of(blocks: int, instances: int, chains: int, start: str) -> Config:
    settings = {"data__instances": instances, "sampler__chains": chains, "sampler__start": start}
    return expand(changed(**settings, run__blocks=blocks)).points[0].config


@pytest.mark.parametrize("start", ["both", "teacher", "prior"])
@pytest.mark.parametrize(("instances", "chains"), [(1, 8), (3, 4), (4, 1), (2, 5)])
def test_every_chain_is_in_one_block(instances: int, chains: int, start: str) -> None:
    plan = ChainPlan.of(chains, start)
    whole = [(instance, chain) for instance in range(instances) for chain in plan.chains]
    pairs = {tuple(plan.chains[place] for place in pair) for pair in plan.disjoint_pairs()}
    for count in block_counts(config_of(1, instances, chains, start)):
        blocks = blocks_of(config_of(count, instances, chains, start))
        assert len(blocks) == count
        assert (
            sorted((instance, chain) for one in blocks for instance in one.instances for chain in one.chains) == whole
        )
        sizes = [len(one.instances) for one in blocks]
        assert max(sizes) - min(sizes) <= 1
        compared = set()
        for one in blocks:
            own = ChainPlan.of(chains, start, one.chains)
            compared |= {tuple(own.chains[place] for place in pair) for pair in own.disjoint_pairs()}
        assert compared == pairs


def test_what_blocks_there_may_be() -> None:
    assert block_counts(config_of(1, 3, 2, "both")) == (1, 2, 3, 6)
    assert block_counts(config_of(1, 1, 8, "both")) == tuple(range(1, 9))
    assert block_counts(config_of(1, 1, 5, "prior")) == (1, 2)
    assert block_counts(config_of(1, 2, 1, "prior")) == (1, 2)


def test_another_number_is_refused_with_what_there_may_be() -> None:
    with pytest.raises(
        BadInput, match=r"run.blocks = 4 does not divide data.instances = 3 .* use 1 to 3, or 3 times 2"
    ):
        config_of(4, 3, 2, "both")
    with pytest.raises(BadInput, match=r"use 1 to 4$"):
        config_of(8, 4, 1, "both")


def test_blocks_are_how_and_not_what() -> None:
    one, four = (expand(changed(run__blocks=blocks)) for blocks in (1, 4))
    assert one.identity == four.identity
