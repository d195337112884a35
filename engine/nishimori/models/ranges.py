"""Named ranges on a GPU's time line, which profilers show (NVTX)."""

from contextlib import AbstractContextManager, nullcontext

import torch

_NOTHING = nullcontext()


def named_range(name: str, device: torch.device) -> AbstractContextManager[object]:
    """A range called `name` while it is open, on CUDA; elsewhere nothing.

    Not for code that a CUDA graph records: it would open once, at the recording, and at no replay.
    """
    return torch.cuda.nvtx.range(name) if device.type == "cuda" else _NOTHING
