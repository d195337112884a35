"""What is free on this machine."""

import os
import resource
import shutil
import sys
from pathlib import Path

import torch

MEMINFO, OWN_PAGES = Path("/proc/meminfo"), Path("/proc/self/statm")


def free_host_memory() -> int:
    """Bytes that new work can have without swapping, and that this process may have; all there are where the system
    does not say."""
    return min(_available(), _allowed())


def _available() -> int:
    try:
        lines = MEMINFO.read_text(encoding="ascii").splitlines()
        (available,) = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
        return int(available) * 1024
    except (OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _allowed() -> int:
    """What a limit on its addresses leaves this process (ulimit -v)."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    try:
        used = int(OWN_PAGES.read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        used = 0
    return sys.maxsize if limit == resource.RLIM_INFINITY else max(0, limit - used)


def free_device_memory(device: torch.device) -> int:
    """Of a GPU, with what this process holds and does not use; of the host for the CPU."""
    if device.type != "cuda":
        return free_host_memory()
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused


def free_disk(directory: Path) -> int:
    """Where `directory` is, or will be."""
    place = directory.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
