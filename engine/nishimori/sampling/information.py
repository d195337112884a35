"""`information`: the mutual information of teacher and data, measured."""

import hashlib
from dataclasses import replace

import msgspec
import torch

from nishimori.adaptation.annealed_steps import pilot_step_sizes
from nishimori.chains.checkpoint_files import CheckpointFiles
from nishimori.chains.checkpoints import Checkpoints, checkpointed
from nishimori.chains.progress import Progress, reporter
from nishimori.description import GaussianChannel
from nishimori.description.information import INFORMATION_METHODS, information_defaults
from nishimori.measurement.evidence import EvidenceBounds
from nishimori.measurement.information import Information, Measured, Summed
from nishimori.measurement.kernel_reference import KernelReference, further_averages
from nishimori.models.collapsed import CollapsedPosterior
from nishimori.models.label_laws import label_law
from nishimori.models.posterior import Posterior
from nishimori.models.problem import CPU, Problem
from nishimori.models.randomness import Randomness
from nishimori.samplers.annealed_importance import LogWeights, both_ends, ladder_of, log_weights, stiffness_of
from nishimori.samplers.base import require_whole
from nishimori.sampling.chain_rule import summed_predictions
from nishimori.sampling.immse import integrated_mmse
from nishimori.sampling.teacher_chains import Effort

FORM = 1
"""Of what is kept while it goes on: files of another one are not gone on from."""
LEAST = {"rungs": 2, "chains": 1, "nodes": 1, "warmup": 0, "draws": 1}


def information(
    target: Posterior | Problem,
    method: str = "ais",
    *,
    rungs: int | None = None,
    nodes: int | None = None,
    chains: int | None = None,
    warmup: int | None = None,
    draws: int | None = None,
    seed: int = 0,
    point: str = "",
    control: bool | None = None,
    data_sets: int = 0,
    progress: Progress | None = None,
    files: CheckpointFiles | None = None,
) -> Information:
    """I(theta*; D) / n of a matched teacher, in nats a sample.

    A `Problem` stands for its posterior in single precision. By `method`, with the settings it takes and their
    defaults:

    "ais" (rungs=600, chains=1): between two bounds, for any channel. Annealed importance sampling from the prior bounds
    the evidence from below, from the teacher, an exact posterior draw, from above (see `samplers.annealed_importance`
    and `measurement.evidence`), `chains` of each an instance, over `rungs` temperatures and five integrator steps a
    rung; the gap falls about as 1 / rungs. Step sizes are those of a pilot that never sees the teacher.
    "collapsed" (rungs=300, chains=1): the same on the hidden layers alone, the Gaussian readout integrated out, for the
    Gaussian channel.
    "immse" (nodes=6, chains=1, warmup=100, draws=200): the integral of the training MMSE over the signal-to-noise
    ratio, labels drawn anew at every node, for the Gaussian channel (see `sampling.immse`).
    "chain_rule" (nodes=5, chains=1, warmup=100, draws=200): what each sample adds to those before, from predictive
    densities of fresh labels of the test inputs, for any channel (see `sampling.chain_rule`).

    The last two start at the teacher, read `draws` transitions of `chains` chains an instance after `warmup`, and have
    no bounds: `lower` and `upper` are the same. With `control`, by default where the channel is Gaussian, the estimate
    is made a second time against the infinitely wide network on the same inputs, with a smaller error bar (see
    `measurement.information` and `measurement.kernel_reference`); "immse" then runs as many chains from the prior, and
    what needs no sampling is averaged over `data_sets` more data sets. What
    an instance gives depends on (seed, point, its identity) and the counts alone; by the last two, on the trajectory
    length chosen for all instances too.

    With `files` (see `chains.checkpoint_files`) what was done is kept now and then, and before Stopped leaves, where
    `progress` raises it; a measurement of the same arguments goes on from there, to the bit. Calibrations, which the
    last two begin with, are kept when they are done. The files are left to the caller.

    Raises ValueError where there is no teacher, for another target or method, for settings that the method does not
    take or that are too small, for a readout or a channel that it cannot do, or with `control` for an activation of
    one's own whose kernel is not known, or another channel than the Gaussian one; `control=False` does without.
    """
    posterior = _posterior_of(target)
    given = {"rungs": rungs, "nodes": nodes, "chains": chains, "warmup": warmup, "draws": draws}
    counts = _counts(method, given)
    problem, report = posterior.problem, progress or reporter("information")
    teacher = problem.known_teacher()
    if control is None:
        control = isinstance(problem.channel, GaussianChannel)
    kernel = KernelReference(problem, seed, point) if control else None
    reference = kernel.information if kernel else None
    likelihood = label_law(problem.channel, CPU).log_likelihood(problem.labels, teacher.latent).sum(-1).numpy()
    work = _identity(method, counts, control, seed, point, posterior)
    with checkpointed(report, files, work) as checkpoints:
        if method in ("ais", "collapsed"):
            annealed = _collapsed(posterior) if method == "collapsed" else posterior
            found, acceptance = _evidence(annealed, counts["rungs"], counts["chains"], seed, point, checkpoints)
        else:
            found = _summed(posterior, method, kernel, counts, seed, point, checkpoints)
            acceptance = found.acceptance
    if reference:
        further = further_averages(problem, data_sets, seed, point)
        reference = replace(reference, further=further.information)
    return Information.of(Measured(method, problem.samples, likelihood, found, reference, acceptance))


def _identity(method: str, counts: dict[str, int], control: bool, seed: int, point: str, posterior: Posterior) -> str:
    """Hash of what the chains depend on."""
    named = FORM, method, sorted(counts.items()), control, seed, point, posterior.instances, posterior.precision
    hashed = hashlib.blake2b(msgspec.json.encode(named), digest_size=16)
    hashed.update(posterior.problem.labels.contiguous().numpy().tobytes())
    return hashed.hexdigest()


def _summed(
    posterior: Posterior,
    method: str,
    kernel: KernelReference | None,
    counts: dict[str, int],
    seed: int,
    point: str,
    checkpoints: Checkpoints,
) -> Summed:
    effort = Effort(counts["chains"], counts["warmup"], counts["draws"])
    if method == "immse":
        wide = kernel.wide if kernel else None
        return integrated_mmse(posterior, wide, counts["nodes"], effort, seed, point, checkpoints)
    return summed_predictions(posterior, kernel is not None, counts["nodes"], effort, seed, point, checkpoints)


def _evidence(
    target: Posterior | CollapsedPosterior, rungs: int, chains: int, seed: int, point: str, checkpoints: Checkpoints
) -> tuple[EvidenceBounds, float]:
    weights = _weights(target, rungs, chains, seed, point, checkpoints)
    # The Phi of a collapsed posterior holds the constants of the likelihood.
    constant = target.problem.samples * target.omitted_constant if isinstance(target, Posterior) else 0.0
    return EvidenceBounds.of(weights.forward.numpy(), weights.reverse.numpy(), constant), weights.acceptance


def _weights(
    target: Posterior | CollapsedPosterior, rungs: int, chains: int, seed: int, point: str, checkpoints: Checkpoints
) -> LogWeights:
    stiffness = stiffness_of(target.problem.channel.noise_variance)
    address = rungs, stiffness, seed, point
    chosen = checkpoints.once(
        "pilot", lambda: {"step_size": pilot_step_sizes(target, *address, checkpoints.loop("pilot")).numpy()}
    )
    randomness = Randomness.of(seed, point, target.instances, range(2 * chains))
    start = both_ends(target, randomness)
    ladder = ladder_of(rungs, stiffness)
    step_size = torch.tensor(chosen["step_size"], device="cpu")
    return log_weights(target, start, ladder, step_size, randomness, checkpoints.loop("annealing"))


def _collapsed(posterior: Posterior) -> CollapsedPosterior:
    precision = "fp64" if posterior.precision == "fp64" else "fp32"
    return CollapsedPosterior(posterior.problem, precision, posterior.device.type)


def _posterior_of(target: Posterior | Problem) -> Posterior:
    if isinstance(target, Problem):
        target.known_teacher()
        return Posterior(target)
    if not isinstance(target, Posterior):
        raise ValueError(f"information needs a Problem or its Posterior, got {type(target).__name__}; give one of them")
    return target


def _counts(method: str, given: dict[str, int | None]) -> dict[str, int]:
    """The settings of the method, its defaults where none are given."""
    if method not in INFORMATION_METHODS:
        raise ValueError(f"method {method!r} is not known; use {', '.join(INFORMATION_METHODS)}")
    defaults = information_defaults(method)
    said = {name: value for name, value in given.items() if value is not None}
    require_whole(**said)
    for name, value in said.items():
        if name not in defaults:
            raise ValueError(f"{name} does not go with method {method!r}; leave it out, or use {', '.join(defaults)}")
        if value < LEAST[name]:
            least = LEAST[name]
            raise ValueError(f"{name} must be at least {least}, got {value}; ask for {least} or more")
    return {**defaults, **said}
