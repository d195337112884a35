"""`controlled_bayes_error`: the Bayes error of a run, measured against the infinitely wide network.

For any predictor m that is a function of the data, exactly (Pythagoras: <F> is the mean of F* given the data),

    E (F* - <F>)^2 = E (m - F*)^2 - E (<F> - m)^2.

With the wide network's posterior mean as m, the first term needs no sampling and the second is small. Its estimator is
the mean of (<F>_A - m)(<F>_B - m) over pairs of chains A, B that are independent given the data: the square of one
noisy mean is biased upwards.
"""

from dataclasses import dataclass

import numpy as np

from nishimori.measurement.error_bars import Estimate, disorder_mean
from nishimori.measurement.kernel_reference import KernelReference
from nishimori.measurement.observers import has_teacher
from nishimori.models.collapsed import CollapsedPosterior
from nishimori.models.posterior import Posterior
from nishimori.sampling.run import Run


@dataclass(frozen=True)
class ControlledBayesError:
    """`bayes_error` = `kernel_error` - `distance`, instance by instance; standard errors are those over instances.

    `kernel_error` is E (m - F*)^2, `distance` E (<F> - m)^2, on the test inputs.
    """

    bayes_error: Estimate
    kernel_error: Estimate
    distance: Estimate


def controlled_bayes_error(run: Run, seed: int = 0, point: str = "") -> ControlledBayesError:
    """From the prediction means that a run kept; needs chains that are independent given the data, as start="both" has.

    `seed` and `point` address the hidden layers that m's error is averaged over in networks deeper than one layer.
    Raises ValueError where there is no teacher, or where no two chains are independent.
    """
    target = run.target
    if not (isinstance(target, Posterior | CollapsedPosterior) and has_teacher(target)):
        raise ValueError("the run sampled no posterior of a matched teacher's problem; draw one with matched_teacher")
    pairs = run.plan.independent_pairs()
    if not pairs:
        raise ValueError("the run has no two chains that are independent given the data; sample with start='both'")
    reference = KernelReference(target.problem, seed, point)
    means = reference.wide.predictions("test").unsqueeze(1).to(target.device)
    distance, variance = (values.cpu().numpy() for values in run.predictions.bayes_error(means, pairs))
    error = reference.squared_error.numpy()
    return ControlledBayesError(
        disorder_mean(error - distance, variance),
        disorder_mean(error, np.zeros_like(error)),
        disorder_mean(distance, variance),
    )
