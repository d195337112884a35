"""Gradients with products in Triton, each in one launch with the activation, the slope or the addition beside it."""

from collections.abc import Sequence

from torch import Tensor

from nishimori_kernels.energy.coarse import CoarseNetwork
from nishimori_kernels.energy.configs import configs_on
from nishimori_kernels.energy.gpu import TritonActivation
from nishimori_kernels.energy.products import Tiles, TritonProducts


class FusedNetwork:
    """The gradient of `CoarseNetwork`, also in "bf16x3": float32 numbers, and products to 16 bits. `tiles` are those of
    the table for the device of `inputs`, where nothing is said."""

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
        self._network = CoarseNetwork(inputs, widths, kernel, chains, precision, products)

    def misfit_gradient(self, weights: Tensor, labels: Tensor, noise_variance: float, out: Tensor) -> Tensor:
        """As in `BlockedNetwork`, but for rounding."""
        return self._network.misfit_gradient(weights, labels, noise_variance, out)
