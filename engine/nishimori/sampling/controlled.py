"""Bayes error and overlap of a run, measured against the infinitely wide network.

For any predictor m of F* that is a function of the data, exactly (Pythagoras: <F> is the mean of F* given the data),

    E (F* - <F>)^2 = E (m - F*)^2 - E (<F> - m)^2,

and for any w that is one and the effective linear weights v, with N = E |v*|^2, input_dim times all weight variances,

    E v* . <v> = N - E |w - v*|^2 + E |<v> - w|^2.

With the wide network's posterior means as m and w, the averages over teachers need no sampling (see
`measurement.kernel_reference`), and what is sampled is small. Its estimator is the mean of (<F>_A - m)(<F>_B - m) over
pairs of chains A, B that are independent given the data: the square of one noisy mean is biased upwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nishimori.measurement.error_bars import Estimate, controlled_mean, disorder_mean
from nishimori.measurement.kernel_reference import KernelReference, further_averages
from nishimori.measurement.observers import has_teacher
from nishimori.measurement.predictions import PredictionMeans
from nishimori.models.collapsed import CollapsedPosterior
from nishimori.models.posterior import Posterior
from nishimori.models.problem import Problem
from nishimori.sampling.run import Run

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Controlled:
    """An observable as `estimate`: `kernel`, which is known without sampling, and a `distance` that was sampled.

    `bayes_error` is E (m - F*)^2 minus E (<F> - m)^2, on the test inputs; `overlap` 1 - E |w - v*|^2 / N plus
    E |<v> - w|^2 / N. Standard errors are those over instances.
    """

    estimate: Estimate
    kernel: Estimate
    distance: Estimate


@dataclass(frozen=True)
class ControlledErrors:
    """What `controlled_errors` measures."""

    bayes_error: Controlled
    overlap: Controlled


def controlled_errors(run: Run, data_sets: int = 0, seed: int = 0, point: str = "") -> ControlledErrors:
    """From the posterior means that a run kept; needs chains that are independent given the data, as start="both" has.

    What needs no sampling is averaged over the instances of the run and `data_sets` more. `seed` and `point` address
    these, and the hidden layers that are averaged over in networks deeper than one layer.
    Raises ValueError where there is no teacher, where no two chains are independent, and for a channel other than the
    Gaussian one.
    """
    return ControlledValues.of(run, seed, point).errors(run, data_sets, seed, point)


@dataclass(frozen=True, eq=False)
class ControlledValues:
    """Instance by instance, [2, instances] each, of the Bayes error and the overlap: what is `known` without sampling,
    the `distance` that was sampled, and its Monte Carlo variance."""

    known: Values
    distance: Values
    variance: Values

    @classmethod
    def of(cls, run: Run, seed: int, point: str) -> "ControlledValues":
        """Raises as `controlled_errors`."""
        problem, weights = _problem_of(run), run.predictions.weights
        pairs = run.plan.independent_pairs()
        if not pairs or weights is None:
            raise ValueError("the run has no two chains that are independent given the data; sample with start='both'")
        reference = KernelReference(problem, seed, point)
        distances = [
            _distance(run.predictions, reference.wide.predictions("test"), pairs),
            _distance(weights, reference.wide.effective_weights, pairs, problem.network.effective_variance),
        ]
        known = np.stack([reference.squared_error.numpy(), reference.overlap.numpy()])
        return cls(known, *(np.stack(values) for values in zip(*distances, strict=True)))

    @classmethod
    def joined(cls, parts: Sequence["ControlledValues"]) -> "ControlledValues":
        """The instances of all, in order."""
        names = ("known", "distance", "variance")
        return cls(*(np.concatenate([getattr(part, name) for part in parts], axis=1) for name in names))

    def errors(self, run: Run, data_sets: int, seed: int, point: str) -> ControlledErrors:
        """With what is known averaged over `data_sets` more data sets of the law that `run`, any of the runs that these
        values are of, has."""
        further = further_averages(_problem_of(run), data_sets, seed, point)
        return ControlledErrors(
            self._controlled(0, further.squared_error, -1.0), self._controlled(1, further.overlap, 1.0)
        )

    def _controlled(self, row: int, further: Values, sign: float) -> Controlled:
        known, distance, variance = self.known[row], self.distance[row], self.variance[row]
        everything = np.concatenate([known, further])
        return Controlled(
            controlled_mean(known, further, -sign * distance, variance),
            disorder_mean(everything, np.zeros_like(everything)),
            disorder_mean(distance, variance),
        )


def _problem_of(run: Run) -> Problem:
    target = run.target
    if not (isinstance(target, Posterior | CollapsedPosterior) and has_teacher(target)):
        raise ValueError("the run sampled no posterior of a matched teacher's problem; draw one with matched_teacher")
    return target.problem


def _distance(
    means: PredictionMeans, control: Tensor, pairs: Sequence[tuple[int, int]], unit: float = 1.0
) -> tuple[Values, Values]:
    """Mean over pairs and components of (<.>_A - control)(<.>_B - control) / unit, and its Monte Carlo variance."""
    place = control.unsqueeze(1).to(means.mean().device)
    value, variance = means.bayes_error(place, pairs)
    return value.cpu().numpy() / unit, variance.cpu().numpy() / unit**2
