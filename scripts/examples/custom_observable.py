"""Our own posterior with an observable of yours: how much of the weights lies along the teacher's, unit by unit.

The readout is integrated out while sampling and drawn for every observation, so the observable sees all weights.
"""

import torch

import nishimori as nm

network = nm.Network(input_dim=20, widths=(20,), activation="tanh")
problem = nm.matched_teacher(network, nm.GaussianChannel(noise_variance=0.1), samples=40, instances=8, seed=0)
teacher_layer = problem.teacher.weights.blocks[0].squeeze(1)  # [instances, 20, 20]


def largest_unit_overlap(weights: torch.Tensor) -> torch.Tensor:
    """[instances, chains, parameters] to [instances, chains]: the largest cosine of a unit and one of the teacher."""
    layer = weights[..., : 20 * 20].unflatten(-1, (20, 20))
    student = torch.nn.functional.normalize(layer, dim=-1)
    teacher = torch.nn.functional.normalize(teacher_layer, dim=-1).to(student).unsqueeze(1)
    return (student @ teacher.transpose(-1, -2)).abs().amax(dim=(-2, -1))


run = nm.sample(
    nm.CollapsedPosterior(problem, device="cpu"),
    nm.HMC("rotation"),
    chains=2,
    warmup=30,
    draws=600,
    seed=1,
    observables={"largest_unit_overlap": largest_unit_overlap},
)

for name in ("bayes_error", "gibbs_error", "overlap", "largest_unit_overlap"):
    estimate = run.estimates[name]
    print(f"{name:21} {estimate.value:.3f} +- {estimate.standard_error:.3f}")
print("verdict:", run.verdict.failures or "passed")
