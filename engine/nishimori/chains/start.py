"""Which chains there are, where each starts, and which of them are independent of one another."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from nishimori.models.layout import Position
from nishimori.models.target import Target

STARTS = ("teacher", "prior", "both")


@dataclass(frozen=True)
class ChainPlan:
    """The chains of every instance: their identities and their starts, in order; of the `in_all` that there are."""

    chains: tuple[int, ...]
    starts: tuple[str, ...]
    in_all: int

    @classmethod
    def of(cls, chains: int, start: str, only: Sequence[int] | None = None) -> "ChainPlan":
        """`chains` per start; with "both", 0 ... chains-1 start at the teacher and the next ones from the prior.

        `only` keeps the chains of these identities. Raises ValueError for an unknown start or chain.
        """
        if start not in STARTS:
            raise ValueError(f"start must be one of {', '.join(STARTS)}, got {start!r}")
        if chains < 1:
            raise ValueError(f"chains must be at least 1, got {chains}; ask for one or more")
        kinds = ["teacher"] * chains + ["prior"] * chains if start == "both" else [start] * chains
        wanted = tuple(range(len(kinds))) if only is None else tuple(only)
        if not wanted or len(set(wanted)) < len(wanted):
            raise ValueError(f"chains {list(wanted)} are none, or name one twice; give each chain once")
        for chain in wanted:
            if not 0 <= chain < len(kinds):
                raise ValueError(f"there is no chain {chain}; chains are 0 to {len(kinds) - 1}")
        return cls(wanted, tuple(kinds[chain] for chain in wanted), len(kinds))

    def at(self, places: Sequence[int]) -> "ChainPlan":
        """The chains at these places alone."""
        return replace(
            self,
            chains=tuple(self.chains[place] for place in places),
            starts=tuple(self.starts[place] for place in places),
        )

    def where(self, start: str) -> list[int]:
        """Places along the chain axis of the chains with this start."""
        return [place for place, kind in enumerate(self.starts) if kind == start]

    def independent_pairs(self) -> list[tuple[int, int]]:
        """All pairs of places whose chains are independent given the data: never two from the same teacher."""
        places = combinations(range(len(self.chains)), 2)
        return [(a, b) for a, b in places if "prior" in (self.starts[a], self.starts[b])]

    def disjoint_pairs(self) -> list[tuple[int, int]]:
        """Independent pairs that share no chain: a teacher start with a prior start, left-over prior starts
        together."""
        teachers, priors = self.where("teacher"), self.where("prior")
        mixed = list(zip(teachers, priors, strict=False))
        rest = priors[len(mixed) :]
        return mixed + list(zip(rest[::2], rest[1::2], strict=False))


def initial_position(target: Target, plan: ChainPlan, seed: int, point: str) -> Position:
    """Every chain at its start, in the order of the plan."""
    position = target.layout(len(plan.chains)).empty(target.dtype, target.device)
    for start in sorted(set(plan.starts)):
        places = plan.where(start)
        identities = tuple(plan.chains[place] for place in places)
        part = target.initial_position(identities, start, seed, point)
        for block, values in zip(position.blocks, part.blocks, strict=True):
            block[:, places] = values
    return position
