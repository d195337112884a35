"""A torch.nn.Module as a target: its energy against one written by hand, what it leaves alone, what it refuses."""

import copy
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from targets import fixed_kernel, states
from torch import Tensor, nn

import nishimori as nm
from nishimori.models.layout import Position
from nishimori.models.target import Target
from nishimori.samplers.base import State

ROWS, INPUTS, CHAINS = 11, 4, 3
NOISE_VARIANCE = 0.3
GENERATOR = torch.Generator().manual_seed(7)
X = torch.randn(ROWS, INPUTS, generator=GENERATOR, dtype=torch.float64)
Y = torch.randn(ROWS, generator=GENERATOR, dtype=torch.float64)
IMAGES = torch.randn(ROWS, 1, 6, 6, generator=GENERATOR, dtype=torch.float64)
LABELS = torch.randint(0, 3, (ROWS,), generator=GENERATOR)
GAUSSIAN = nm.GaussianLikelihood(X, Y, NOISE_VARIANCE)


@pytest.fixture(autouse=True)
def fixed_weights() -> None:
    """The weights that modules are born with, and dropout."""
    torch.manual_seed(0)


class Residual(nn.Module):
    """A residual block with a scalar gain, a buffer that scales its inputs, and a frozen offset."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(INPUTS, INPUTS)
        self.gain = nn.Parameter(torch.tensor(0.5))
        self.offset = nn.Parameter(torch.full((INPUTS,), 0.7), requires_grad=False)
        self.scale: Tensor
        self.register_buffer("scale", torch.linspace(0.5, 2.0, INPUTS))
        self.register_buffer("seen", torch.tensor([3, 4]))
        self.readout = nn.Linear(INPUTS, 1, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        scaled = inputs * self.scale + self.offset
        return self.readout(scaled + self.gain * torch.tanh(self.inner(scaled)))


class Tied(nn.Module):
    """One matrix used twice, under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(INPUTS, INPUTS, bias=False)
        self.second = nn.Linear(INPUTS, INPUTS, bias=False)
        self.second.weight = self.first.weight

    def forward(self, inputs: Tensor) -> Tensor:
        return self.second(torch.tanh(self.first(inputs))).sum(-1)


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(INPUTS, 5), nn.Tanh(), nn.Linear(5, 1))


def normalised() -> nn.Sequential:
    """BatchNorm with running statistics that are not those of its birth, in evaluation mode."""
    module = nn.Sequential(
        nn.Linear(INPUTS, 5), nn.BatchNorm1d(5), nn.Dropout(), nn.ReLU(inplace=True), nn.Linear(5, 1)
    )
    module(2 * X + 1)
    return module.eval()


def convolutional() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(8, 3))


MODULES: dict[str, tuple[Callable[[], nn.Module], Callable]] = {
    "perceptron": (mlp, GAUSSIAN),
    "residual": (Residual, GAUSSIAN),
    "tied": (Tied, GAUSSIAN),
    "batch normalisation": (normalised, GAUSSIAN),
    "convolution": (convolutional, nm.CategoricalLikelihood(IMAGES, LABELS)),
    "custom": (mlp, lambda predict: -torch.log1p((predict(X).squeeze(-1) - Y).square()).sum()),
}


def by_hand(module: nn.Module, likelihood: Callable, scales: dict[str, Tensor], theta: Tensor) -> tuple[Tensor, Tensor]:
    """Energy and gradient of one chain: its parameters copied into the module, plain autograd."""
    module, first = copy.deepcopy(module), 0
    sampled = {name: value for name, value in module.named_parameters() if value.requires_grad}
    for name, parameter in sampled.items():
        own = theta[first : first + parameter.numel()].view(parameter.shape)
        parameter.data = scales[name] * own
        first += parameter.numel()
    energy = theta.square().sum() / 2 - likelihood(module)
    slopes = torch.autograd.grad(energy, list(sampled.values()))
    scaled = [(scales[name] * slope).flatten() for name, slope in zip(sampled, slopes, strict=True)]
    return energy.detach(), theta + torch.cat(scaled)


def scales_of(module: nn.Module, kind: str) -> tuple[float | dict[str, Tensor | float], dict[str, Tensor]]:
    """A prior_scale, and the same spelled out."""
    sampled = {name: value for name, value in module.named_parameters() if value.requires_grad}
    match kind:
        case "one":
            return 1.0, {name: torch.ones(()) for name in sampled}
        case "float":
            return 0.6, {name: torch.tensor(0.6) for name in sampled}
        case _:
            spread = {
                name: torch.linspace(0.4, 1.1, value.numel()).view(value.shape) for name, value in sampled.items()
            }
            return dict(spread), spread


@pytest.mark.parametrize("scale", ["one", "float", "tensors"])
@pytest.mark.parametrize("name", MODULES)
def test_energy_and_gradient_equal_those_by_hand(name: str, scale: str):
    build, likelihood = MODULES[name]
    module = build()
    prior_scale, scales = scales_of(module, scale)
    target = nm.ModuleTarget(module, likelihood, prior_scale, "fp64", "cpu")
    position = target.initial_position(CHAINS, "prior", seed=1)
    energy, gradient = target.energy_and_gradient(position, out := position.empty_like())
    assert gradient is out and energy.shape == (1, CHAINS) and energy.dtype == torch.float64
    for chain, theta in enumerate(position.to_edge()[0]):
        expected, slope = by_hand(module, likelihood, scales, theta)
        torch.testing.assert_close(energy[0, chain], expected, rtol=1e-12, atol=1e-11)
        torch.testing.assert_close(gradient.to_edge()[0, chain], slope, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(target.energy(position), energy, rtol=1e-13, atol=1e-12)
    assert torch.equal(target.gradient(position).flat, gradient.flat)


def test_single_precision_agrees_with_double():
    double, single = (nm.ModuleTarget(Residual(), GAUSSIAN, 0.5, precision, "cpu") for precision in ("fp64", "fp32"))
    position = single.initial_position(CHAINS, "prior", seed=1)
    energy, gradient = single.energy_and_gradient(position)
    wide = Position(position.flat.double(), position.layout)
    assert gradient.flat.dtype == torch.float32 and energy.dtype == torch.float64
    # Residual() draws its frozen parameters and buffers from no generator, so the two modules are the same.
    torch.testing.assert_close(energy, double.energy(wide), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(gradient.flat.double(), double.gradient(wide).flat, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", MODULES)
def test_the_users_module_is_left_alone(name: str):
    build, likelihood = MODULES[name]
    module = build()
    before, training = copy.deepcopy(module.state_dict()), module.training
    target = nm.ModuleTarget(module, likelihood, precision="fp32", device="cpu") if name != "custom" else None
    if target is not None:
        position = target.initial_position(CHAINS, "prior", seed=1)
        target.energy_and_gradient(position)
        target.predict(position, IMAGES if name == "convolution" else X)
    assert module.training == training and all(parameter.grad is None for parameter in module.parameters())
    for key, value in module.state_dict().items():
        assert value.dtype == before[key].dtype and torch.equal(value, before[key])


def test_blocks_are_the_parameters_to_sample():
    """Frozen ones are not, a scalar is a block of one, tied ones are sampled once."""
    residual = nm.ModuleTarget(Residual(), GAUSSIAN, precision="fp64", device="cpu")
    assert residual.layout(2).shapes == ((1,), (INPUTS, INPUTS), (INPUTS,), (1, INPUTS))
    assert residual.num_parameters == 1 + 16 + 4 + 4
    assert nm.ModuleTarget(Tied(), GAUSSIAN, precision="fp64", device="cpu").layout(2).shapes == ((INPUTS, INPUTS),)


class Chosen(nn.Module):
    """Of two layers, the second is used."""

    def __init__(self) -> None:
        super().__init__()
        self.idle, self.used = nn.Linear(2, 2), nn.Linear(INPUTS, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.used(inputs)


def test_a_parameter_the_likelihood_does_not_use_keeps_its_prior():
    target = nm.ModuleTarget(Chosen(), GAUSSIAN, precision="fp64", device="cpu")
    position = target.initial_position(2, "prior", 0)
    gradient = target.gradient(position)
    assert torch.equal(gradient.blocks[0], position.blocks[0]) and torch.equal(gradient.blocks[1], position.blocks[1])


def test_predictions_and_named_parameters_of_positions_and_of_kept_draws():
    module, scales = Residual(), {"gain": 2.0, "inner.weight": 0.5, "inner.bias": 0.1, "readout.weight": 3.0}
    target = nm.ModuleTarget(module, GAUSSIAN, scales, "fp64", "cpu")
    position = target.initial_position(CHAINS, "prior", seed=2)
    outputs, named = target.predict(position, X.float()), target.parameters_of(position)
    assert outputs.shape == (1, CHAINS, ROWS, 1)
    assert {name: tuple(values.shape) for name, values in named.items()} == {
        "gain": (1, CHAINS),
        "inner.weight": (1, CHAINS, INPUTS, INPUTS),
        "inner.bias": (1, CHAINS, INPUTS),
        "readout.weight": (1, CHAINS, 1, INPUTS),
    }
    for chain in range(CHAINS):
        own = {name: values[0, chain] for name, values in named.items()}
        expected = torch.func.functional_call(module, own, (X.float().double(),))
        torch.testing.assert_close(outputs[0, chain], expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(named["gain"], 2 * position.blocks[0].squeeze(-1))
    kept = np.stack([position.to_edge()[0].numpy()] * 2, axis=1)  # [chains, draws, num_parameters]
    assert torch.equal(target.predict(kept, X.float())[:, 1], outputs[0])
    assert torch.equal(target.parameters_of(kept)["inner.weight"][:, 1], named["inner.weight"][0])
    with pytest.raises(ValueError, match=r"shape \[3, 2, 24\]; give \[\.\.\., 25\]"):
        target.predict(kept[..., 1:], X)


def test_likelihoods_are_those_of_their_names():
    """Against torch.distributions; the Gaussian up to its constant."""
    outputs = 2 * X[:, :3] - 1
    logits = nm.CategoricalLikelihood(X, LABELS.int())(lambda inputs: 2 * inputs[:, :3] - 1)
    torch.testing.assert_close(logits, torch.distributions.Categorical(logits=outputs).log_prob(LABELS).sum())
    normal, constant = torch.distributions.Normal(outputs, math.sqrt(NOISE_VARIANCE)), ROWS * 3 / 2
    constant *= math.log(2 * math.pi * NOISE_VARIANCE)
    value = nm.GaussianLikelihood(X, X[:, 1:], NOISE_VARIANCE)(lambda inputs: outputs)
    torch.testing.assert_close(value, normal.log_prob(X[:, 1:]).sum() + constant)
    column = nm.GaussianLikelihood(X, Y.unsqueeze(1), NOISE_VARIANCE)
    assert torch.equal(column(lambda inputs: X[:, 0]), GAUSSIAN(lambda inputs: X[:, :1]))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: nm.GaussianLikelihood(X, Y, 0.0), "noise_variance must be positive"),
        (lambda: nm.GaussianLikelihood(X, Y[1:], 0.1), r"inputs have shape \[11, 4\] and targets \[10\]; give"),
        (lambda: nm.GaussianLikelihood(X, Y.view(ROWS, 1, 1), 0.1), r"\[11, 1, 1\]; give \[rows\] or"),
        (lambda: nm.GaussianLikelihood(X, Y.log(), 0.1), "not finite; leave such rows out"),
        (lambda: nm.GaussianLikelihood(X[:0], Y[:0], 0.1), "give every row of inputs its own"),
        (lambda: nm.CategoricalLikelihood(X, LABELS.double()), "labels must be integers, got torch.float64"),
        (lambda: nm.CategoricalLikelihood(X, LABELS > 0), "labels must be integers, got torch.bool"),
        (lambda: nm.CategoricalLikelihood(X, LABELS - 1), "labels hold -1; number the classes from 0"),
        (lambda: nm.CategoricalLikelihood(X, LABELS.view(ROWS, 1)), r"\[11, 1\]; give \[rows\]"),
        (lambda: nm.CategoricalLikelihood(X, LABELS[1:]), "give every row of inputs its own of the labels"),
    ],
)
def test_wrong_data_are_refused(build: Callable, message: str):
    with pytest.raises(ValueError, match=message):
        build()


def frozen() -> nn.Module:
    return nn.Linear(INPUTS, 1).requires_grad_(False)


def partly_frozen() -> nn.Sequential:
    module = mlp()
    module[0].requires_grad_(False)
    return module


SCALES = {"0.weight": 1.0, "0.bias": 1.0, "2.weight": 1.0, "2.bias": 1.0}


@pytest.mark.parametrize(
    ("build", "prior_scale", "message"),
    [
        (frozen, 1.0, "nothing to sample; unfreeze one"),
        (lambda: nn.LazyLinear(1), 1.0, "'weight' has no shape yet; call the module once"),
        (lambda: torch.tanh, 1.0, "must be a torch.nn.Module, got builtin"),
        (mlp, 0.0, "prior_scale of '0.weight' must be positive; give a standard deviation"),
        (mlp, SCALES | {"2.bias": torch.tensor([-1.0])}, "prior_scale of '2.bias' must be positive"),
        (mlp, SCALES | {"0.bias": math.nan}, "prior_scale of '0.bias' must be positive"),
        (mlp, {"0.weight": 1.0, "0.bias": 1.0, "2.bias": 1.0}, "leaves out parameter '2.weight'; give it a scale"),
        (
            mlp,
            SCALES | {"4.weight": 1.0},
            "names '4.weight', which is no parameter of the module; use 0.weight, 0.bias",
        ),
        (partly_frozen, SCALES, "names '0.weight', which is frozen"),
        (Tied, {"first.weight": 1.0, "second.weight": 1.0}, "names 'second.weight', which is tied"),
        (
            mlp,
            SCALES | {"0.weight": torch.ones(7)},
            r"'0.weight' has shape \[7\] and the parameter \[5, 4\]; give a float",
        ),
    ],
)
def test_modules_and_scales_that_do_not_fit_are_refused(build: Callable, prior_scale, message: str):
    with pytest.raises(ValueError, match=message):
        nm.ModuleTarget(build(), GAUSSIAN, prior_scale, device="cpu")


def dropout() -> nn.Sequential:
    return nn.Sequential(nn.Linear(INPUTS, 9), nn.Dropout(), nn.Linear(9, 1))


def batch_norm() -> nn.Sequential:
    return nn.Sequential(nn.Linear(INPUTS, 5), nn.BatchNorm1d(5), nn.Linear(5, 1))


REFUSED: dict[str, tuple[Callable[[], nn.Module], Callable, str]] = {
    "dropout": (dropout, GAUSSIAN, "draws random numbers; call module.eval"),
    "batch normalisation": (batch_norm, GAUSSIAN, r"changes its buffer '1.running_mean' .*; call module.eval"),
    "a recurrent module": (lambda: nn.GRU(INPUTS, 1), lambda predict: predict(X)[0].sum(), "vmap .* failed .*gru"),
    "one value a row": (
        mlp,
        lambda predict: predict(X).squeeze(-1),
        r"shape \[11\] instead of \[\]; return one number",
    ),
    "a float": (mlp, lambda predict: float(predict(X).detach().sum()), "returned a float; return a torch tensor"),
    "detached": (mlp, lambda predict: predict(X).detach().sum(), "not differentiable"),
    "no prediction": (mlp, lambda predict: Y.sum(), "not differentiable"),
    "data of another dtype": (mlp, lambda predict: predict(X.float()).sum(), "Float.*torch.float64 on cpu"),
    "data on another device": (mlp, lambda predict: predict(X.to("meta")).sum(), "meta.*torch.float64 on cpu"),
    "another device": (mlp, lambda predict: predict(X).sum().to("meta"), "values on meta at positions on cpu"),
    "half the precision": (
        mlp,
        lambda predict: predict(X).sum().float(),
        "torch.float32 at positions in torch.float64",
    ),
    "outputs of another shape": (
        lambda: nn.Linear(INPUTS, 3),
        GAUSSIAN,
        r"\[11, 3\] and the targets \[11\]; give targets",
    ),
    "too few classes": (
        lambda: nn.Linear(INPUTS, 2),
        nm.CategoricalLikelihood(X, LABELS),
        r"\[11, 2\] for 11 rows and labels up to 2; return logits",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_sampled_is_refused_at_the_first_use(case: str):
    build, likelihood, message = REFUSED[case]
    target = nm.ModuleTarget(build(), likelihood, precision="fp64", device="cpu")
    position = target.initial_position(CHAINS, "prior", 0)
    for use in (target.energy, target.gradient, target.energy_and_gradient):
        with pytest.raises(ValueError, match=message) as refusal:
            use(position)
        assert "\n" not in str(refusal.value)


def test_a_likelihood_is_a_function_and_a_module_has_no_teacher():
    with pytest.raises(ValueError, match="log_likelihood must be callable, got Tensor"):
        nm.ModuleTarget(mlp(), Y, device="cpu")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="start='teacher'.*no teacher"):
        nm.ModuleTarget(mlp(), GAUSSIAN, device="cpu").initial_position(2, "teacher", 0)


def test_a_call_is_one_batched_evaluation_after_the_first_use():
    calls = []

    def counted(predict: Callable) -> Tensor:
        calls.append(1)
        return GAUSSIAN(predict)

    target = nm.ModuleTarget(mlp(), counted, precision="fp64", device="cpu")
    position = target.initial_position(CHAINS, "prior", 0)
    target.energy_and_gradient(position)
    calls.clear()
    for use in (target.energy, target.gradient, target.energy_and_gradient):
        use(position)
    assert len(calls) == 3


@pytest.mark.gpu
def test_cuda_gives_the_values_of_the_cpu():
    """The same module and data, given on the CPU: both are copied."""
    on_cpu, on_cuda = (nm.ModuleTarget(Residual(), GAUSSIAN, 0.5, "fp64", device) for device in ("cpu", "cuda"))
    energies, gradients = [], []
    for target in (on_cpu, on_cuda):
        energy, gradient = target.energy_and_gradient(target.initial_position(CHAINS, "prior", seed=2))
        energies.append(energy.cpu())
        gradients.append(gradient.to_edge().cpu())
    torch.testing.assert_close(energies[1], energies[0], rtol=1e-10, atol=1e-9)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-9, atol=1e-9)


WIDTHS, SAMPLES = (6, 5), 12
NETWORK = nm.Network(INPUTS, WIDTHS, "tanh")


def twins(factor: float = 1.0) -> tuple[nm.Posterior, nm.ModuleTarget]:
    """The same posterior twice; `factor` spoils the prior scale of the module's."""
    problem = nm.matched_teacher(NETWORK, nm.GaussianChannel(NOISE_VARIANCE), SAMPLES, seed=3, test_samples=8)
    fan_in = (INPUTS, *WIDTHS)
    layers = [nn.Linear(*sizes, bias=False) for sizes in zip(fan_in, (*WIDTHS, 1), strict=True)]
    module = nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2])
    scales = {f"{2 * place}.weight": factor / math.sqrt(width) for place, width in enumerate(fan_in)}
    likelihood = nm.GaussianLikelihood(problem.inputs[0], problem.labels[0], NOISE_VARIANCE)
    return nm.Posterior(problem, "fp64", "cpu"), nm.ModuleTarget(module, likelihood, scales, "fp64", "cpu")


def test_module_and_posterior_have_one_energy():
    posterior, target = twins()
    position = target.initial_position(32, "prior", seed=0)
    same = posterior.layout(32).from_edge(position.to_edge())
    (energy, gradient), (expected, slope) = target.energy_and_gradient(position), posterior.energy_and_gradient(same)
    torch.testing.assert_close(energy, expected, rtol=0, atol=1e-10)
    torch.testing.assert_close(gradient.to_edge(), slope.to_edge(), rtol=0, atol=1e-10)


def predictions(target: Target, latent: Callable[[Position], Tensor], seed: int) -> Tensor:
    """Chain averages of F and F^2 on the test inputs, [chains, 2 * test inputs]; chains are independent."""
    chains, warmup, draws = 128, 60, 150
    kernel = fixed_kernel(target, "leapfrog", 0.2, 8, chains, seed=seed, jitter=0.4)
    position = target.initial_position(chains, "prior", seed)
    sums = torch.zeros(())
    for state in states(kernel, State(position, *target.energy_and_gradient(position)), warmup, draws):
        values = latent(state.position)
        sums = sums + torch.cat([values, values.square()], dim=-1)
    return sums / draws


@pytest.fixture(scope="module")
def of_posterior() -> Tensor:
    posterior, _ = twins()
    return predictions(posterior, lambda position: posterior.latent(position, "test")[0], seed=11)


@pytest.mark.parametrize(("factor", "same"), [(1.0, True), (1.2, False)])
def test_module_and_posterior_are_sampled_alike(of_posterior: Tensor, factor: float, same: bool):
    """Means of F and F^2 at eight inputs agree, in units of the error of their difference; with a prior a fifth too
    wide they do not."""
    posterior, target = twins(factor)
    teacher = posterior.problem.teacher
    assert teacher is not None
    test_inputs = teacher.test_inputs[0]
    own = predictions(target, lambda position: target.predict(position, test_inputs)[0, ..., 0], seed=12)
    error = ((own.var(0) + of_posterior.var(0)) / len(own)).sqrt()
    z = (own.mean(0) - of_posterior.mean(0)) / error
    assert (float(z.abs().max()) < 4) == same, z
