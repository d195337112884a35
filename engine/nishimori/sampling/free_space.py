"""What is free on this machine."""

import os
import shutil
from pathlib import Path

import torch

MEMINFO = Path("/proc/meminfo")


def free_host_memory() -> int:
    """Bytes that new work can have without swapping; all there are where the system does not say."""
    try:
        lines = MEMINFO.read_text(encoding="ascii").splitlines()
        (available,) = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
        return int(available) * 1024
    except (OSError, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


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
