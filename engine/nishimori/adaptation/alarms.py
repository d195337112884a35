"""What calibration says when something looks wrong; a sentence each, kept in the record and failing the verdict."""

from collections.abc import Sequence

import torch
from torch import Tensor

from nishimori.description.errors import BadInput
from nishimori.samplers.base import State

SMALLEST_STEP_SIZE = 1e-7


def require_finite_start(state: State, instances: Sequence[int]) -> None:
    """BadInput, with the chain, where the density or its gradient is not finite at a start."""
    blocks = () if state.gradient is None else state.gradient.blocks
    found = [("log density", torch.isfinite(state.energy))]
    found += [("gradient", block.flatten(2).isfinite().all(-1)) for block in blocks]
    for what, finite in found:
        bad = torch.nonzero(~finite)
        if len(bad):
            instance, chain = (int(place) for place in bad[0])
            raise BadInput(
                f"the {what} is not finite at the start of chain {chain} of instance {instances[instance]}; "
                "start elsewhere (initial=...), or correct the density"
            )


def alarms_of(step_size: Tensor, accepted: Tensor | None, instances: Sequence[int]) -> list[str]:
    """Collapsed step sizes, and chains that accepted nothing while the step size was adapted."""
    found = [
        f"the step size of instance {instance} collapsed to {size:.1e}; check that the gradient is that of the density"
        for instance, size in zip(instances, step_size.tolist(), strict=True)
        if not size > SMALLEST_STEP_SIZE
    ]
    stuck = torch.nonzero(~accepted) if accepted is not None else []
    if len(stuck):
        instance, chain = (int(place) for place in stuck[0])
        found.append(
            f"{len(stuck)} calibration chain(s) accepted nothing, first chain {chain} of instance "
            f"{instances[instance]}; start closer to the bulk of the density"
        )
    return found
