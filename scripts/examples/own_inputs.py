"""Inputs of a generator of one's own, here a convolutional decoder: online learning on them beside the equations of
their Gaussian equivalent, and the posterior of a matched teacher given them."""

import numpy as np
import torch
from torch import nn

import nishimori as nm
from nishimori.systems.hidden_manifold_online import HiddenManifoldOnline

torch.manual_seed(0)
decoder = nn.Sequential(
    nn.Linear(32, 64),
    nn.Unflatten(1, (16, 2, 2)),
    nn.Tanh(),
    nn.ConvTranspose2d(16, 4, 4, stride=2, padding=1),
    nn.Tanh(),
    nn.ConvTranspose2d(4, 1, 4, stride=2, padding=1),
    nn.Flatten(),
)
for module in (decoder[0], decoder[3], decoder[5]):
    nn.init.normal_(module.weight, std=0.3)
inputs = nm.ModuleInputs(decoder, latent_dim=32)  # 64 inputs of 32 normal numbers
spectrum = np.linalg.eigvalsh(inputs.moments.covariance)

system = HiddenManifoldOnline(lambda input_dim: inputs)
document = {
    "system": {"kind": "hidden_manifold_online"},
    "network": {"input_dim": 64},
    "descent": {"times": [0.0, 1.0, 5.0, 10.0]},
    "run": {"instances": 10, "device": "cpu"},
}
error = system.measure(system.resolve(document), range(10), progress=lambda *told: None)["error"]
print("time  error     theory    difference")
for place, time in enumerate(error.places):
    measured, known = error.values[:, place], error.predicted[:, place]
    difference = measured - known
    print(
        f"{time:4.0f}  {measured.mean():.5f}   {known.mean():.5f}   {difference.mean():8.5f} "
        f"+- {difference.std(ddof=1) / len(difference) ** 0.5:.5f}"
    )

network, channel = nm.Network(input_dim=64, widths=(32,), activation="erf"), nm.GaussianChannel(noise_variance=0.1)
problem = nm.matched_teacher(network, channel, samples=64, instances=8, test_samples=200, inputs=inputs)
run = nm.sample(nm.Posterior(problem, device="cpu"), nm.HMC(), chains=1, warmup=50, draws=200, start="both")
measured = run.estimates["bayes_error"]
predicted = nm.theory.predict(network, channel, sample_ratio=1.0, input_spectrum=spectrum).bayes_error
print(f"Bayes error: measured {measured.value:.4f} +- {measured.standard_error:.4f}, theory {predicted:.4f}")
print("verdict:", run.verdict.failures or "passed")
