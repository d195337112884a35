"""The experiment file as a schema: every key, its bounds and its default. A key that is not here is refused."""

from typing import Annotated, Any, Literal

import msgspec

Positive = Annotated[float, msgspec.Meta(gt=0, le=1e12)]
Count = Annotated[int, msgspec.Meta(ge=1, le=10**9)]
NonNegative = Annotated[int, msgspec.Meta(ge=0)]
Fraction = Annotated[float, msgspec.Meta(gt=0, lt=1)]

ActivationName = Literal["identity", "tanh", "tanh2", "erf", "erf_sqrt2", "sin", "relu"]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class SystemSection(_Section, frozen=True, kw_only=True):
    """Which experiment is run."""

    kind: Literal["matched_teacher"] = "matched_teacher"


class NetworkSection(_Section, frozen=True, kw_only=True):
    """`widths`, or `depth` with `width_ratios` (one for all hidden layers or one each; widths follow input_dim)."""

    input_dim: Count
    widths: tuple[Count, ...] | None = None
    depth: NonNegative | None = None
    width_ratios: Positive | tuple[Positive, ...] | None = None
    activation: ActivationName = "tanh"
    readout: Literal["gaussian"] = "gaussian"


class ChannelSection(_Section, frozen=True, kw_only=True):
    """How labels are made from the latent output; `noise_variance` is a variance."""

    kind: Literal["gaussian"] = "gaussian"
    noise_variance: Positive


class DataSection(_Section, frozen=True, kw_only=True):
    """`sample_ratio` (samples per input dimension) or `samples`. `common` shares teachers and rows between points."""

    sample_ratio: Positive | None = None
    samples: Count | None = None
    instances: Count = 16
    test_samples: Count = 1000
    inputs: Literal["gaussian"] = "gaussian"
    seed: NonNegative = 0
    common: bool = False


class SamplerSection(_Section, frozen=True, kw_only=True):
    """HMC. `chains` counts chains per start; what is left out of step_size, num_steps, path_length is calibrated."""

    kind: Literal["hmc"] = "hmc"
    integrator: Literal["leapfrog", "rotation"] = "leapfrog"
    chains: Count = 2
    start: Literal["teacher", "prior", "both"] = "both"
    step_size: Positive | None = None
    num_steps: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None
    path_length: Annotated[float, msgspec.Meta(gt=0, le=1000)] | None = None
    target_acceptance: Fraction = 0.8
    jitter: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.2
    calibration_chains: Count = 4


class RunSection(_Section, frozen=True, kw_only=True):
    """`warmup` transitions, then `draws` kept ones, `thin` transitions apart."""

    warmup: NonNegative = 50
    draws: Count = 200
    thin: Count = 1
    seed: NonNegative = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "fp64"] = "fp32"


class Config(_Section, frozen=True, kw_only=True):
    """One point: the experiment file without its sweep."""

    system: SystemSection = SystemSection()
    network: NetworkSection
    channel: ChannelSection
    data: DataSection
    sampler: SamplerSection = SamplerSection()
    run: RunSection = RunSection()


def to_plain(config: Config) -> dict[str, Any]:
    """Every key with its value, defaults included, as JSON-ready dicts and lists."""
    return msgspec.to_builtins(config)
