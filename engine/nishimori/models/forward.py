"""Forward passes of a described network: its activations' kernels and its prior variances, given to the kernels."""

import torch
from torch import Tensor

from nishimori.description import Network
from nishimori.models.activation_kernel import activation_kernel, require_samplable
from nishimori.models.layout import Position
from nishimori_kernels.energy import dispatch
from nishimori_kernels.energy.activations import Kernels
from nishimori_kernels.energy.batched import BatchedNetwork
from nishimori_kernels.energy.variances import Variances


def kernels_of(
    network: Network, device: torch.device, dtype: torch.dtype, implementation: dispatch.Implementation = "auto"
) -> Kernels:
    """Of all hidden layers, or of each where they differ; raises what `activation_kernel` does."""
    if isinstance(network.activation, tuple):
        each = {one: activation_kernel(one, device, dtype, implementation) for one in network.activation}
        return [each[one] for one in network.activation]
    return activation_kernel(network.activation, device, dtype, implementation)


def variances_of(network: Network) -> Variances:
    """What its weights and biases are scaled to."""
    return Variances(None if network.weight_variance == 1 else network.weight_variances, network.bias_variance)


def batched_network(network: Network, rows: Tensor, chains: int, kernels: Kernels | None = None) -> BatchedNetwork:
    """All chains at once on `rows` [instances, rows, input_dim], by `kernels` or those of the rows' device and
    dtype."""
    chosen = kernels_of(network, rows.device, rows.dtype) if kernels is None else kernels
    return BatchedNetwork(rows, network.widths, chosen, chains, variances=variances_of(network))


def require_samplable_network(network: Network) -> None:
    """ValueError, with a sentence, unless a sampler may use every activation (see `require_samplable`)."""
    for one in network.activation if isinstance(network.activation, tuple) else (network.activation,):
        require_samplable(one)


def require_plain_force(precision: str, network: Network) -> None:
    """ValueError, with a sentence, where a force has a precision of its own and the network is not plain."""
    if precision in dispatch.FORCES and not network.plain:
        raise ValueError(
            f"precision {precision!r} is of forces of networks with one activation, no biases and weights of unit "
            "variance alone; use fp32 or fp64 with this network"
        )


def weights_of(network: Network, position: Position) -> tuple[Tensor, ...]:
    """W_1, ..., W_L and, where it is sampled, the readout: the blocks of a position without those of biases."""
    return position.blocks[: len(network.weight_names)]
