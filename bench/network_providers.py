"""The network's latent outputs and gradients: ours, as one writes it in torch, and its matrix products alone."""

import torch
from operation import Call
from shapes import NOISE_VARIANCE, TRANSITION_STEPS, Shape
from torch import Tensor

import nishimori as nm
from nishimori.chains.staging import Place, Staging
from nishimori.measurement.observers import observer_of
from nishimori.models.layout import Position
from nishimori.models.randomness import Randomness
from nishimori_kernels.energy import reference
from nishimori_kernels.readout.reference import negative_log_evidence


def gradient(precision: str, shape: Shape, device: torch.device) -> Call:
    target = nm.Posterior(shape.problem(), precision, device.type)
    position = target.initial_position(shape.chains, "prior", seed=0)
    out = position.empty_like()
    return lambda: target.gradient(position, out)


def gradients_alone(shape: Shape, device: torch.device) -> Call:
    """As many as a transition has."""
    call = gradient("fp32", shape, device)

    def run() -> None:
        for _ in range(TRANSITION_STEPS):
            call()

    return run


def transition(precision: str, observed: bool, shape: Shape, device: torch.device) -> Call:
    """Of HMC, a leapfrog trajectory of TRANSITION_STEPS steps; `observed` with everything a run keeps of a draw."""
    target = nm.Posterior(shape.problem(), precision, device.type)
    randomness = Randomness.of(0, "", target.instances, range(shape.chains))
    step_size = torch.full((1,), 0.3 / shape.dim**0.5, dtype=torch.float64)
    kernel = nm.HMC(jitter=0.0).kernel(target, step_size, TRANSITION_STEPS, randomness)
    state, step = kernel.init(target.initial_position(shape.chains, "prior", 0)), 0
    observer = observer_of(target, (), {}, False, randomness)
    staging, arrays = Staging(), {}

    def run() -> None:
        nonlocal state, step
        state, info = kernel.step(state, step)
        step += 1
        if observed:
            for name, value in (observer(state, step, True).values | {"acceptance": info.acceptance}).items():
                staging.put(Place(arrays, name, 1, 0), value)
            staging.pass_on()

    return run


def latent(shape: Shape, device: torch.device) -> Call:
    target = nm.Posterior(shape.problem(), device=device.type)
    position = target.initial_position(shape.chains, "prior", seed=0)
    return lambda: target.latent(position)


def collapsed(shape: Shape, device: torch.device) -> Call:
    """Energy and gradient of the hidden layers, the readout integrated out."""
    target = nm.CollapsedPosterior(shape.problem(), device=device.type)
    position = target.initial_position(shape.chains, "prior", seed=0)
    out = position.empty_like()
    return lambda: target.energy_and_gradient(position, out)


def autograd_gradient(shape: Shape, device: torch.device) -> Call:
    """As one writes it without thinking: the reference network, torch.autograd."""
    position = shape.position(device)
    inputs, labels = data_of(shape, device)

    def run() -> list[Tensor]:
        weights = _leaves(position)
        misfit = (labels.unsqueeze(1) - reference.latent(weights, inputs, "tanh")).square().sum()
        return list(torch.autograd.grad(misfit / (2 * NOISE_VARIANCE) + _prior(weights), weights))

    return run


def autograd_collapsed(shape: Shape, device: torch.device) -> Call:
    """The definition of the evidence, in double precision from the hidden layer on, and torch.autograd."""
    position = shape.position(device)
    inputs, labels = data_of(shape, device)

    def run() -> tuple[Tensor, list[Tensor]]:
        weights = _leaves(position)[:-1]
        hidden = reference.top_hidden(weights, inputs, "tanh").double()
        energies = negative_log_evidence(hidden, labels.double(), NOISE_VARIANCE)
        energies = energies + sum(weight.double().square().flatten(2).sum(-1) for weight in weights) / 2
        return energies.detach(), list(torch.autograd.grad(energies.sum(), weights))

    return run


def reference_latent(shape: Shape, device: torch.device) -> Call:
    position = shape.position(device)
    inputs, _ = data_of(shape, device)
    return lambda: reference.latent(position.blocks, inputs, "tanh")


def gradient_products(shape: Shape, device: torch.device) -> Call:
    """The same matrix products on contiguous operands, written to buffers that are there, and nothing else."""
    operands = _Operands(shape, device)

    def run() -> None:
        operands.forward()
        operands.backward()

    return run


def forward_products(shape: Shape, device: torch.device) -> Call:
    return _Operands(shape, device).forward


def data_of(shape: Shape, device: torch.device) -> tuple[Tensor, Tensor]:
    """Inputs [1, samples, dim] and labels [1, samples], float32."""
    problem = shape.problem()
    return problem.inputs.float().to(device), problem.labels.float().to(device)


def _leaves(position: Position) -> list[Tensor]:
    return [block.detach().requires_grad_() for block in position.blocks]


def _prior(weights: list[Tensor]) -> Tensor:
    return sum((weight.square().sum() for weight in weights), torch.zeros((), device=weights[0].device)) / 2


class _Operands:
    """Matrices of the shapes that meet in a pass, and buffers for their products."""

    def __init__(self, shape: Shape, device: torch.device) -> None:
        def drawn(*sizes: int) -> Tensor:
            return torch.randn(*sizes, dtype=torch.float32, device=device)

        dim, samples, chains = shape.dim, shape.samples, shape.chains
        self._deep_layers = shape.depth - 1
        self._first, self._inputs = drawn(chains * dim, dim), drawn(dim, samples)
        self._rows, self._tall = drawn(samples, dim), drawn(chains * dim, samples)
        self._deep, self._hidden = drawn(chains, dim, dim), drawn(chains, dim, samples)
        self._turned = drawn(chains, samples, dim)
        self._lifted, self._pulled = torch.empty_like(self._tall), torch.empty_like(self._first)
        self._above, self._own = torch.empty_like(self._hidden), torch.empty_like(self._deep)

    def forward(self) -> None:
        torch.mm(self._first, self._inputs, out=self._lifted)
        for _ in range(self._deep_layers):
            torch.bmm(self._deep, self._hidden, out=self._above)

    def backward(self) -> None:
        torch.mm(self._tall, self._rows, out=self._pulled)
        for _ in range(self._deep_layers):
            torch.bmm(self._hidden, self._turned, out=self._own)
            torch.bmm(self._deep, self._hidden, out=self._above)
