"""The network's latent outputs and gradients: ours, as one writes it in torch, and its matrix products alone."""

from collections.abc import Callable, Sequence

import torch
from operation import Call
from product_providers import format_of, products_in
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


def transition(
    precision: str, observed: bool, shape: Shape, device: torch.device, num_steps: int = TRANSITION_STEPS
) -> Call:
    """Of HMC, a leapfrog trajectory; `observed` with everything a run keeps of a draw."""
    target = nm.Posterior(shape.problem(), precision, device.type)
    randomness = Randomness.of(0, "", target.instances, range(shape.chains))
    step_size = torch.full((1,), step_size_of(shape), dtype=torch.float64)
    kernel = nm.HMC(jitter=0.0).kernel(target, step_size, num_steps, randomness)
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


def step_size_of(shape: Shape) -> float:
    """Of the transitions that are timed."""
    return 0.3 / shape.dim**0.5


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


def autograd_gradient(precision: str, shape: Shape, device: torch.device) -> Call:
    """As one writes it without thinking: the reference network, torch.autograd."""
    format_of(precision, device)
    return _differentiated(_energy_of(shape, device), precision, shape.position(device))


def compiled_gradient(precision: str, shape: Shape, device: torch.device) -> Call:
    """The same through torch.compile, forward and back."""
    if device.type != "cuda":
        raise ValueError("torch.compile is timed on a GPU alone")
    energy = torch.compile(_energy_of(shape, device), fullgraph=True, dynamic=False)
    run = _differentiated(energy, precision, shape.position(device))
    try:
        run()
    except Exception as error:  # whatever a compiler may raise
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"it does not compile here ({type(error).__name__}: {reason})") from error
    return run


def _energy_of(shape: Shape, device: torch.device) -> Callable[[Sequence[Tensor]], Tensor]:
    inputs, labels = data_of(shape, device)

    def energy(weights: Sequence[Tensor]) -> Tensor:
        misfit = (labels.unsqueeze(1) - reference.latent(weights, inputs, "tanh")).square().sum()
        return misfit / (2 * NOISE_VARIANCE) + _prior(weights)

    return energy


def _differentiated(energy: Callable[[Sequence[Tensor]], Tensor], precision: str, position: Position) -> Call:
    def run() -> list[Tensor]:
        weights = _leaves(position)
        with products_in(precision):
            return list(torch.autograd.grad(energy(weights), weights))

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


def data_of(shape: Shape, device: torch.device) -> tuple[Tensor, Tensor]:
    """Inputs [1, samples, dim] and labels [1, samples], float32."""
    problem = shape.problem()
    return problem.inputs.float().to(device), problem.labels.float().to(device)


def _leaves(position: Position) -> list[Tensor]:
    return [block.detach().requires_grad_() for block in position.blocks]


def _prior(weights: Sequence[Tensor]) -> Tensor:
    return sum((weight.square().sum() for weight in weights), torch.zeros((), device=weights[0].device)) / 2
