"""Running moments, and the layer scales made of them."""

import math

import numpy as np
import pytest
import torch

import nishimori as nm
from nishimori.adaptation.moments import RunningMoments
from nishimori.chains.progress import silent
from nishimori.models.layout import Layout
from nishimori.sampling import calibration_of

LAYOUT = Layout(2, 3, ((2, 2), (5,)))


def test_moments_are_those_of_all_chains_and_updates():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(4, 2, 3, 9, generator=generator)
    moments = RunningMoments(LAYOUT)
    for value in values:
        moments.update(LAYOUT.from_edge(value))
    np.testing.assert_allclose(moments.mean().to_edge().squeeze(1), values.mean((0, 2)), atol=1e-12)
    by_parameter = values.transpose(0, 1).flatten(1, 2).var(1)  # [instances, parameters]
    spread = torch.stack([by_parameter[:, :4].mean(), by_parameter[:, 4:].mean()]).sqrt()
    torch.testing.assert_close(moments.layer_scales(), spread / spread.prod().sqrt())


def test_what_does_not_move_gets_no_scale():
    moments = RunningMoments(LAYOUT)
    moments.update(LAYOUT.from_edge(torch.ones(2, 3, 9)))
    assert moments.layer_scales().tolist() == [1.0, 1.0]


class TwoScales(torch.nn.Module):
    """Two parameters that the data pin to spreads a hundred times apart."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.narrow = torch.nn.Parameter(torch.zeros(20)), torch.nn.Parameter(torch.zeros(20))

    def forward(self, x):
        return torch.cat([self.wide, 100 * self.narrow]) * x


def test_layer_scales_find_the_spread_of_every_layer_and_the_law_stays():
    """Posterior variances 1/2 and 1/(1 + 100^2): the scales' ratio is theirs, the step fits both, and z < 4."""
    data = nm.GaussianLikelihood(torch.ones(1, 40), torch.zeros(1, 40), noise_variance=1.0)
    target = nm.ModuleTarget(TwoScales(), data, precision="fp64", device="cpu")
    record = calibration_of(target, nm.HMC(layer_scales=True), 0, progress=silent)
    ratio = record.layer_scales[0] / record.layer_scales[1]
    assert ratio == pytest.approx(math.sqrt((1 + 100**2) / 2), rel=0.25)
    assert math.prod(record.layer_scales) == pytest.approx(1)
    plain = calibration_of(target, nm.HMC(), 0, progress=silent)
    assert record.num_steps < plain.num_steps / 3
    run = nm.sample(
        target,
        nm.HMC(layer_scales=True),
        chains=32,
        warmup=40,
        draws=100,
        calibration=record,
        progress=silent,
        observables={"wide": lambda x: x[:, :20].square().mean(-1), "narrow": lambda x: x[:, 20:].square().mean(-1)},
    )
    for name, variance in (("wide", 1 / 2), ("narrow", 1 / (1 + 100**2))):
        estimate = run.estimates[name]
        assert estimate.standard_error < 0.02 * variance
        assert abs(estimate.value - variance) < 4 * estimate.standard_error
