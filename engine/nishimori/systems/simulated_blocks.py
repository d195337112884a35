"""The blocks of a simulated point: whole instances each, kept in files as they are measured. Importing this never
imports torch."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nishimori.chains.headway import Stage
from nishimori.chains.places import INSTANCES, places_of
from nishimori.chains.progress import Progress, within
from nishimori.chains.stop import Stopped
from nishimori.description.blocks import even
from nishimori.description.errors import BadInput
from nishimori.description.identity import identity
from nishimori.systems.measured import Measured, arrays_of, count_of, joined, measured_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from nishimori.chains.checkpoint_files import CheckpointFiles
    from nishimori.chains.writers import PointWriter

    Measure = Callable[[range, Progress], Mapping[str, Measured]]
    """Measures these instances of a point."""


def require_blocks(config: Any) -> None:
    """Raises BadInput for more blocks than instances."""
    blocks, instances = config.run.blocks, config.run.instances
    if blocks > instances:
        raise BadInput(f"run.blocks = {blocks} does not divide run.instances = {instances}; use 1 to {instances}")


def measured_block(
    config: Any, writer: "PointWriter", number: int, measure: "Measure", together: bool
) -> dict[str, Measured]:
    """What the instances of a block give: read from its files as far as they were kept, else measured, all `together`
    or one after the other, and kept.

    Raises DirectoryBusy where another process measures the block.
    """
    from nishimori.chains.checkpoint_files import CheckpointFiles

    blocks, run = config.run.blocks, config.run
    instances = range(run.instances)[list(even(run.instances, blocks))[number]]
    place = places_of(writer.directory, blocks)[number]
    report = within(writer.progress, f"block {number + 1} of {blocks}") if blocks > 1 else writer.progress
    work = f"{config.system.kind} {identity(config)}, instances {instances.start} to {instances.stop - 1}"
    with _held(place, report, blocks) as progress:
        files = CheckpointFiles(place / INSTANCES, run.segment_seconds, writer.tell)
        try:
            stored = files.begin(work)
            parts: list[Mapping[str, Measured]] = [measured_of(stored.arrays)] if stored else []
            _measure_rest(parts, instances, lambda some: measure(some, progress), together, files, progress)
        finally:
            files.close()
    return joined(parts)


@contextmanager
def _held(place: Path, report: Progress, blocks: int) -> Iterator[Progress]:
    """The only block of a point is held with it."""
    from nishimori.chains.files import exclusive

    if blocks == 1:
        yield report
        return
    with exclusive(place) as lock:
        yield lock.beating(report)


def _measure_rest(
    parts: list[Mapping[str, Measured]],
    instances: range,
    measure: "Callable[[range], Mapping[str, Measured]]",
    together: bool,
    files: "CheckpointFiles",
    progress: Progress,
) -> None:
    """Added to `parts`, and kept whenever that is due, on request to stop and at the end."""
    done = kept = sum(map(count_of, parts))

    def keep() -> None:
        nonlocal kept
        if done > kept:
            files.keep(arrays_of(joined(parts)), "", Stage("instances", done, len(instances)))
            kept = done

    try:
        while done < len(instances):
            some = instances[done:] if together else instances[done : done + 1]
            parts.append(_checked(measure(some), some))
            done += len(some)
            if not together:
                progress("instances", done, len(instances), math.nan)
            if files.due():
                keep()
    except Stopped:
        keep()
        raise
    keep()


def _checked(measured: Mapping[str, Measured], instances: Sequence[int]) -> Mapping[str, Measured]:
    if not measured or count_of(measured) != len(instances):
        given = count_of(measured) if measured else "none"
        raise ValueError(f"{len(instances)} instances were to be measured and {given} were; measure those asked for")
    return measured
