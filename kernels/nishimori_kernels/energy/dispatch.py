"""Which implementation runs, by device and number format: of an activation, of a network, and of a force with a
precision of its own. What is asked for and is not there is refused."""

from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor

from nishimori_kernels.dispatch import interpreted, on_gpu
from nishimori_kernels.energy.activations import TORCH_ACTIVATIONS, ActivationKernel, Kernels, TorchActivation, by_layer
from nishimori_kernels.energy.blocked import BLOCK_BYTES, BlockedNetwork, Slope
from nishimori_kernels.energy.variances import PLAIN, Variances

Implementation = Literal["auto", "numba", "triton", "torch", "emulated"]
IMPLEMENTATIONS = ("auto", "numba", "triton", "torch", "emulated")
FORCES = ("bf16", "fp16", "tf32", "bf16x3")
"""Precisions of a force's products alone, for float32 weights."""
_LEAST_SHARE = 0.8
"""Of the threads' time that must be work where each takes whole chains,"""
_SMALL = 2e7
"""unless a chain's gradient has fewer floating-point operations: waking the other threads then takes longer."""


class Network(Protocol):
    """Latent outputs, and gradients of a squared misfit and of any other energy in them; see `BlockedNetwork`."""

    def forward(self, weights: Tensor) -> Tensor: ...

    def misfit_gradient(self, weights: Tensor, labels: Tensor, noise_variance: float, out: Tensor) -> Tensor: ...

    def slope_gradient(self, weights: Tensor, labels: Tensor, slope: Slope, out: Tensor) -> Tensor: ...


class Force(Protocol):
    """Gradients of a squared misfit alone."""

    def misfit_gradient(self, weights: Tensor, labels: Tensor, noise_variance: float, out: Tensor) -> Tensor: ...


@runtime_checkable
class MovingForce(Force, Protocol):
    """A force that moves weights and momenta itself, by `leapfrog.advance_`, where it has the gradient: once `load` has
    taken the weights, and as long as nothing but `advance` is asked of it and moves them."""

    def load(self, weights: Tensor) -> None: ...

    def advance(
        self, weights: Tensor, momentum: Tensor, labels: Tensor, noise_variance: float, coefficients: Tensor
    ) -> None: ...


def activation_kernel(
    name: str, device: torch.device, dtype: torch.dtype, implementation: Implementation = "auto"
) -> ActivationKernel:
    """The kernel of a named activation. "auto" takes the compiled one where there is one for this device and dtype.

    Raises ValueError for "numba" and "triton" where there is none, and for an implementation that is not known.
    """
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(f"implementation {implementation!r} is not known; use one of {', '.join(IMPLEMENTATIONS)}")
    compiled = _compiled(name, device, dtype, implementation) if implementation != "torch" else None
    if compiled is None and implementation in ("numba", "triton"):
        raise ValueError(f"activation {name!r} has no {implementation} kernel for {dtype} on {device.type}; use torch")
    return compiled or TORCH_ACTIVATIONS[name]


def _compiled(
    name: str, device: torch.device, dtype: torch.dtype, implementation: Implementation
) -> ActivationKernel | None:
    if dtype != torch.float32:
        return None
    if implementation != "numba" and on_gpu(device):
        from nishimori_kernels.energy.gpu import TRITON_ACTIVATIONS

        return TRITON_ACTIVATIONS.get(name)
    if implementation != "triton" and device.type == "cpu":
        from nishimori_kernels.energy.cpu import COMPILED_ACTIVATIONS

        return COMPILED_ACTIVATIONS.get(name)
    return None


def network_of(
    inputs: Tensor,
    widths: Sequence[int],
    kernels: Kernels,
    chains: int,
    variances: Variances = PLAIN,
    rows_in_all: int | None = None,
) -> Network:
    """Chain by chain where the activation is compiled and the chains are small or keep all threads at work, else in
    blocks; networks with biases, or with activations that differ by layer, in blocks.

    The two round differently. Where these chains are some of a run, `rows_in_all` chains of all its instances together,
    the choice is that of the whole run.
    """
    rows = len(inputs) * chains if rows_in_all is None else rows_in_all
    kernel = _only(kernels, len(widths))
    if (
        kernel is not None
        and not variances.bias
        and _is_numba(kernel, inputs.device)
        and (_work(inputs, widths) < _SMALL or _share(rows) >= _LEAST_SHARE)
    ):
        from nishimori_kernels.energy.chainwise import ChainwiseNetwork

        return ChainwiseNetwork(inputs, widths, kernel, chains, variances)  # pyright: ignore[reportArgumentType]
    size = None if on_gpu(inputs.device) else BLOCK_BYTES * torch.get_num_threads()
    return BlockedNetwork(inputs, widths, kernels, chains, size, variances)


def _only(kernels: Kernels, depth: int) -> ActivationKernel | None:
    """That of all hidden layers, None where they differ."""
    if not isinstance(kernels, Sequence):
        return kernels
    each = by_layer(kernels, depth)
    return each[0] if each and all(kernel is each[0] for kernel in each) else None


def _is_compiled(kernel: ActivationKernel) -> bool:
    return not isinstance(kernel, TorchActivation)


def _is_numba(kernel: ActivationKernel, device: torch.device) -> bool:
    if device.type != "cpu" or not _is_compiled(kernel):
        return False
    from nishimori_kernels.energy.cpu import CompiledActivation

    return isinstance(kernel, CompiledActivation)


def _work(inputs: Tensor, widths: Sequence[int]) -> int:
    """Of the products of a chain's gradient, at most."""
    _, samples, input_dim = inputs.shape
    return 6 * samples * sum(rows * columns for rows, columns in zip(widths, (input_dim, *widths), strict=False))


def _share(rows: int) -> float:
    """Of the threads' time, what is work when they take `rows` chains in turns."""
    threads = torch.get_num_threads()
    return rows / (threads * -(-rows // threads))


def available_forces(kernel: ActivationKernel, device: torch.device) -> tuple[str, ...]:
    """The precisions of `FORCES` that this device has instructions for, with this activation."""
    if _is_numba(kernel, device):
        return ("bf16",) if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() else ()
    if interpreted():
        return ("fp16", "tf32", "bf16x3") if _is_compiled(kernel) else ()
    units = device.type == "cuda" and _is_compiled(kernel) and torch.cuda.get_device_capability(device) >= (8, 0)
    return FORCES if units else ()


def require_force(precision: str, kernel: ActivationKernel, device: torch.device, name: str) -> None:
    """ValueError, with a sentence, where a force of this precision does not run."""
    available = available_forces(kernel, device)
    if precision not in available:
        others = f"of {', '.join(FORCES)} {', '.join(available) or 'none'} runs"
        raise ValueError(
            f"precision {precision!r} cannot be had for activation {name!r} on this {device.type}: {others} there; use "
            'fp32, or implementation "emulated" to see what the rounding does'
        )


def force_of(
    precision: str, inputs: Tensor, widths: Sequence[int], kernel: ActivationKernel, name: str, chains: int
) -> Force:
    """The force of `require_force`."""
    require_force(precision, kernel, inputs.device, name)
    if on_gpu(inputs.device):
        network = _cuda_force(precision, inputs, widths)
        return network(inputs, widths, kernel, chains, precision)  # pyright: ignore[reportArgumentType]
    from nishimori_kernels.energy.bfloat16 import Bfloat16Network

    return Bfloat16Network(inputs, widths, kernel, chains)  # pyright: ignore[reportArgumentType]


def _cuda_force(precision: str, inputs: Tensor, widths: Sequence[int]) -> type:
    """Small networks in one launch; of others, by the products that the table of configurations names for this GPU."""
    from nishimori_kernels.energy.coarse import CoarseNetwork
    from nishimori_kernels.energy.configs import configs_on
    from nishimori_kernels.energy.fused import FusedNetwork
    from nishimori_kernels.energy.small import SmallNetwork, is_small

    samples, input_dim = inputs.shape[1:]
    if is_small(input_dim, widths, precision):
        return SmallNetwork
    if not inputs.is_cuda:  # interpreted: cuBLAS is not there
        return FusedNetwork
    products = configs_on(inputs.device).products(precision, samples, input_dim, *widths)
    return FusedNetwork if products == "triton" else CoarseNetwork


def emulated_force_of(precision: str, inputs: Tensor, widths: Sequence[int], name: str, chains: int) -> Force:
    """A force with the rounding of `precision`, anywhere; ValueError for an activation of one's own."""
    from nishimori_kernels.energy.emulated import EmulatedNetwork

    if name not in TORCH_ACTIVATIONS:
        raise ValueError(f"activation {name!r} is your own: a force is emulated for named activations alone")
    return EmulatedNetwork(inputs, widths, name, chains, precision)
