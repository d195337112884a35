"""Symmetric splittings of Hamiltonian dynamics, H = U(position) + |momentum|^2 / 2.

A step is kick, drift, kick, ..., drift, kick with the fractions of a scheme; the last kick of a step and the first of
the next are done as one. Each map is volume-preserving and the composition reversible under a flip of the momentum
whatever deterministic force is used, so Metropolis with exact energies keeps the target invariant.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nishimori.models.layout import Position, add_scaled_, kick_drift_, kick_rotate_, rotate_
from nishimori_kernels.leapfrog.advance import coefficients_of


@dataclass(frozen=True)
class Splitting:
    """`kick_(momentum, position, gradient, time)` and `drift_(position, momentum, time)`, in place, and one after the
    other `kick_drift_(position, momentum, gradient, time of the kick, time of the drift)`. `coefficients(position,
    time of the kick, time of the drift)` are what a force needs that does both itself (`leapfrog.advance`).

    A step of size h kicks by kicks[0] h, drifts by drifts[0] h, kicks by kicks[1] h, ...; `kicks`, one longer than
    `drifts`, and `drifts` read the same from both ends and sum to 1. `order` is that of the energy error in h.
    Calibration goes no further than `largest_step_size`.
    """

    name: str
    kick_: Callable[[Position, Position, Position, Tensor], None]
    drift_: Callable[[Position, Position, Tensor], None]
    kick_drift_: Callable[[Position, Position, Position, Tensor, Tensor], None]
    coefficients: Callable[[Position, Tensor, Tensor], Tensor]
    kicks: tuple[float, ...]
    drifts: tuple[float, ...]
    order: int
    needs_gaussian_prior: bool = False
    largest_step_size: float = math.inf

    @property
    def gradients_per_step(self) -> int:
        return len(self.drifts)

    @property
    def joined_kick(self) -> float:
        """The last kick of a step and the first of the next."""
        return self.kicks[-1] + self.kicks[0]


def _kick_full_(momentum: Position, position: Position, gradient: Position, time: Tensor) -> None:
    del position
    add_scaled_(momentum, gradient, -time)


def _drift_straight_(position: Position, momentum: Position, time: Tensor) -> None:
    add_scaled_(position, momentum, time)


def _kick_likelihood_(momentum: Position, position: Position, gradient: Position, time: Tensor) -> None:
    """Kick by Phi = U - |position|^2 / 2 alone."""
    add_scaled_(momentum, gradient, -time)
    add_scaled_(momentum, position, time)


def _drift_rotation_(position: Position, momentum: Position, time: Tensor) -> None:
    """Exact flow of the Gaussian prior: a rotation of (position, momentum) by the angle `time`."""
    rotate_(position, momentum, time)


def _straight(position: Position, kick: Tensor, drift: Tensor) -> Tensor:
    one = torch.ones_like(kick)
    return coefficients_of(position.layout.storage, kick, kick, one, drift, torch.zeros_like(kick))


def _rotation(position: Position, kick: Tensor, angle: Tensor) -> Tensor:
    cosine, sine = torch.cos(angle), torch.sin(angle)
    return coefficients_of(position.layout.storage, kick, torch.zeros_like(kick), cosine, sine, sine)


_LAMBDA = 0.1931833275037836
_MINIMUM_NORM = (_LAMBDA, 1 - 2 * _LAMBDA, _LAMBDA), (0.5, 0.5)

_OUTER_KICK, _INNER_KICK = 0.08398315262876693, 0.6822365335719091
_OUTER_DRIFT, _INNER_DRIFT = 0.2539785108410595, -0.03230286765269967
_MIDDLE_KICK, _MIDDLE_DRIFT = 0.5 - _OUTER_KICK - _INNER_KICK, 1 - 2 * (_OUTER_DRIFT + _INNER_DRIFT)
_FOURTH_ORDER = (
    (_OUTER_KICK, _INNER_KICK, _MIDDLE_KICK, _MIDDLE_KICK, _INNER_KICK, _OUTER_KICK),
    (_OUTER_DRIFT, _INNER_DRIFT, _MIDDLE_DRIFT, _INNER_DRIFT, _OUTER_DRIFT),
)

_STRAIGHT = _kick_full_, _drift_straight_, kick_drift_, _straight

LEAPFROG = Splitting("leapfrog", *_STRAIGHT, (0.5, 0.5), (1.0,), order=2)
"""Stormer-Verlet: kick by U, straight drift."""

ROTATION = Splitting(
    "rotation",
    _kick_likelihood_,
    _drift_rotation_,
    kick_rotate_,
    _rotation,
    (0.5, 0.5),
    (1.0,),
    order=2,
    needs_gaussian_prior=True,
    largest_step_size=math.pi / 3,
)
"""Prior-exact splitting (infinity-HMC; Beskos, Pinski, Sanz-Serna, Stuart 2011): exact for a Gaussian prior alone.
Where the likelihood says little, any step is accepted and only the angle counts: one or two steps of pi / 3 are
uncorrelated on average."""

MINIMUM_NORM = Splitting("minimum_norm", *_STRAIGHT, *_MINIMUM_NORM, order=2)
"""Two forces a step, the smallest leading error of second order (Omelyan, Mryglod, Folk 2003, Comput. Phys. Commun.
151, 272, eq. 31)."""

MINIMUM_NORM_ROTATION = replace(ROTATION, name="minimum_norm_rotation", kicks=_MINIMUM_NORM[0], drifts=_MINIMUM_NORM[1])
"""Those fractions for the prior-exact splitting."""

FOURTH_ORDER = Splitting("fourth_order", *_STRAIGHT, *_FOURTH_ORDER, order=4)
"""Five forces a step (the same paper, eqs. 63 and 71; 4MN5FV of Takaishi and de Forcrand 2006)."""

INTEGRATORS = {
    splitting.name: splitting for splitting in (LEAPFROG, ROTATION, MINIMUM_NORM, MINIMUM_NORM_ROTATION, FOURTH_ORDER)
}
