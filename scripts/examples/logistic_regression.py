"""Logistic regression: hand nishimori a log density, get draws that say how far to trust them."""

import torch

import nishimori as nm

generator = torch.Generator().manual_seed(0)
inputs = torch.randn(300, 5, generator=generator, dtype=torch.float64)
truth = torch.tensor([1.0, -2.0, 0.5, 0.0, 1.5], dtype=torch.float64)
labels = torch.bernoulli(torch.sigmoid(inputs @ truth), generator=generator)


def log_density(weights: torch.Tensor) -> torch.Tensor:
    """[batch, 5] to [batch]: Bernoulli likelihood and a N(0, I) prior, up to a constant."""
    logits = weights @ inputs.T
    log_likelihood = -torch.nn.functional.binary_cross_entropy_with_logits(
        logits, labels.expand_as(logits), reduction="none"
    ).sum(-1)
    return log_likelihood - weights.square().sum(-1) / 2


target = nm.DensityTarget(log_density, dim=5, gaussian_prior=True, device="cpu")
run = nm.sample(target, nm.HMC(), chains=8, warmup=100, draws=200, seed=0, keep="position")

print("weight  true  posterior mean   95 % interval")
position = run.draws["position"].reshape(-1, 5)  # [chains, draws, 5] to [chains * draws, 5]
for number, weight in enumerate(truth.tolist()):
    low, middle, high = (
        float(value)
        for value in torch.quantile(
            torch.as_tensor(position[:, number]), torch.tensor([0.025, 0.5, 0.975], dtype=torch.float64)
        )
    )
    print(f"{number:6}  {weight:4.1f}  {run.estimates[f'position[{number}]'].value:14.3f}   {low:.2f} to {high:.2f}")
print("acceptance", round(run.acceptance, 2), "- verdict:", run.verdict.failures or "passed")
