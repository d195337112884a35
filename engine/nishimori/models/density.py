"""A density that a user wrote in torch, as a target."""

from collections.abc import Callable

import torch
from torch import Tensor

from nishimori.description.errors import BadInput
from nishimori.models.device import resolve_device, resolve_precision
from nishimori.models.first_use import (
    require_gradient,
    require_repeatable,
    require_separate_rows,
    require_values,
    user_code,
)
from nishimori.models.layout import Layout, Position
from nishimori.models.randomness import Randomness
from nishimori_kernels.rng.streams import Stream

Initial = Tensor | Callable[[int], Tensor]


class DensityTarget:
    """U(theta) = -log_density(theta), differentiated by torch.autograd.

    `log_density` maps [batch, dim] to [batch], up to a constant, with torch operations; a row is one chain, and its
    value may not depend on the other rows. `gaussian_prior` declares that it contains the term -|theta|^2 / 2 of a
    N(0, I) prior, which "rotation" and `PCN` need. `precision` ("fp64" or "fp32") and `device` ("auto", "cpu" or
    "cuda") are those of theta; the values may also be float64.

    `initial` says where chains start: one point [dim] for all, rows [chains, dim] taken in turn (chain c starts at row
    c modulo their number), or a function that returns [chains, dim] for a number of chains; else N(0, I).

    Raises BadInput, with a sentence, for a wrong `dim` or `initial`, and at the first use for a log density that fails,
    returns another shape, device or dtype, is not differentiable, changes its argument, draws random numbers, or mixes
    rows. A first use of a single chain leaves the last check to the first use of several.
    """

    instances: tuple[int, ...] = (0,)

    def __init__(
        self,
        log_density: Callable[[Tensor], Tensor],
        dim: int,
        gaussian_prior: bool = False,
        initial: Initial | None = None,
        precision: str = "fp64",
        device: str = "auto",
    ) -> None:
        if not callable(log_density):
            raise BadInput(
                f"log_density must be callable, got {type(log_density).__name__}; give [batch, dim] -> [batch]"
            )
        if type(dim) is not int or dim < 1:
            raise BadInput(f"dim must be a whole number of at least 1, got {dim!r}; give the number of parameters")
        self.num_parameters = dim
        self.gaussian_prior = gaussian_prior
        self.dtype = resolve_precision(precision)
        self.device = resolve_device(device)
        self._log_density = log_density
        self._initial = self._start_rows(initial, None) if isinstance(initial, Tensor) else initial
        self._checked_rows = 0

    def layout(self, chains: int) -> Layout:
        return Layout(1, chains, ((self.num_parameters,),))

    def energy(self, position: Position) -> Tensor:
        """U, [1, chains], float64."""
        with torch.no_grad():
            return -self._log_density(self._rows(position)).double().unsqueeze(0)

    def gradient(self, position: Position, out: Position | None = None) -> Position:
        """dU/dtheta, laid out like the position; written to `out` where given."""
        return self.energy_and_gradient(position, out)[1]

    def energy_and_gradient(self, position: Position, out: Position | None = None) -> tuple[Tensor, Position]:
        """Both, from one evaluation and its backward pass."""
        rows = self._rows(position).requires_grad_()
        with torch.enable_grad():
            values = self._log_density(rows)
        (slope,) = torch.autograd.grad(values.sum(), rows)
        out = position.empty_like() if out is None else out
        torch.neg(slope, out=out.blocks[0][0])
        return -values.detach().double().unsqueeze(0), out

    def initial_position(self, chains: int | tuple[int, ...], start: str, seed: int, point: str = "") -> Position:
        """Chains at `initial`, or at independent N(0, I) draws that depend on (seed, point, chain).

        `chains` is a count or the identities wanted. Raises BadInput for any start but "prior".
        """
        require_prior_start(start, "a density")
        identities = tuple(range(chains)) if isinstance(chains, int) else chains
        position = self.layout(len(identities)).empty(self.dtype, self.device)
        if self._initial is None:
            return Randomness.of(seed, point, self.instances, identities).fill_normals(position, Stream.PRIOR_START, 0)
        needed = max(identities) + 1
        rows = self._initial
        if not isinstance(rows, Tensor):
            with user_code("initial", "give a function that returns [chains, dim] for a number of chains"):
                rows = rows(needed)
            rows = self._start_rows(rows, needed)
        position.blocks[0].copy_(rows[[chain % len(rows) for chain in identities]])
        return position

    def _start_rows(self, values: object, chains: int | None) -> Tensor:
        """`values` as rows of starts; `chains` of them where their number is fixed."""
        dim = self.num_parameters
        expected = f"[{dim}] or [chains, {dim}]" if chains is None else f"[{chains}, {dim}]"
        if not isinstance(values, Tensor):
            raise BadInput(f"initial gave a {type(values).__name__}; give a tensor of shape {expected}")
        rows = values.unsqueeze(0) if values.dim() == 1 and chains is None else values
        if rows.dim() != 2 or rows.shape[1] != dim or len(rows) != (chains or max(1, len(rows))):
            raise BadInput(f"initial has shape {list(values.shape)}; give {expected}")
        if not torch.isfinite(rows).all():
            raise BadInput("initial holds a value that is not finite; give points where the density is positive")
        return rows.detach().to(device=self.device, dtype=self.dtype)

    def _rows(self, position: Position) -> Tensor:
        """[chains, dim], sharing memory with the position."""
        rows = position.blocks[0][0].detach()
        if self._checked_rows < min(2, len(rows)):
            self._check(rows)
            self._checked_rows = len(rows)
        return rows

    def _check(self, rows: Tensor) -> None:
        place = f"{rows.dtype} on {rows.device}"
        advice = f"it must map any [batch, {rows.shape[1]}] to [batch] by torch operations on {place}"
        with user_code(f"log_density at rows {list(rows.shape)} of {place}", advice), torch.enable_grad():
            tracked = rows.clone().requires_grad_()
            values = self._log_density(tracked)
            require_values(values, "log_density", (len(rows),), "return one value a row (reduce over dim=-1)", rows)
            require_gradient(values, [tracked], "log_density")
            with torch.no_grad():
                untouched = rows.clone()
                again = self._log_density(untouched)
                if not ((untouched == rows) | rows.isnan()).all():
                    raise BadInput("log_density changes its argument in place; work on a copy of it (theta.clone())")
                require_repeatable(values, again, rows.dtype, "log_density", "make it a function of its argument alone")
                require_separate_rows(self._log_density, rows.clone(), again)


def require_prior_start(start: str, what: str) -> None:
    """BadInput for a start at a teacher, which `what` lacks."""
    if start != "prior":
        raise BadInput(f'start={start!r}, and {what} has no teacher to start at; use start="prior"')
