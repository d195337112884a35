"""A point block by block: one after the other, with the memory of one. Importing this never imports torch."""

from typing import TYPE_CHECKING

from nishimori.chains.progress import within
from nishimori.description.blocks import blocks_of
from nishimori.description.config import Config
from nishimori.description.identity import identity
from nishimori.systems.point_chains import moved

if TYPE_CHECKING:
    from nishimori.adaptation.calibration import CalibrationRecord
    from nishimori.chains.segments import Arrays
    from nishimori.chains.writers import PointWriter
    from nishimori.sampling.parts import RunParts


def sampled_in_blocks(config: Config, writer: "PointWriter", record: "CalibrationRecord") -> "RunParts":
    """All chains of the instances of `record`, as if they had moved together."""
    from nishimori.sampling.parts import RunParts

    blocks = blocks_of(config)
    parts = [moved_block(config, writer, record, number) for number in range(len(blocks))]
    return RunParts.of_blocks(record, blocks, parts)


def moved_block(
    config: Config, writer: "PointWriter", record: "CalibrationRecord", number: int
) -> "tuple[Arrays, Arrays]":
    """What the chains of a block gathered, and the state at their end; nothing else of them is kept.

    Raises DirectoryBusy where another process samples the block.
    """
    from nishimori.chains.files import exclusive
    from nishimori.sampling.build import problem_of

    block, count = blocks_of(config)[number], config.run.blocks
    journal = writer.journals(config.run.segment_seconds, count)[number]
    report = within(writer.progress, f"block {number + 1} of {count}")
    problem = problem_of(config, identity(config), record.instances[block.instances.start : block.instances.stop])
    with exclusive(journal.directory) as lock:
        moving = moved(config, record, problem, block.chains, lock.beating(report), journal)
    return moving.groups(0), moving.state_arrays()
