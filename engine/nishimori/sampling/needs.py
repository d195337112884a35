"""What a run needs in bytes, what of it fits, and the sentence where it does not."""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace

from nishimori.chains.loop import Schedule
from nishimori.description.errors import BadInput
from nishimori.description.units import sized
from nishimori.models.footprint import Footprint
from nishimori.sampling.byte_counts import Leaves


@dataclass(frozen=True)
class Counts:
    """`chains` an instance and start, as a user gives them, and the rest of what can be asked for less of; sampled in
    so many `blocks` (see `description.blocks`)."""

    chains: int
    instances: int
    schedule: Schedule
    blocks: int = 1

    @property
    def largest_block(self) -> tuple[int, int]:
        """Its instances, and chains an instance and start."""
        by_instance = min(self.blocks, self.instances)
        return -(-self.instances // by_instance), -(-self.chains // (self.blocks // by_instance))

    @property
    def measured(self) -> int:
        """Transitions after warm-up."""
        return self.schedule.draws * self.schedule.thin

    def thinned(self, thin: int) -> "Counts":
        """Draws so many transitions apart, of no more transitions."""
        return replace(self, schedule=Schedule(self.schedule.warmup, self.measured // thin, thin))


@dataclass(frozen=True)
class Needs:
    """Bytes by counts. `footprint` and `leaves` are of one instance, the latter of `asked` chains; `copies` are the
    starts and replicas of a chain, and `calibrating` the chains of an instance that are calibrated with, all instances
    together. `block_counts` are the numbers of blocks that could be asked for, and `information` what the files of its
    measurement take for one instance. On the CPU, where few chains at a time pass through the layers, only data and
    vectors are counted, and they lie beside the record."""

    footprint: Footprint
    leaves: Leaves
    asked: Counts
    copies: int
    calibrating: int
    block_counts: tuple[int, ...]
    on_gpu: bool
    information: int = 0

    def on_device(self, counts: Counts) -> int:
        """Of the sampler's states and what a batch of all chains needs; of the GPU, or of the host."""
        known = self.footprint if self.on_gpu else replace(self.footprint, activations=0)
        instances, chains = counts.largest_block
        together = instances * known.of(self.copies * chains)
        return together if counts.blocks == 1 else max(together, counts.instances * known.of(self.calibrating))

    def record(self, counts: Counts) -> int:
        """Of what is recorded, on the host."""
        return self._leaves(counts).in_memory(counts.instances, counts.schedule)

    def on_host(self, counts: Counts) -> int:
        return self.record(counts) + (0 if self.on_gpu else self.on_device(counts))

    def on_disk(self, counts: Counts, segments: int) -> dict[str, int]:
        """With so many `segments` a block."""
        found = self._leaves(counts).on_disk(counts.instances, counts.schedule, segments)
        information = counts.instances * self.information
        return {**found, "containers": counts.blocks * found["containers"], "information": information}

    def _leaves(self, counts: Counts) -> Leaves:
        return self.leaves.scaled(counts.chains / self.asked.chains)

    def require(self, need: Callable[[Counts], int], free: int, where: str) -> None:
        """BadInput where `need` of what is asked for exceeds `free` bytes `where`, with what would fit."""
        asked = self.asked
        if need(asked) <= free:
            return
        raise BadInput(
            f"sampler.chains = {asked.chains}, data.instances = {asked.instances} and run.draws = "
            f"{asked.schedule.draws} need about {sized(need(asked))} {where} and {sized(free)} are free; "
            f"{self._advice(need, free)}"
        )

    def _advice(self, need: Callable[[Counts], int], free: int) -> str:
        """Each count by itself; fewer draws of as many transitions where that is enough."""
        asked, schedule = self.asked, self.asked.schedule

        def fits(changed: Counts) -> bool:
            return need(changed) <= free

        chains = largest(lambda count: fits(replace(asked, chains=count)), asked.chains - 1)
        instances = largest(lambda count: fits(replace(asked, instances=count)), asked.instances - 1)
        draws = largest(lambda count: fits(replace(asked, schedule=replace(schedule, draws=count))), schedule.draws - 1)
        thin = 1 + largest(lambda thin: not fits(asked.thinned(thin)), asked.measured)
        blocks = next((count for count in self.block_counts if fits(replace(asked, blocks=count))), 0)
        counts = {"run.blocks": blocks, "sampler.chains": chains, "data.instances": instances}
        said = [f"{key} = {count}" for key, count in counts.items() if count]
        if thin <= asked.measured:
            said.append(f"run.draws = {asked.thinned(thin).schedule.draws} and run.thin = {thin}")
        elif draws:
            said.append(f"run.draws = {draws}")
        return f"ask for {', or '.join(said)}" if said else "use a smaller network, or fewer samples"


def largest(holds: Callable[[int], bool], most: int) -> int:
    """The largest count up to `most` for which `holds`, where it holds for all below; 0 where not even for 1."""
    return bisect_left(range(1, most + 1), True, key=lambda count: not holds(count))
