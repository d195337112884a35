"""Gradients with products in Triton, each in one launch with the activation, the slope or the addition beside it."""

from collections.abc import Sequence

from torch import Tensor

from nishimori_kernels.energy.coarse import CoarseNetwork
from nishimori_kernels.energy.configs import configs_on
from nishimori_kernels.energy.gpu import TritonActivation
from nishimori_kernels.energy.products import Tiles, TritonProducts


class FusedNetwork(CoarseNetwork):
    """With these products, also in "bf16x3": float32 numbers, and products to 16 bits. `tiles` are those of the table
    for the device of `inputs`, where nothing is said."""

    def __init__(
        self,
        inputs: Tensor,
        widths: Sequence[int],
        kernel: TritonActivation,
        chains: int,
        precision: str,
        tiles: Tiles | None = None,
    ) -> None:
        products = TritonProducts(kernel, precision, tiles or configs_on(inputs.device))
        super().__init__(inputs, widths, kernel, chains, precision, products)
