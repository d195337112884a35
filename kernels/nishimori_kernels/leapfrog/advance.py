"""A kick by the gradient of the likelihood, and what follows it, as one linear map of a position and its momentum.

    p <- p - kick * g - prior_kick * q,  then  (q, p) <- (stay * q + mix * p, stay * p - turn * q)

is a kick by U and a straight drift with prior_kick = kick, (stay, mix, turn) = (1, drift, 0), and a kick by the
likelihood alone and the exact flow of a Gaussian prior with prior_kick = 0 and (cos, sin, sin) of an angle. Forces on a
GPU apply it where they have the gradient.
"""

import torch
from torch import Tensor

from nishimori_kernels.blocks import Blocks, Buffer
from nishimori_kernels.dispatch import on_gpu
from nishimori_kernels.leapfrog import reference


def coefficients_of(
    blocks: Blocks, kick: Tensor, prior_kick: Tensor, stay: Tensor, mix: Tensor, turn: Tensor
) -> Tensor:
    """[5, blocks, instances, chains], contiguous, float64, of five factors of any shape that `Blocks.spread` takes."""
    shape = len(blocks.sizes), blocks.instances, blocks.chains
    factors = kick, prior_kick, stay, mix, turn
    return torch.stack([blocks.spread(factor).to(torch.float64).expand(shape) for factor in factors])


def advance_(
    position: Buffer,
    momentum: Buffer,
    gradient: Tensor,
    coefficients: Tensor,
    gradient_scale: float = 1.0,
    rounded: Tensor | None = None,
) -> None:
    """The map of the module, in place, with g = gradient_scale * gradient: by Triton on a GPU, by torch elsewhere.

    `gradient` is laid out like the position, in float32, bfloat16 or float16; `coefficients` as `coefficients_of` has
    them. The new position is written to `rounded` too, where given, in its format.
    """
    if on_gpu(position.flat.device):
        from nishimori_kernels.leapfrog import gpu

        return gpu.advance_(position, momentum, gradient, coefficients, gradient_scale, rounded)
    reference.advance_(position, momentum, gradient, coefficients, gradient_scale)
    if rounded is not None:
        rounded.copy_(position.flat)
