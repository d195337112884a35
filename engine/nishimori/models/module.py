"""The posterior of the parameters of any torch.nn.Module, as a target."""

import copy

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nishimori.description.errors import BadInput
from nishimori.models.density import require_prior_start
from nishimori.models.device import resolve_device, resolve_precision
from nishimori.models.first_use import require_gradient, require_repeatable, require_values, user_code
from nishimori.models.layout import Layout, Position
from nishimori.models.likelihoods import CategoricalLikelihood, GaussianLikelihood, LogLikelihood, place
from nishimori.models.module_parameters import PriorScale, prior_scales, sampled_shapes
from nishimori.models.randomness import Randomness
from nishimori_kernels.rng.streams import Stream

PREDICTION_CHUNK = 256
"""Networks that `predict` runs at once."""

PURE = "call module.eval() first, or take BatchNorm and Dropout out"
Kept = Position | Tensor | NDArray


class ModuleTarget:
    """U(theta) = |theta|^2 / 2 - log_likelihood(predict), the module's parameters being prior_scale * theta.

    So the prior of a parameter is N(0, prior_scale^2), and theta is N(0, I). `log_likelihood(predict)` returns a scalar
    for one chain, up to a constant; `predict(x)` is the module at that chain's parameters: `GaussianLikelihood`,
    `CategoricalLikelihood` or any function of torch operations. All chains run at once through torch.func.vmap.

    Blocks of a position are the parameters in the order of `module.named_parameters()`, a scalar as shape (1,). A
    parameter that does not require a gradient is not sampled and keeps its value, as buffers do; tied parameters are
    sampled once, under their first name. `prior_scale` is a standard deviation, or a mapping from the name of every
    sampled parameter to one or to a tensor that broadcasts to the parameter. The module is copied and never changed.
    `precision` ("fp32" or "fp64") is that of theta and of the copy; `device` "auto", "cpu" or "cuda".

    Raises BadInput, with a sentence, for a module without parameters to sample, for a scale that is not positive, is
    missing or names no parameter, and at the first use for a module that changes buffers or draws random numbers, or a
    log likelihood that fails, is no scalar, is not differentiable or has another device or dtype.
    """

    gaussian_prior = True
    instances: tuple[int, ...] = (0,)

    def __init__(
        self,
        module: nn.Module,
        log_likelihood: LogLikelihood,
        prior_scale: PriorScale = 1.0,
        precision: str = "fp32",
        device: str = "auto",
    ) -> None:
        self.dtype = resolve_precision(precision)
        self.device = resolve_device(device)
        shapes = sampled_shapes(module)
        self._module = copy.deepcopy(module).to(device=self.device, dtype=self.dtype)
        self._names, self._shapes = tuple(shapes), tuple(shapes.values())
        self._scales = tuple(self._placed_scale(scale) for scale in prior_scales(module, shapes, prior_scale))
        self.num_parameters = self.layout(1).num_parameters
        self._log_likelihood = log_likelihood
        if isinstance(log_likelihood, GaussianLikelihood | CategoricalLikelihood):
            self._log_likelihood = log_likelihood.placed(self.device, self.dtype)
        elif not callable(log_likelihood):
            kind = type(log_likelihood).__name__
            raise BadInput(f"log_likelihood must be callable, got {kind}; give a function of predict")
        self._log_likelihoods = torch.func.vmap(self._log_likelihood_at)
        self._checked = False

    def _placed_scale(self, scale: float | Tensor) -> float | Tensor:
        return place(scale, self.device, self.dtype) if isinstance(scale, Tensor) else scale

    def layout(self, chains: int) -> Layout:
        return Layout(1, chains, tuple(shape or (1,) for shape in self._shapes))

    def energy(self, position: Position) -> Tensor:
        """U, [1, chains], float64."""
        self._check_once(position)
        with torch.no_grad():
            return self._energy(self._log_likelihoods(self._parameters(position)), position)

    def gradient(self, position: Position, out: Position | None = None) -> Position:
        """dU/dtheta, laid out like the position; written to `out` where given."""
        return self._gradient(position, out)[1]

    def energy_and_gradient(self, position: Position, out: Position | None = None) -> tuple[Tensor, Position]:
        """Both, from one forward and one backward pass."""
        values, gradient = self._gradient(position, out)
        return self._energy(values, position), gradient

    def _energy(self, log_likelihoods: Tensor, position: Position) -> Tensor:
        return _squared_norm(position) / 2 - log_likelihoods.double()

    def _gradient(self, position: Position, out: Position | None) -> tuple[Tensor, Position]:
        """Log likelihoods [chains] and dU/dtheta."""
        self._check_once(position)
        parameters = {name: values.requires_grad_() for name, values in self._parameters(position).items()}
        with torch.enable_grad():
            values = self._log_likelihoods(parameters)
        slopes = torch.autograd.grad(values.sum(), list(parameters.values()), materialize_grads=True)
        gradient = position.empty_like() if out is None else out
        for block, theta, slope, scale in zip(gradient.blocks, position.blocks, slopes, self._scales, strict=True):
            if isinstance(scale, Tensor):
                torch.addcmul(theta, slope.view_as(theta), scale, value=-1, out=block)
            else:
                torch.add(theta, slope.view_as(theta), alpha=-scale, out=block)
        return values.detach(), gradient

    def _parameters(self, position: Position) -> dict[str, Tensor]:
        """Name -> [chains, *shape], in the module's scale; a scale of one shares memory with the position."""
        chains = position.layout.chains
        values = (
            block.detach().view(chains, *shape) for block, shape in zip(position.blocks, self._shapes, strict=True)
        )
        scaled = (v if isinstance(s, float) and s == 1 else v * s for v, s in zip(values, self._scales, strict=True))
        return dict(zip(self._names, scaled, strict=True))

    def _log_likelihood_at(self, parameters: dict[str, Tensor]) -> Tensor:
        def predict(*inputs: object, **options: object) -> object:
            return torch.func.functional_call(self._module, parameters, inputs, options)

        return self._log_likelihood(predict)

    def initial_position(self, chains: int | tuple[int, ...], start: str, seed: int, point: str = "") -> Position:
        """Independent draws from the prior, which depend on (seed, point, chain).

        `chains` is a count or the identities wanted. Raises BadInput for any start but "prior".
        """
        require_prior_start(start, "a module")
        identities = tuple(range(chains)) if isinstance(chains, int) else chains
        position = self.layout(len(identities)).empty(self.dtype, self.device)
        return Randomness.of(seed, point, self.instances, identities).fill_normals(position, Stream.PRIOR_START, 0)

    def predict(self, position: Kept, *inputs: Tensor) -> Tensor:
        """The module's outputs at every chain's parameters, [*leading, rows, ...].

        Leading axes are those of the position: [1, chains] of a `Position`, or any of an array [..., num_parameters] in
        edge order, such as kept draws [chains, draws, num_parameters].
        """
        leading, position = self._stored(position)
        self._check_once(position)
        placed = tuple(place(values, self.device, self.dtype) for values in inputs)

        def outputs(parameters: dict[str, Tensor]) -> Tensor:
            return torch.func.functional_call(self._module, parameters, placed)

        with torch.no_grad():
            found = torch.func.vmap(outputs, chunk_size=PREDICTION_CHUNK)(self._parameters(position))
        return found.reshape(*leading, *found.shape[1:])

    def parameters_of(self, position: Kept) -> dict[str, Tensor]:
        """Name -> [*leading, *shape], a copy in the module's own scale; leading axes as in `predict`."""
        leading, position = self._stored(position)
        return {
            name: values.clone().view(*leading, *values.shape[1:])
            for name, values in self._parameters(position).items()
        }

    def _stored(self, position: Kept) -> tuple[tuple[int, ...], Position]:
        """The leading axes, and a `Position` with all of them folded into its chains."""
        if isinstance(position, Position):
            return (1, position.layout.chains), position
        values = torch.as_tensor(position, device=self.device, dtype=self.dtype)
        if values.shape[-1] != self.num_parameters:
            raise BadInput(f"a position has shape {list(values.shape)}; give [..., {self.num_parameters}]")
        rows = values.reshape(1, -1, self.num_parameters)
        return tuple(values.shape[:-1]), self.layout(rows.shape[1]).from_edge(rows)

    def _check_once(self, position: Position) -> None:
        if not self._checked:
            parameters = self._parameters(position)
            self._check({name: values[:2].clone().requires_grad_() for name, values in parameters.items()})
            self._checked = True

    def _check(self, parameters: dict[str, Tensor]) -> None:
        """First one chain without vmap, for errors that the user's code makes by itself; then some."""
        what = "log_likelihood(predict)"
        home = f"{self.dtype} on {self.device}"
        one = {name: values[0] for name, values in parameters.items()}
        arguments, like = list(one.values()), next(iter(one.values()))
        buffers = {name: buffer.clone() for name, buffer in self._module.named_buffers()}
        with user_code(what, f"it must return a scalar by torch operations on {home}, where the module was copied to"):
            value = self._log_likelihood_at(one)
            require_values(value, what, (), "return one number: sum over the rows", like)
            require_gradient(value, arguments, what)
            with torch.no_grad():
                again = self._log_likelihood_at(one)
        self._require_unchanged(buffers)
        require_repeatable(value, again, self.dtype, what, PURE)
        with user_code(
            "torch.func.vmap over the chains", "write the module and log_likelihood in terms that vmap can batch"
        ):
            require_gradient(self._log_likelihoods(parameters), list(parameters.values()), what)

    def _require_unchanged(self, before: dict[str, Tensor]) -> None:
        for name, buffer in self._module.named_buffers():
            old = before.get(name)
            if old is None or old.shape != buffer.shape or not ((old == buffer) | (old.isnan() & buffer.isnan())).all():
                raise BadInput(f"the module changes its buffer {name!r} when it is called; {PURE}")


def _squared_norm(position: Position) -> Tensor:
    """|theta|^2, [1, chains], in float64: `chain_dot` of the position with itself, without copies in float64."""
    blocks = [block.flatten(2) for block in position.blocks]
    norms = [torch.linalg.vector_norm(block, dim=-1, dtype=torch.float64) for block in blocks]
    return torch.stack(norms).square().sum(0)
