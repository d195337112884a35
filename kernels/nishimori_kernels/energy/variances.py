"""Prior variances of weights and biases: what the standard normal numbers of a position are scaled to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Variances:
    """`weights` are (s_1, ..., s_L, s_a), of W_1, ..., W_L and of the readout, None where all are 1; `bias` is that of
    every bias, 0 where there are none.

    A pre-activation is sqrt(s_l / d_{l-1}) W_l h_{l-1} + sqrt(bias) b_l, all of W_l and b_l standard normal under the
    prior, and the output the same with the readout. Where there are biases, the last L + 1 blocks are b_1, ..., b_L and
    b, shaped [instances, chains, d_l] and [instances, chains, 1].
    """

    weights: tuple[float, ...] | None = None
    bias: float = 0.0

    @property
    def plain(self) -> bool:
        """Whether nothing is scaled and there are no biases."""
        return self.weights is None and not self.bias

    @property
    def bias_scale(self) -> float:
        """sqrt(bias): what a bias is multiplied by."""
        return math.sqrt(self.bias)

    def gains(self, depth: int) -> tuple[float, ...]:
        """sqrt(s_1), ..., sqrt(s_L), sqrt(s_a); ValueError for another number of them."""
        weights = (1.0,) * (depth + 1) if self.weights is None else self.weights
        if len(weights) != depth + 1:
            raise ValueError(f"{len(weights)} weight variances for {depth} hidden layers; give {depth + 1}")
        return tuple(math.sqrt(variance) for variance in weights)

    def biases(self, blocks: Sequence[Tensor], depth: int) -> Sequence[Tensor]:
        """b_1, ..., b_L, b among all blocks; none where there are no biases."""
        return blocks[len(blocks) - depth - 1 :] if self.bias else ()

    def weights_of(self, blocks: Sequence[Tensor], depth: int) -> Sequence[Tensor]:
        """W_1, ..., W_L and, where it is sampled, the readout, among all blocks."""
        return blocks[: len(blocks) - depth - 1] if self.bias else blocks


PLAIN = Variances()
