"""A torch.nn.Module of one's own: the posterior of its parameters, and predictions with error bars."""

import math

import torch
from torch import nn

import nishimori as nm

generator = torch.Generator().manual_seed(1)
inputs = torch.rand(60, 1, generator=generator) * 6 - 3
targets = torch.sin(2 * inputs) + 0.3 * torch.randn(60, 1, generator=generator)

module = nn.Sequential(nn.Linear(1, 10), nn.Tanh(), nn.Linear(10, 1))
prior_scale = {"0.weight": 1.5, "0.bias": 1.5, "2.weight": 1.0, "2.bias": 1.0}  # standard deviations
target = nm.ModuleTarget(module, nm.GaussianLikelihood(inputs, targets, noise_variance=0.09), prior_scale, device="cpu")


def slope_at_zero(theta: torch.Tensor) -> torch.Tensor:
    """An observable: the change of the output from -0.1 to 0.1, over 0.2; [chains, parameters] to [chains]."""
    ends = target.predict(theta, torch.tensor([[-0.1], [0.1]]))[..., 0]  # [chains, 2]
    return (ends[:, 1] - ends[:, 0]) / 0.2


run = nm.sample(
    target,
    nm.HMC(num_steps=40, target_acceptance=0.9),
    chains=8,
    warmup=100,
    draws=200,
    seed=0,
    observables={"slope_at_zero": slope_at_zero},
    keep="position",
)

grid = torch.linspace(-3, 3, 7).unsqueeze(1)
prediction = run.predict(grid)
print("     x   sin 2x   posterior mean   standard deviation")
for x, mean, variance in zip(grid[:, 0].tolist(), prediction.mean[:, 0], prediction.latent_variance[:, 0], strict=True):
    print(f"{x:6.2f}  {math.sin(2 * x):7.3f}  {mean:15.3f}  {math.sqrt(variance):19.3f}")
slope = run.estimates["slope_at_zero"]
print(f"slope at zero {slope.value:.3f} +- {slope.standard_error:.3f} (sin 2x: 2)")
print("acceptance", round(run.acceptance, 2), "- verdict:", run.verdict.failures or "passed")
