"""What one draw of the posterior of a student with a teacher says, computed on its device."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nishimori.description import GaussianChannel
from nishimori.measurement.overlaps import effective_weights, layer_norms, mean_product, pair_mean_product
from nishimori.models.label_laws import label_law
from nishimori.models.layout import Position, chain_dot
from nishimori.models.posterior import Posterior
from nishimori.samplers.base import State
from nishimori_kernels.rows import row_mean

MIXING_OBSERVABLES = ("gibbs_error", "function_overlap", "overlap")
"""Those by which calibration judges how fast a chain mixes, beside what `fit_of` names."""


@dataclass(frozen=True, eq=False)
class Observation:
    """`values[name]` is [instances, chains], or [instances, pairs] for two-replica observables; `test_predictions`
    F on the test inputs, [instances, chains, test_samples], where there are some, or its mean given what is sampled,
    with `test_variance` left about it, and `label_means` E[y | F] there where that is not F; `effective_weights` v,
    [instances, chains, input_dim]; all float64."""

    values: dict[str, Tensor]
    test_predictions: Tensor | None = None
    test_variance: Tensor | None = None
    label_means: Tensor | None = None
    effective_weights: Tensor | None = None


class MatchedTeacherObservables:
    """Observables of every chain, and of the pairs of independent chains in `pairs`.

    training_energy   mean (y - F)^2 on the training inputs; its posterior mean over data sets is the noise variance.
                      With another channel than the Gaussian one there is training_log_likelihood in its place, mean
                      log p(y | F); its posterior mean over data sets is that of the teacher
    gibbs_classification_error
                      where labels are classes: mean probability on the test inputs that a label drawn by F is not one
                      drawn by F*
    train_mmse        mean (F - F*)^2 / 2 on the training inputs
    gibbs_error       mean (F - F*)^2 on the test inputs
    function_overlap  mean F F* on the test inputs
    function_norm     mean F^2 on the test inputs
    overlap           v . v* / input_dim of effective linear weights; divide by the mean of |v*|^2 / input_dim
    effective_norm    |v|^2 / input_dim
    layer_norm_l      |W_l|^2 / (d_l d_{l-1}); bias_norm_l  |b_l|^2 / d_l, where there are biases
    virial            theta . grad U / number of sampled parameters; its posterior mean is 1 for every data set
    replica_overlap, replica_function_overlap, bayes_error
                      v^A . v^B / input_dim, mean F_A F_B, mean (F* - F_A)(F* - F_B) for each pair (A, B)

    Of a student that differs from its teacher the last is no Bayes error and called posterior_mean_error, and in place
    of train_mmse there is train_gibbs_error, mean (F - F*)^2 on the training inputs.
    """

    def __init__(self, posterior: Posterior, pairs: Sequence[tuple[int, int]]) -> None:
        problem, device = posterior.problem, posterior.device
        teacher = problem.teacher or problem.known_teacher()
        self.posterior = posterior
        self.pairs = torch.tensor(list(pairs), dtype=torch.int64, device=device).reshape(-1, 2).T
        """[2, pairs]."""
        self.network = problem.network
        self.input_dim = self.network.input_dim
        self.labels = problem.labels.to(device).unsqueeze(1)
        self.law, self.gaussian = posterior.law, isinstance(problem.channel, GaussianChannel)
        self.matched = not problem.mismatch
        self.mean_error = "bayes_error" if self.matched else "posterior_mean_error"
        """What E (F* - <F>)^2 is called."""
        self.named_apart = teacher.network is not None
        """Whether the teacher was described on its own, be it like the student or not."""
        self.teacher_channel = teacher.channel or problem.channel
        self.teacher_law = self.law if self.matched else label_law(self.teacher_channel, device)
        self.latent = teacher.latent.to(device).unsqueeze(1)
        self.test_latent = teacher.test_latent.to(device).unsqueeze(1)
        self.weights = effective_weights(teacher.weights, teacher.network or self.network).to(device)
        self.squared_norm = mean_product(self.weights, self.weights).squeeze(1)
        """|v*|^2 / input_dim, [instances]."""
        self.test_label_means = self.teacher_law.mean(self.test_latent)
        """E[y | F*] on the test inputs, [instances, 1, test_samples]."""

    def __call__(self, state: State, weights: Position | None = None) -> Observation:
        """`weights` are all weights of the network; by default the sampled position is."""
        weights = state.position if weights is None else weights
        train = self.posterior.latent(weights, "train").double()
        test = self.posterior.latent(weights, "test").double()
        vectors = effective_weights(weights, self.network)
        train_error, test_error = train - self.latent, test - self.test_latent
        values = {
            **fit_of(self.posterior, self.labels, train),
            **self._of_training(row_mean(train_error.square())),
            "gibbs_error": row_mean(test_error.square()),
            "function_overlap": mean_product(test, self.test_latent),
            "function_norm": mean_product(test, test),
            "overlap": mean_product(vectors, self.weights),
            "effective_norm": mean_product(vectors, vectors),
            **layer_norms(weights, self.network),
            **virial(state, self.posterior.exact_force),
        }
        label_means = None if self.gaussian else self.law.mean(test)
        if label_means is not None and self.law.classes:
            values["gibbs_classification_error"] = (1 - mean_product(label_means, self.test_label_means)) / 2
        if self.pairs.numel():
            values["replica_overlap"] = pair_mean_product(vectors, self.pairs)
            values["replica_function_overlap"] = pair_mean_product(test, self.pairs)
            values[self.mean_error] = pair_mean_product(test_error, self.pairs)
        return Observation(values, test, label_means=label_means, effective_weights=vectors)

    def _of_training(self, squared_error: Tensor) -> dict[str, Tensor]:
        return {"train_mmse": squared_error / 2} if self.matched else {"train_gibbs_error": squared_error}

    def at_teacher(self) -> dict[str, NDArray[np.float64]]:
        """One-point observables at the teacher, [instances]."""
        values = {
            **{name: value.squeeze(1) for name, value in fit_of(self.posterior, self.labels, self.latent).items()},
            "function_norm": mean_product(self.test_latent, self.test_latent).squeeze(1),
            "effective_norm": self.squared_norm,
        }
        return {name: value.double().cpu().numpy() for name, value in values.items()}

    def mixing(self, state: State, weights: Position | None = None) -> Tensor:
        """The mixing observables, [observables, instances, chains]."""
        values = self(state, weights).values
        return torch.stack([values[name] for name in (*FITS, *MIXING_OBSERVABLES) if name in values])


FITS = ("training_energy", "training_log_likelihood")


def fit_of(posterior: Posterior, labels: Tensor, latent: Tensor) -> dict[str, Tensor]:
    """How F on the training inputs fits the labels, by one of the names `FITS`, [instances, chains]."""
    if isinstance(posterior.problem.channel, GaussianChannel):
        return {"training_energy": row_mean((labels - latent).square())}
    return {"training_log_likelihood": row_mean(posterior.law.log_likelihood(labels, latent))}


def virial(state: State, exact_force: bool = True) -> dict[str, Tensor]:
    """theta . grad U / number of parameters, whose mean is 1 for every density that decays; absent where the sampler
    needs no gradient, or a coarse one."""
    if state.gradient is None or not exact_force:
        return {}
    return {"virial": chain_dot(state.position, state.gradient) / state.position.layout.num_parameters}
