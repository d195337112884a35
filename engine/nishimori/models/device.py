"""Which device and which number format a name means. Nothing falls back silently."""

import torch

from nishimori_kernels.cache import keep_compiled_kernels_here
from nishimori_kernels.dispatch import interpreted
from nishimori_kernels.energy.dispatch import FORCES
from nishimori_kernels.memory import keep_freed_memory

PRECISIONS = {"fp32": torch.float32, "fp64": torch.float64}


def resolve_precision(precision: str) -> torch.dtype:
    """Of positions, forces and products alike. ValueError with the known names for any other."""
    if precision in FORCES or precision == "auto":
        raise ValueError(
            f"precision {precision!r} is for the force of a Posterior alone; use one of {', '.join(PRECISIONS)}"
        )
    if precision not in PRECISIONS:
        raise ValueError(f"precision {precision!r} is not known; use one of {', '.join(PRECISIONS)}")
    return PRECISIONS[precision]


def position_dtype(precision: str) -> torch.dtype:
    """That of positions where the force may have a precision of its own, or "auto"; ValueError for an unknown one."""
    known = (*PRECISIONS, *FORCES, "auto")
    if precision not in known:
        raise ValueError(f"precision {precision!r} is not known; use one of {', '.join(known)}")
    return PRECISIONS.get(precision, torch.float32)


def resolve_device(device: str) -> torch.device:
    """ "auto" is CUDA where torch sees a GPU, else the CPU; ValueError for a device that is not there.

    On the CPU, memory that is freed is kept from then on (see `keep_freed_memory`); on CUDA, kernels are kept on the
    node that compiled them (see `keep_compiled_kernels_here`). With TRITON_INTERPRET=1 in the
    environment the CPU stands for a GPU: Triton's kernels are interpreted there, slowly.
    """
    available = torch.cuda.is_available() and not interpreted()
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f'device {device!r} is not known; use "auto", "cpu" or "cuda"')
    if device == "cuda" and not available and not interpreted():
        raise ValueError('device "cuda" was asked for and torch sees no GPU; use device "cpu" or "auto"')
    if device == "cpu" or not available:
        keep_freed_memory()
        return torch.device("cpu")
    keep_compiled_kernels_here()
    return torch.device("cuda")
