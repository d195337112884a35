"""The readout integrated out: both forms equal the definition, and a matrix that cannot be factorised is alone."""

import math

import pytest
import torch
from torch import Tensor

from nishimori_kernels.readout import reference
from nishimori_kernels.readout.kernel_form import KernelForm
from nishimori_kernels.readout.labelled import ROUNDING_MARGIN, Labelled
from nishimori_kernels.readout.weight_form import WeightForm

FORMS = {"weight": WeightForm, "kernel": KernelForm}
# instances, chains, width, samples
CASES = [(1, 1, 1, 1), (2, 3, 1, 2), (2, 3, 2, 1), (3, 2, 5, 63), (1, 4, 63, 7), (2, 1, 100, 63), (1, 2, 63, 100)]
NOISE = 0.09


def draw(case: tuple[int, int, int, int]) -> tuple[Tensor, Tensor]:
    """A hidden layer and labels."""
    instances, chains, width, samples = case
    generator = torch.Generator().manual_seed(3)
    hidden = torch.tanh(torch.randn(instances, chains, width, samples, generator=generator))
    return hidden, torch.randn(instances, samples, generator=generator)


def given(form: str, hidden: Tensor, labels: Tensor, noise: float = NOISE):
    data = Labelled.of(labels, noise, hidden.shape[1], hidden.shape[2], hidden.dtype)
    return FORMS[form].of(data, hidden)


def exact_gradient(hidden: Tensor, labels: Tensor, noise: float = NOISE) -> Tensor:
    leaf = hidden.double().clone().requires_grad_()
    return torch.autograd.grad(reference.negative_log_evidence(leaf, labels, noise).sum(), leaf)[0]


def relative(actual: Tensor, expected: Tensor) -> float:
    return float((actual.double() - expected).norm() / expected.norm())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_forms_equal_the_definition(case, form):
    hidden, labels = draw(case)
    readout = given(form, hidden, labels)
    expected = reference.negative_log_evidence(hidden, labels, NOISE)
    torch.testing.assert_close(readout.negative_log_evidence(), expected, rtol=1e-12, atol=1e-12)
    out = torch.full_like(hidden, torch.nan)
    readout.gradient(out)
    assert relative(out, exact_gradient(hidden, labels)) < 1e-12
    rows = torch.sin(3 * hidden[..., :1] + torch.arange(5))
    predicted, defined = readout.predict(rows), reference.predictions(hidden, labels, NOISE, rows)
    for actual, wanted in zip(predicted, defined, strict=True):
        torch.testing.assert_close(actual, wanted, rtol=1e-11, atol=1e-13)


def test_evidence_is_that_of_a_multivariate_normal():
    hidden, labels = draw((2, 3, 5, 7))
    covariance = hidden.transpose(-1, -2) @ hidden / 5 + NOISE * torch.eye(7)
    law = torch.distributions.MultivariateNormal(torch.zeros(7), covariance)
    expected = -law.log_prob(labels.unsqueeze(1))
    torch.testing.assert_close(reference.negative_log_evidence(hidden, labels, NOISE), expected)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", [(3, 2, 2, 5), (2, 2, 6, 3), (1, 1, 1, 1)], ids=str)
def test_draws_have_the_exact_mean_and_covariance(case, form):
    """A draw is affine in its normals: its law is exact where offset and linear part are, and no sampling is needed."""
    hidden, labels = draw(case)
    readout = given(form, hidden, labels)
    count, shape = readout.num_normals, hidden.shape[:2]
    drawn = readout.draw(torch.cat([torch.zeros(1, count), torch.eye(count)]).expand(*shape, count + 1, count))
    offset = drawn[:, :, 0]
    linear = (drawn[:, :, 1:] - drawn[:, :, :1]).transpose(-1, -2)  # [instances, chains, width, num_normals]
    mean, covariance = reference.readout_posterior(hidden, labels, NOISE)
    torch.testing.assert_close(offset, mean, rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(linear @ linear.transpose(-1, -2), covariance, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_forces_of_float32_layers(case, form):
    hidden, labels = draw(case)
    single = hidden.float()
    readout = given(form, single, labels)
    out = torch.full_like(single, torch.nan)
    readout.gradient(out)
    assert out.dtype == torch.float32
    assert relative(out, exact_gradient(single, labels)) < 1e-4


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", [(2, 3, 63, 300), (2, 3, 600, 63), (2, 2, 200, 400), (2, 2, 400, 200)], ids=str)
def test_energies_of_float32_layers_are_within_a_thousandth(case, form):
    """At the least noise that goes with float32 products, and labels of a network: there rounding costs most."""
    hidden, _ = draw(case)
    generator = torch.Generator().manual_seed(4)
    noise = 1.01 * ROUNDING_MARGIN * torch.finfo(torch.float32).eps * case[3]
    readout = torch.randn(case[0], 1, case[2], 1, generator=generator)
    latent = (reference.features(hidden) @ readout)[:, 0, :, 0]
    labels = latent + math.sqrt(noise) * torch.randn(latent.shape, generator=generator)
    found = given(form, hidden.float(), labels, noise)
    assert found.data.product_dtype == torch.float32
    expected = reference.negative_log_evidence(hidden.float().double(), labels, noise)
    torch.testing.assert_close(found.negative_log_evidence(), expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("form", FORMS)
def test_energies_are_float64_where_the_noise_is_too_small_for_float32_products(form):
    hidden, labels = draw((1, 2, 63, 100))
    single = hidden.float()
    expected = reference.negative_log_evidence(single.double(), labels, 1e-4)
    torch.testing.assert_close(given(form, single, labels, 1e-4).negative_log_evidence(), expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize(("form", "case"), [("weight", (1, 2, 63, 100)), ("kernel", (1, 2, 100, 63))], ids=str)
def test_a_force_is_made_in_float64_where_the_noise_is_too_small_for_float32(form, case):
    hidden, labels = draw(case)
    single, noise = hidden.float(), 1e-6
    readout = given(form, single, labels, noise)
    assert readout.factor.upper.isfinite().all()
    out = torch.full_like(single, torch.nan)
    readout.gradient(out)
    assert relative(out, exact_gradient(single, labels, noise)) < 1e-3


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # of loops that are not compiled
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_chain_without_a_factor_is_alone(value, form):
    hidden, labels = draw((2, 3, 5, 7))
    expected, gradient = reference.negative_log_evidence(hidden, labels, NOISE), exact_gradient(hidden, labels)
    hidden[1, 2, 0, 3] = value
    readout, out = given(form, hidden, labels), torch.full_like(hidden, torch.nan)
    readout.gradient(out)
    energy = readout.negative_log_evidence()
    others = torch.ones(2, 3, dtype=torch.bool)
    others[1, 2] = False
    assert energy[1, 2].isnan()
    torch.testing.assert_close(energy[others], expected[others])
    torch.testing.assert_close(out[others], gradient[others])
