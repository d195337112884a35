"""What a run was made with."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = ("nishimori", "torch", "numpy", "numba", "scipy", "h5py", "arviz-stats")


def versions(device: str) -> dict[str, Any]:
    """Package versions, the device and its name, and the number of threads; on CUDA the table of kernel configurations
    too, as a hash."""
    import torch

    from nishimori.models.device import resolve_device
    from nishimori_kernels.dispatch import on_gpu

    found = resolve_device(device)
    kind = found.type
    name = torch.cuda.get_device_name() if kind == "cuda" else platform.processor() or platform.machine()
    return {
        "versions": {
            "python": platform.python_version(),
            **{package: _version(package) for package in PACKAGES},
        },
        "device": {"kind": kind, "name": name, "threads": torch.get_num_threads()},
        **(_kernel_configs() if on_gpu(found) else {}),
    }


def _kernel_configs() -> dict[str, str]:
    from nishimori_kernels.energy.configs import table_hash

    return {"kernel_configs": table_hash()}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
