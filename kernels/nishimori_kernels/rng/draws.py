"""The public draws: standard normals, uniforms and raw bits by address.

Numba on the CPU and torch operations on any other device, with the same bits.
"""

from collections.abc import Iterable
from math import prod
from typing import Literal

import numpy as np
import torch

from nishimori_kernels.dispatch import on_gpu
from nishimori_kernels.rng import torch_ops
from nishimori_kernels.rng.address import Address, address_of, check_elements

Ids = Iterable[int] | np.ndarray | torch.Tensor
Implementation = Literal["numba", "torch"]


def fill_normals(
    out: torch.Tensor,
    key: int,
    stream: int,
    step: int,
    instances: Ids,
    chains: Ids,
    first_element: int = 0,
    *,
    implementation: Implementation | None = None,
) -> torch.Tensor:
    """Fill ``out`` [instances, chains, ...] with standard normals and return it.

    Row (i, c) is the row of the ids (instances[i], chains[c]); its trailing axes, flattened row-major, are
    the elements first_element, first_element + 1, ... of that row's address. ``out`` is contiguous, float32
    or float64; float64 holds the float32 values exactly. Values lie within +-6.66 and differ from the
    float64 definition z of ``reference.normals`` by less than 4e-7 |z|.

    ``implementation`` None means "numba" on the CPU and "torch" on any other device.

    Raises ``ValueError`` for an id, step, stream or element out of range, an ``out`` of another shape, dtype
    or layout, and "numba" off the CPU.
    """
    address = _address(key, stream, step, instances, chains)
    _check_out(out, address)
    first, count = check_elements(first_element, prod(out.shape[2:]))
    rows = out.detach().view(*out.shape[:2], count)
    if _implementation(implementation, out.device) == "torch":
        torch_ops.fill_normals(rows, address, first)
        return out

    from nishimori_kernels.rng import cpu

    cpu.fill_normals(rows.numpy(), address, first)
    return out


def uniforms(
    key: int,
    stream: int,
    step: int,
    instances: Ids,
    chains: Ids,
    element: int = 0,
    device: torch.device | str = "cpu",
    *,
    implementation: Implementation | None = None,
) -> torch.Tensor:
    """Return one uniform of the open interval (0, 1) a row, float64 [instances, chains].

    It is (x + 1/2) / 2**32, exactly, for the 32-bit output x of that element. Arguments and errors as in
    ``fill_normals``.
    """
    words = bits(key, stream, step, instances, chains, 1, element, device, implementation=implementation)
    return _uniforms(words)


def _uniforms(words: torch.Tensor) -> torch.Tensor:
    return (words[:, :, 0].to(torch.float64) + 0.5) * 2.0**-32


def uniforms_at(
    address: Address,
    device: torch.device | str = "cpu",
    *,
    implementation: Implementation | Literal["triton"] | None = None,
) -> torch.Tensor:
    """Return ``uniforms`` of element 0 at an address that is checked already; None means "triton" on CUDA."""
    shape, device = (len(address.tags), len(address.chains)), torch.device(device)
    if implementation == "triton" or (implementation is None and on_gpu(device)):
        from nishimori_kernels.rng import gpu

        return gpu.uniforms(address, device)
    if _implementation(implementation, device) == "torch":
        words = torch.empty((*shape, 1), dtype=torch.int64, device=device)
        torch_ops.fill_bits(words, address, 0)
        return _uniforms(words)

    from nishimori_kernels.rng import cpu

    out = np.empty(shape)
    cpu.fill_uniforms(out, address, 0)
    return torch.from_numpy(out)


def bits(
    key: int,
    stream: int,
    step: int,
    instances: Ids,
    chains: Ids,
    count: int,
    first_element: int = 0,
    device: torch.device | str = "cpu",
    *,
    implementation: Implementation | None = None,
) -> torch.Tensor:
    """Return ``count`` 32-bit outputs of each row as int64 [instances, chains, count].

    The values are integers in [0, 2**32), elements first_element, first_element + 1, ... of the row.
    Arguments and errors as in ``fill_normals``.
    """
    address = _address(key, stream, step, instances, chains)
    first, count = check_elements(first_element, count)
    shape = (len(address.tags), len(address.chains), count)
    out = torch.empty(shape, dtype=torch.int64, device=device)
    if _implementation(implementation, out.device) == "torch":
        torch_ops.fill_bits(out, address, first)
        return out

    from nishimori_kernels.rng import cpu

    cpu.fill_bits(out.numpy(), address, first)
    return out


def _address(key: int, stream: int, step: int, instances: Ids, chains: Ids) -> Address:
    return address_of(key, stream, step, _plain(instances), _plain(chains))


def _plain(ids: Ids) -> Iterable[int]:
    return ids.cpu().numpy() if isinstance(ids, torch.Tensor) else ids


def _check_out(out: torch.Tensor, address: Address) -> None:
    shape = (len(address.tags), len(address.chains))
    if out.ndim < 2 or tuple(out.shape[:2]) != shape:
        raise ValueError(
            f"The output has shape {tuple(out.shape)} for {shape[0]} instances and {shape[1]} chains: "
            "make these its first two axes."
        )
    if out.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"Normals are not written as {out.dtype}: give a float32 or float64 output.")
    if not out.is_contiguous():
        raise ValueError("The output is not contiguous: fill a contiguous tensor and copy it.")


def _implementation(name: Implementation | None, device: torch.device) -> Implementation:
    if name is None:
        return "numba" if device.type == "cpu" else "torch"
    if name not in ("numba", "torch"):
        raise ValueError(f"There is no implementation {name!r}: give 'numba', 'torch' or None.")
    if name == "numba" and device.type != "cpu":
        raise ValueError(f"Numba does not write to a {device.type} tensor: give 'torch' or None.")
    return name
