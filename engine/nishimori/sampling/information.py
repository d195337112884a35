"""`information`: the mutual information of teacher and data, measured."""

from functools import partial

from nishimori.adaptation.annealed_steps import pilot_step_sizes
from nishimori.chains.progress import Progress, reporter
from nishimori.measurement.evidence import EvidenceBounds
from nishimori.measurement.information import Information
from nishimori.measurement.kernel_reference import KernelReference
from nishimori.models.label_laws import label_law
from nishimori.models.posterior import Posterior
from nishimori.models.problem import CPU, Problem
from nishimori.models.randomness import Randomness
from nishimori.samplers.annealed_importance import LogWeights, both_ends, ladder_of, log_weights, stiffness_of
from nishimori.samplers.base import require_whole

METHODS = ("annealed",)


def information(
    target: Posterior | Problem,
    method: str = "annealed",
    *,
    rungs: int = 600,
    chains: int = 1,
    seed: int = 0,
    point: str = "",
    control: bool = True,
    progress: Progress | None = None,
) -> Information:
    """I(theta*; D) / n of a matched teacher between two bounds, in nats a sample.

    A `Problem` stands for its posterior in single precision. "annealed": annealed importance sampling from the prior
    bounds the evidence from below, from the teacher, an exact posterior draw, from above (see
    `samplers.annealed_importance` and `measurement.evidence`), `chains` of each an instance, over `rungs` temperatures
    and five integrator steps a rung; the gap falls about as 1 / rungs. Step sizes are those of a pilot that never sees
    the teacher. With `control`, the estimate is made a second time against the infinitely wide network on the same
    inputs, with a smaller error bar (see `measurement.information` and `measurement.kernel_reference`). What an
    instance gives depends on (seed, point, its identity) and the counts alone.

    Raises ValueError where there is no teacher, for another target or method, for counts that are too small, or with
    `control` for an activation of one's own whose kernel is not known, or another channel than the Gaussian one;
    `control=False` does without.
    """
    posterior = _posterior_of(target)
    _require(method, rungs, chains)
    problem, report = posterior.problem, progress or reporter("information")
    teacher = problem.known_teacher()
    reference = KernelReference(problem, seed, point).information if control else None
    weights = _weights(posterior, rungs, chains, seed, point, report)
    constant = problem.samples * posterior.omitted_constant
    evidence = EvidenceBounds.of(weights.forward.numpy(), weights.reverse.numpy(), constant)
    likelihood = label_law(problem.channel, CPU).log_likelihood(problem.labels, teacher.latent).sum(-1)
    return Information.of(evidence, likelihood.numpy(), problem.samples, weights.acceptance, reference)


def _weights(posterior: Posterior, rungs: int, chains: int, seed: int, point: str, report: Progress) -> LogWeights:
    stiffness = stiffness_of(posterior.problem.channel.noise_variance)
    step_size = pilot_step_sizes(posterior, rungs, stiffness, seed, point, partial(report, "pilot"))
    randomness = Randomness.of(seed, point, posterior.instances, range(2 * chains))
    start = both_ends(posterior, randomness)
    ladder = ladder_of(rungs, stiffness)
    return log_weights(posterior, start, ladder, step_size, randomness, partial(report, "annealing"))


def _posterior_of(target: Posterior | Problem) -> Posterior:
    if isinstance(target, Problem):
        target.known_teacher()
        return Posterior(target)
    if not isinstance(target, Posterior):
        raise ValueError(f"information needs a Problem or its Posterior, got {type(target).__name__}; give one of them")
    return target


def _require(method: str, rungs: int, chains: int) -> None:
    if method not in METHODS:
        raise ValueError(f"method {method!r} is not known; use {', '.join(METHODS)}")
    require_whole(rungs=rungs, chains=chains)
    for name, value, least in (("rungs", rungs, 2), ("chains", chains, 1)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}; ask for {least} or more")
