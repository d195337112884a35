"""A point block by block: one after the other, with the memory of one. Importing this never imports torch."""

from typing import TYPE_CHECKING

from nishimori.description.blocks import Block, blocks_of
from nishimori.description.config import Config
from nishimori.description.identity import identity
from nishimori.systems.point_chains import moved

if TYPE_CHECKING:
    from nishimori.adaptation.calibration import CalibrationRecord
    from nishimori.chains.journal import Journal
    from nishimori.chains.progress import Progress
    from nishimori.chains.segments import Arrays
    from nishimori.chains.writers import PointWriter
    from nishimori.sampling.parts import RunParts


def sampled_in_blocks(config: Config, writer: "PointWriter", record: "CalibrationRecord") -> "RunParts":
    """All chains of the instances of `record`, as if they had moved together."""
    from nishimori.sampling.parts import RunParts

    blocks, parts = blocks_of(config), []
    journals = writer.journals(config.run.segment_seconds, len(blocks))
    for number, (block, journal) in enumerate(zip(blocks, journals, strict=True), 1):
        parts.append(
            _moved(config, record, block, journal, _named(writer.progress, f"block {number} of {len(blocks)}"))
        )
    return RunParts.of_blocks(record, blocks, parts)


def _moved(
    config: Config, record: "CalibrationRecord", block: Block, journal: "Journal", report: "Progress"
) -> "tuple[Arrays, Arrays]":
    """What they gathered and the state at the end; nothing else of them is kept."""
    from nishimori.sampling.build import problem_of

    problem = problem_of(config, identity(config), record.instances[block.instances.start : block.instances.stop])
    moving = moved(config, record, problem, block.chains, report, journal)
    return moving.groups(0), moving.state_arrays()


def _named(progress: "Progress", block: str) -> "Progress":
    def told(phase: str, done: int, total: int, acceptance: float) -> None:
        progress(f"{phase}, {block}", done, total, acceptance)

    return told
