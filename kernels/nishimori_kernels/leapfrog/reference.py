"""The definition: kick, drift and rotation, block by block."""

import torch
from torch import Tensor

from nishimori_kernels.blocks import Buffer


def add_scaled_(buffer: Buffer, direction: Buffer, factor: Tensor) -> None:
    """buffer += factor * direction; `factor` as `Blocks.spread` takes it, rounded to the buffer's format."""
    for values, step, own in zip(buffer.parts, direction.parts, _by_block(factor, buffer), strict=True):
        values += own * step


def rotate_(position: Buffer, momentum: Buffer, angle: Tensor) -> None:
    """(q, p) <- (cos(angle) q + sin(angle) p, cos(angle) p - sin(angle) q), cosine and sine rounded likewise."""
    cosines, sines = _by_block(torch.cos(angle), position), _by_block(torch.sin(angle), position)
    for q, p, c, s in zip(position.parts, momentum.parts, cosines, sines, strict=True):
        rotated = c * q + s * p
        p.copy_(c * p - s * q)
        q.copy_(rotated)


def kick_drift_(position: Buffer, momentum: Buffer, gradient: Buffer, kick: Tensor, drift: Tensor) -> None:
    """A kick by the gradient and a drift."""
    add_scaled_(momentum, gradient, -kick)
    add_scaled_(position, momentum, drift)


def kick_rotate_(position: Buffer, momentum: Buffer, gradient: Buffer, kick: Tensor, angle: Tensor) -> None:
    """A kick by the gradient less the position, and a rotation."""
    add_scaled_(momentum, gradient, -kick)
    add_scaled_(momentum, position, kick)
    rotate_(position, momentum, angle)


def advance_(
    position: Buffer, momentum: Buffer, gradient: Tensor, coefficients: Tensor, gradient_scale: float = 1.0
) -> None:
    """The map of `advance.py`; `gradient` in any format, `coefficients` rounded to the buffers'."""
    wide = coefficients.to(position.flat.dtype).unsqueeze(-1)
    slopes = Buffer(gradient_scale * gradient.to(position.flat.dtype), position.blocks).parts
    for block, (q, p, g) in enumerate(zip(position.parts, momentum.parts, slopes, strict=True)):
        kick, prior_kick, stay, mix, turn = wide[:, block]
        kicked = p - kick * g - prior_kick * q
        p.copy_(stay * kicked - turn * q)
        q.copy_(stay * q + mix * kicked)


def _by_block(values: Tensor, buffer: Buffer) -> Tensor:
    wide = buffer.blocks.spread(values).to(buffer.flat.dtype).unsqueeze(-1)
    return wide.expand(len(buffer.blocks.sizes), *wide.shape[1:])
