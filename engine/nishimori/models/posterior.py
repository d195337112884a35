"""The posterior of a network's weights as a target density."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from nishimori.description import GaussianChannel
from nishimori.models.device import position_dtype, resolve_device
from nishimori.models.forward import batched_network, kernels_of, require_plain_force, variances_of
from nishimori.models.label_laws import label_law
from nishimori.models.layout import Layout, Position, chain_dot
from nishimori.models.problem import Problem
from nishimori.models.randomness import Randomness
from nishimori_kernels.energy import dispatch
from nishimori_kernels.energy.activations import ActivationKernel, by_layer
from nishimori_kernels.energy.batched import BatchedNetwork
from nishimori_kernels.rng.streams import Stream
from nishimori_kernels.rows import row_sum


class Posterior:
    """U(theta) = -sum_mu log p(y_mu | F(x_mu)) + |theta|^2 / 2, for every chain of every instance.

    With the Gaussian channel the sum is one of (y_mu - F(x_mu))^2 / (2 noise_variance), without its constant, and its
    force is compiled with the network's passes. Other channels go forward, then to the slope of their log likelihood
    in F (see `label_laws`), then back.

    `precision` "fp32" or "fp64" is that of positions, forces and products; energies are summed in float64. "bf16",
    "fp16", "tf32" and "bf16x3" are precisions of the force's products, where the device has them: positions and
    energies are as with "fp32", so that a Metropolis test keeps the law exact, and what a coarse force costs is
    acceptance. "auto" is "fp32" until `sample` has measured which of them is worth it. `device` is "auto" (CUDA if
    there is one), "cpu" or "cuda". Positions are `Position`s with blocks W_1, ..., W_L, a, that of the readout absent
    where it is fixed, then b_1, ..., b_L, b where the network has biases; all are standard normal under the prior, and
    the forward pass scales them. `implementation` of the activations: "numba" (float32 on the CPU), "triton" (float32
    on CUDA), "torch", or "auto", the compiled one where there is one; "emulated" rounds a force as its precision
    says, slowly, where no hardware does.

    `rows_in_all` is for a block of a run, some of its instances or of their chains: how many chains of all instances
    the whole run has. How products are shared among threads follows it, so that a chain is the same to the bit in any
    block; by default this target is the whole run.
    Source: arXiv 2505.03577, eqs. 1-6.

    Raises ValueError for an unknown precision, device or implementation, for a number of rows below one, for an
    activation or a channel that cannot run there, for a force that the device has not, and for a coarse force with
    another channel than the Gaussian one or with a network that is not plain (biases, weight variances, an activation a
    layer).
    """

    gaussian_prior = True

    def __init__(
        self,
        problem: Problem,
        precision: str = "fp32",
        device: str = "auto",
        implementation: dispatch.Implementation = "auto",
        *,
        rows_in_all: int | None = None,
    ) -> None:
        self.problem = problem
        self.rows_in_all = rows_in_all
        self.precision = precision
        self._implementation: dispatch.Implementation = implementation
        self.dtype = position_dtype(precision)
        self.device = resolve_device(device)
        self.num_parameters = problem.network.num_parameters
        self.instances = problem.instances
        require_plain_force(precision, problem.network)
        _require_rows(rows_in_all)
        self._kernels = kernels_of(problem.network, self.device, self.dtype, implementation)
        self.law = label_law(problem.channel, self.device)
        """Of the channel, on the device."""
        self._gaussian = isinstance(problem.channel, GaussianChannel)
        self._labels = self._place(problem.labels).unsqueeze(1)
        self._networks: dict[tuple[str, int], BatchedNetwork] = {}
        self._latents: dict[tuple[str, int], dispatch.Network] = {}
        self._forces: dict[int, dispatch.Force] = {}
        self._rows: dict[str, Tensor] = {}
        self.recordings: dict[object, object] = {}  # on CUDA: see samplers.recorded
        if not (self.exact_force or self._gaussian):
            raise ValueError(
                f"precision {precision!r} is one of forces of the Gaussian channel alone; use fp32 or fp64 with this"
            )
        if not self.exact_force and implementation != "emulated":
            kernel, name = self._plain_kernel
            dispatch.require_force(precision, kernel, self.device, name)

    @property
    def exact_force(self) -> bool:
        """Whether `gradient` is that of `energy`, but for rounding in the precision of positions."""
        return self.precision not in dispatch.FORCES

    @property
    def omitted_constant(self) -> float:
        """What U leaves out of log p(y | F), a sample, in nats: -log(2 pi noise_variance) / 2 of the Gaussian channel,
        nothing of others."""
        return -0.5 * math.log(2 * math.pi * self.problem.channel.noise_variance) if self._gaussian else 0.0

    @property
    def kernels(self) -> tuple[ActivationKernel, ...]:
        """What computes the activations of its hidden layers, one each."""
        return by_layer(self._kernels, self.problem.network.depth)

    @property
    def _plain_kernel(self) -> tuple[ActivationKernel, str]:
        """The kernel and the name of the activation of a plain network."""
        activation, kernel = self.problem.network.activation, self._kernels
        assert not isinstance(activation, tuple) and not isinstance(kernel, Sequence)
        return kernel, activation.name

    def precisions(self) -> tuple[str, ...]:
        """Those that "auto" chooses from here: single precision, and the forces this device has instructions for."""
        plain = self._gaussian and self.problem.network.plain
        coarse = dispatch.available_forces(self._plain_kernel[0], self.device) if plain else ()
        return ("fp32", *coarse)

    def at_precision(self, precision: str) -> "Posterior":
        """The same target in another precision."""
        device, implementation = self.device.type, self._implementation
        return Posterior(self.problem, precision, device, implementation, rows_in_all=self.rows_in_all)

    @property
    def posterior(self) -> "Posterior":
        """Itself: the posterior of all weights that this target samples."""
        return self

    def complete(
        self, position: Position, randomness: Randomness, step: int, stream: Stream = Stream.READOUT
    ) -> Position:
        """All weights of the network: the position itself, nothing is drawn."""
        del randomness, step, stream
        return position

    def _place(self, values: Tensor) -> Tensor:
        return values.to(device=self.device, dtype=self.dtype)

    def layout(self, chains: int) -> Layout:
        return self.problem.layout(chains)

    def rows(self, inputs: str) -> Tensor:
        """The "train" or "test" inputs on the device, [instances, rows, input_dim]."""
        if inputs not in self._rows:
            self._rows[inputs] = self._place(self.problem.rows(inputs))
        return self._rows[inputs]

    def network(self, inputs: str, chains: int) -> BatchedNetwork:
        """The buffers of all activations of `chains` chains on the "train" or "test" inputs, made at first use."""
        if (inputs, chains) not in self._networks:
            network = self.problem.network
            self._networks[inputs, chains] = batched_network(network, self.rows(inputs), chains, self._kernels)
        return self._networks[inputs, chains]

    def _latent_network(self, inputs: str, chains: int) -> dispatch.Network:
        if (inputs, chains) not in self._latents:
            network, rows = self.problem.network, self.rows(inputs)
            own = self._kernels, chains, variances_of(network), self.rows_in_all
            self._latents[inputs, chains] = dispatch.network_of(rows, network.widths, *own)
        return self._latents[inputs, chains]

    def _force(self, chains: int) -> dispatch.Force:
        if self.exact_force:
            return self._latent_network("train", chains)
        if chains not in self._forces:
            rows, widths = self.rows("train"), self.problem.network.widths
            kernel, name = self._plain_kernel
            self._forces[chains] = (
                dispatch.emulated_force_of(self.precision, rows, widths, name, chains)
                if self._implementation == "emulated"
                else dispatch.force_of(self.precision, rows, widths, kernel, name, chains)
            )
        return self._forces[chains]

    def latent(self, position: Position, inputs: str = "train") -> Tensor:
        """F on the "train" or "test" inputs, [instances, chains, samples]: a buffer, valid until the next call."""
        return self._latent_network(inputs, position.layout.chains).forward(position.flat)

    def _energy(self, residual: Tensor, position: Position) -> Tensor:
        misfit = row_sum(residual.double().square()) / (2 * self.problem.channel.noise_variance)
        return misfit + chain_dot(position, position) / 2

    def energy(self, position: Position) -> Tensor:
        """U, [instances, chains], float64."""
        latent = self.latent(position)
        return (
            self._energy(latent - self._labels, position) if self._gaussian else self._general_energy(latent, position)
        )

    def _general_energy(self, latent: Tensor, position: Position) -> Tensor:
        return chain_dot(position, position) / 2 - row_sum(self.law.log_likelihood(self._labels, latent))

    def gradient(self, position: Position, out: Position | None = None) -> Position:
        """dU/dtheta, laid out like the position; written to `out` where given."""
        return self._gradient(position, out)[1]

    def energy_and_gradient(self, position: Position, out: Position | None = None) -> tuple[Tensor, Position]:
        """Both, from one forward pass where the force is exact."""
        found, gradient = self._gradient(position, out)
        if not self._gaussian:
            return self._general_energy(found, position), gradient
        return self._energy(found, position) if self.exact_force else self.energy(position), gradient

    def _gradient(self, position: Position, out: Position | None) -> tuple[Tensor, Position]:
        """F - y with the Gaussian channel, else F; and the gradient."""
        gradient, chains = position.empty_like() if out is None else out, position.layout.chains
        if not self._gaussian:
            network = self._latent_network("train", chains)
            return network.slope_gradient(position.flat, self._labels, self.law.slope, gradient.flat), gradient
        noise = self.problem.channel.noise_variance
        return self._force(chains).misfit_gradient(position.flat, self._labels, noise, gradient.flat), gradient

    def mover(self, chains: int) -> "Mover | None":
        """What follows the force with fewer passes over the weights, where the force can: see `Mover`."""
        force = self._force(chains)
        if not (self._gaussian and isinstance(force, dispatch.MovingForce)):
            return None
        return Mover(force, self._labels, self.problem.channel.noise_variance)

    def initial_position(self, chains: int | tuple[int, ...], start: str, seed: int, point: str = "") -> Position:
        """Chains at the teacher ("teacher") or at independent prior draws ("prior").

        `chains` is a count or the identities wanted; a prior start depends on (seed, point, instance, chain).
        Raises ValueError for another start, and for "teacher" where the problem has none.
        """
        identities = tuple(range(chains)) if isinstance(chains, int) else chains
        position = self.layout(len(identities)).empty(self.dtype, self.device)
        if start == "prior":
            randomness = Randomness.of(seed, point, self.instances, identities)
            return randomness.fill_normals(position, Stream.PRIOR_START, 0)
        if start != "teacher":
            raise ValueError(f'start must be "teacher" or "prior", got {start!r}')
        teacher = self.problem.known_teacher()
        for block, weights in zip(position.blocks, teacher.weights.blocks, strict=True):
            block.copy_(self._place(weights).expand_as(block))
        return position


def _require_rows(rows_in_all: int | None) -> None:
    if rows_in_all is not None and (type(rows_in_all) is not int or rows_in_all < 1):
        raise ValueError(
            f"rows_in_all must be a whole number from 1 on, got {rows_in_all!r}; give instances times chains of the "
            "whole run, or nothing"
        )


@dataclass(frozen=True)
class Mover:
    """Kicks by the force of a posterior, each with the drift or rotation after it, in the launches that compute the
    force: for positions that nothing else moves after they were loaded."""

    force: dispatch.MovingForce
    labels: Tensor
    noise_variance: float

    def load(self, position: Position) -> None:
        self.force.load(position.flat)

    def advance_(self, position: Position, momentum: Position, coefficients: Tensor) -> None:
        """Position and momentum, in place, after the map of `nishimori_kernels.leapfrog.advance` with the force at the
        position; `coefficients` [5, blocks, instances, chains], float64, as its `coefficients_of` has them."""
        self.force.advance(position.flat, momentum.flat, self.labels, self.noise_variance, coefficients)
