"""The posterior of a network's weights as a target density."""

import torch
from torch import Tensor

from nishimori.models.activation_kernel import activation_kernel
from nishimori.models.device import resolve_device, resolve_precision
from nishimori.models.layout import Layout, Position, chain_dot
from nishimori.models.problem import Problem
from nishimori.models.randomness import Randomness
from nishimori_kernels.energy.batched import BatchedNetwork
from nishimori_kernels.energy.blocked import BLOCK_BYTES, BlockedNetwork
from nishimori_kernels.energy.dispatch import Implementation
from nishimori_kernels.rng.streams import Stream


class Posterior:
    """U(theta) = sum_mu (y_mu - F(x_mu))^2 / (2 noise_variance) + |theta|^2 / 2, for every chain of every instance.

    `precision` is "fp32" or "fp64" (of positions, forces and products; energies are summed in float64), `device`
    "auto" (CUDA if there is one), "cpu" or "cuda". Positions are `Position`s with blocks W_1, ..., W_L, a, the last
    one absent where the readout is fixed. `implementation` of the activations: "numba" (float32 on the CPU), "torch",
    or "auto", the first where there is one. Source: arXiv 2505.03577, eqs. 1-6 (Gaussian channel).

    Raises ValueError for an unknown precision, device or implementation, and for an activation that cannot run there.
    """

    gaussian_prior = True

    def __init__(
        self,
        problem: Problem,
        precision: str = "fp32",
        device: str = "auto",
        implementation: Implementation = "auto",
    ) -> None:
        self.problem = problem
        self.dtype = resolve_precision(precision)
        self.device = resolve_device(device)
        self.num_parameters = problem.network.num_parameters
        self.instances = problem.instances
        self._activation = activation_kernel(problem.network.activation, self.device, self.dtype, implementation)
        self._labels = self._place(problem.labels).unsqueeze(1)
        self._networks: dict[tuple[str, int], BatchedNetwork] = {}
        self._blocked: dict[tuple[str, int], BlockedNetwork] = {}
        self._rows: dict[str, Tensor] = {}

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
            widths = self.problem.network.widths
            self._networks[inputs, chains] = BatchedNetwork(self.rows(inputs), widths, self._activation, chains)
        return self._networks[inputs, chains]

    def _in_blocks(self, inputs: str, chains: int) -> BlockedNetwork:
        if (inputs, chains) not in self._blocked:
            rows, widths = self.rows(inputs), self.problem.network.widths
            size = BLOCK_BYTES * torch.get_num_threads() if self.device.type == "cpu" else None
            self._blocked[inputs, chains] = BlockedNetwork(rows, widths, self._activation, chains, size)
        return self._blocked[inputs, chains]

    def latent(self, position: Position, inputs: str = "train") -> Tensor:
        """F on the "train" or "test" inputs, [instances, chains, samples]: a buffer, valid until the next call."""
        return self._in_blocks(inputs, position.layout.chains).forward(position.blocks)

    def _energy(self, residual: Tensor, position: Position) -> Tensor:
        misfit = residual.double().square().sum(-1) / (2 * self.problem.channel.noise_variance)
        return misfit + chain_dot(position, position) / 2

    def energy(self, position: Position) -> Tensor:
        """U, [instances, chains], float64."""
        return self._energy(self.latent(position) - self._labels, position)

    def gradient(self, position: Position, out: Position | None = None) -> Position:
        """dU/dtheta, laid out like the position; written to `out` where given."""
        return self._gradient(position, out)[1]

    def energy_and_gradient(self, position: Position, out: Position | None = None) -> tuple[Tensor, Position]:
        """Both, from one forward pass."""
        residual, gradient = self._gradient(position, out)
        return self._energy(residual, position), gradient

    def _gradient(self, position: Position, out: Position | None) -> tuple[Tensor, Position]:
        network, noise = self._in_blocks("train", position.layout.chains), self.problem.channel.noise_variance
        gradient = position.empty_like() if out is None else out
        residual = network.misfit_gradient(position.blocks, self._labels, noise, position.blocks, gradient.blocks)
        return residual, gradient

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
