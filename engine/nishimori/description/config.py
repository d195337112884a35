"""The experiment file as a schema: every key, its bounds and its default. A key that is not here is refused."""

from typing import Annotated, Any, ClassVar, Literal

import msgspec

Positive = Annotated[float, msgspec.Meta(gt=0, le=1e12)]
Count = Annotated[int, msgspec.Meta(ge=1, le=10**9)]
NonNegative = Annotated[int, msgspec.Meta(ge=0)]
Fraction = Annotated[float, msgspec.Meta(gt=0, lt=1)]

SamplerKind = Literal["auto", "hmc", "mala", "pcn", "underdamped_langevin", "mclmc", "replica_exchange"]
InformationMethod = Literal["ais", "collapsed", "immse", "chain_rule"]
TargetedEstimate = Literal[
    "bayes_error",
    "generalization_error",
    "gibbs_error",
    "train_mmse",
    "overlap",
    "function_overlap",
    "mutual_information",
]
ActivationName = Literal["identity", "tanh", "tanh2", "tanh2_nonlinear", "erf", "erf_sqrt2", "sin", "relu"]
GeneratorActivation = Literal["sign", "erf", "relu", "tanh", "erf_sqrt2", "sin"]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class SystemSection(_Section, frozen=True, kw_only=True):
    """Which experiment is run."""

    kind: Literal["matched_teacher"] = "matched_teacher"


class NetworkSection(_Section, frozen=True, kw_only=True):
    """`widths`, or `depth` with `width_ratios` (one for all hidden layers or one each; widths follow input_dim).
    `activation` is one name for all hidden layers or one each; `weight_variance` one for all weights, or one of each
    layer and of the readout; `bias_variance` that of every bias, 0 for none."""

    input_dim: Count
    widths: tuple[Count, ...] | None = None
    depth: NonNegative | None = None
    width_ratios: Positive | tuple[Positive, ...] | None = None
    activation: ActivationName | tuple[ActivationName, ...] = "tanh"
    readout: Literal["gaussian", "fixed"] = "gaussian"
    weight_variance: Positive | tuple[Positive, ...] = 1.0
    bias_variance: Annotated[float, msgspec.Meta(ge=0, le=1e12)] = 0.0


class ChannelSection(_Section, frozen=True, kw_only=True):
    """How labels are made from the latent output F; `noise_variance` is a variance. gaussian: F + noise; probit: the
    sign of F + noise; logistic: 1 with probability 1 / (1 + exp(-F / temperature)), else -1, which takes `temperature`
    in the place of a variance; tanh, relu: that function of F, + noise."""

    kind: Literal["gaussian", "probit", "logistic", "tanh", "relu"] = "gaussian"
    noise_variance: Positive | None = None
    temperature: Positive | None = None


class InputsSection(_Section, frozen=True, kw_only=True):
    """Inputs of mean 0; "gaussian" are independent normal numbers. power_law: Gaussian, with variances proportional to
    k^-exponent, of mean 1; covariance: Gaussian, of the matrix in `file` (.npy), whose `digest` is filled in;
    correlated: as power_law, and a `correlation` with latent_ratio * input_dim latent normal numbers, in random
    `directions`, or the i-th with the i-th where they are "shared"; hidden_manifold: `depth` random layers with this
    `activation`, from latent_ratio * input_dim numbers. What is random here is a function of `seed`. `equivalent` takes
    Gaussian inputs with the moments of these. Defaults: `description.inputs`."""

    kind: Literal["gaussian", "power_law", "covariance", "correlated", "hidden_manifold"]
    exponent: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    file: str | None = None
    digest: str | None = None
    latent_ratio: Positive | None = None
    correlation: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    directions: Literal["random", "shared"] | None = None
    activation: GeneratorActivation | None = None
    depth: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = None
    seed: NonNegative | None = None
    equivalent: bool = False


class DataSection(_Section, frozen=True, kw_only=True):
    """`sample_ratio` (samples per input dimension) or `samples`. `common` shares teachers and rows between points."""

    sample_ratio: Positive | None = None
    samples: Count | None = None
    instances: Count = 16
    test_samples: Count = 1000
    inputs: Literal["gaussian"] | InputsSection = "gaussian"
    seed: NonNegative = 0
    common: bool = False


class SamplerSection(_Section, frozen=True, kw_only=True):
    """`kind = "auto"` chooses target and integrator of HMC by a short calibration; `integrator` and `target` then
    narrow the choice. `chains` counts chains per start; what is left out of step_size, num_steps and path_length is
    calibrated. `readouts` are drawn for every draw of a collapsed target, and observables averaged over them. Which
    other keys a kind takes, with their defaults: `sampler_defaults`."""

    kind: SamplerKind = "auto"
    integrator: Literal["leapfrog", "rotation", "minimum_norm", "minimum_norm_rotation", "fourth_order"] | None = None
    target: Literal["plain", "collapsed"] | None = None
    readouts: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    chains: Count = 2
    start: Literal["teacher", "prior", "both"] = "both"
    step_size: Positive | None = None
    num_steps: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None
    path_length: Annotated[float, msgspec.Meta(gt=0, le=1000)] | None = None
    target_acceptance: Fraction | None = None
    jitter: Annotated[float, msgspec.Meta(ge=0, lt=1)] | None = None
    friction: Positive | None = None
    adjusted: bool | None = None
    over_relaxed: bool | None = None
    inverse_temperatures: tuple[Annotated[float, msgspec.Meta(gt=0, le=1)], ...] | None = None
    calibration_chains: Count = 4


class RunSection(_Section, frozen=True, kw_only=True):
    """`warmup` transitions, then `draws` kept ones, `thin` transitions apart; `keep = "position"` also keeps every
    drawn position, which prediction at new inputs needs. `precision` "fp32" or "fp64" is that of everything but sums;
    the others are precisions of the force alone, "auto" the fastest of those that loses little acceptance.
    `error_target` maps estimates to relative standard errors: batches of data.instances instances are sampled until all
    are reached, at most `most_batches` (64 where there is a target). Draws are committed to files every
    `segment_seconds`: that much work a killed run does again. Chains are sampled in so many `blocks`, one after the
    other, in less memory and with the same draws (see `description.blocks`)."""

    warmup: NonNegative = 50
    draws: Count = 200
    thin: Count = 1
    seed: NonNegative = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "fp64", "bf16", "fp16", "tf32", "bf16x3", "auto"] = "fp32"
    keep: Literal["observables", "position"] = "observables"
    error_target: dict[TargetedEstimate, Fraction] | None = None
    most_batches: Count | None = None
    segment_seconds: Annotated[float, msgspec.Meta(ge=0, le=1e6)] = 60.0
    blocks: Count = 1


class InformationSection(_Section, frozen=True, kw_only=True):
    """`method` measures the mutual information of teacher and data beside the run; without one it is not measured. A
    method's settings, with their defaults: `description.information`."""

    method: InformationMethod | None = None
    rungs: Annotated[int, msgspec.Meta(ge=2, le=10**6)] | None = None
    nodes: Annotated[int, msgspec.Meta(ge=1, le=64)] | None = None
    chains: Count | None = None
    warmup: NonNegative | None = None
    draws: Count | None = None


class ObservablesSection(_Section, frozen=True, kw_only=True):
    """What is measured beyond what every run measures: `layer_overlaps` of "weights", "features" and "kernels" of every
    layer, with the teacher and between replicas, hidden units matched."""

    layer_overlaps: tuple[Literal["weights", "features", "kernels"], ...] = ()


class ControlSection(_Section, frozen=True, kw_only=True):
    """The infinitely wide network as control variate of the Bayes error and the overlap: with `data_sets`, from 0 on,
    both are what it has, known without sampling, and a small difference that is sampled; what is known is averaged over
    the instances and as many data sets more, that of the mutual information too."""

    data_sets: Annotated[int, msgspec.Meta(ge=0, le=10**6)] | None = None


class Config(_Section, frozen=True, kw_only=True):
    """One point: the experiment file without its sweep."""

    system: SystemSection = SystemSection()
    network: NetworkSection
    channel: ChannelSection
    data: DataSection
    sampler: SamplerSection = SamplerSection()
    run: RunSection = RunSection()
    information: InformationSection = InformationSection()
    observables: ObservablesSection = ObservablesSection()
    control: ControlSection = ControlSection()
    teacher: dict[str, Any] = {}
    """What the data have otherwise than the student: keys of [network] and [channel], see `description.teacher`."""


class KindSection(_Section, frozen=True, kw_only=True):
    """[system] of what is not the matched teacher; its kind is known by then."""

    kind: str


class SimulationSection(_Section, frozen=True, kw_only=True):
    """[run] of simulated systems: so many independent `instances`, on `device`, measured in so many `blocks` of
    instances, one after the other, with the same results. A block that was measured is kept; where its instances are
    measured one after the other, they are kept every `segment_seconds`: that much work a killed run does again."""

    instances: Annotated[int, msgspec.Meta(ge=2, le=10**6)] = 16
    seed: NonNegative = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    segment_seconds: Annotated[float, msgspec.Meta(ge=0, le=1e6)] = 60.0
    blocks: Count = 1

    error_target: ClassVar[None] = None
    most_batches: ClassVar[None] = None


def has_chains(config: Any) -> bool:
    """Whether a point is of a system that samples, with segments and states."""
    return isinstance(config, Config)


def to_plain(config: Any) -> dict[str, Any]:
    """Every key with its value, defaults included, as JSON-ready dicts and lists."""
    return msgspec.to_builtins(config)


_STEPS = {"step_size": None, "num_steps": None, "path_length": None}
_TARGET = {"target": "plain", "readouts": 1}
_HMC = {"integrator": "leapfrog", **_TARGET, **_STEPS, "target_acceptance": 0.8, "jitter": 0.2}
_SAMPLER_KEYS: dict[str, dict[str, Any]] = {
    "auto": {"integrator": None, **_TARGET, "target": None, "target_acceptance": 0.8, "jitter": 0.2},
    "hmc": _HMC,
    "mala": {**_TARGET, "step_size": None, "target_acceptance": 0.574},
    "pcn": {**_TARGET, "step_size": None, "target_acceptance": 0.3, "over_relaxed": False},
    "underdamped_langevin": {
        "integrator": "leapfrog",
        **_TARGET,
        **_STEPS,
        "friction": None,
        "adjusted": True,
        "target_acceptance": 0.98,
    },
    "mclmc": {**_TARGET, **_STEPS, "adjusted": True, "jitter": 0.2, "target_acceptance": None},
    "replica_exchange": {**_HMC, "inverse_temperatures": None},
}


def sampler_defaults(kind: str) -> dict[str, Any]:
    """The keys of [sampler] that a kind takes beyond kind, chains, start and calibration_chains, with their defaults;
    None is what calibration, or the sampler itself, chooses."""
    return dict(_SAMPLER_KEYS[kind])
