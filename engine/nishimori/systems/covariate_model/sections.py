"""What an experiment file of the covariate model holds."""

from typing import Annotated, Literal

import msgspec

from nishimori.description.config import Count, InputsSection, KindSection, Positive, SimulationSection


class NetworkSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """p, the numbers that the student sees."""

    input_dim: Count


class LabelsSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """linear: u + noise, sign: the sign of u + noise, of u = theta0.z / sqrt(k); `noise_variance` may be 0. The teacher
    acts on z, the "latents" of the inputs with variances falling as i^-latent_exponent, of mean 1, or the "inputs"."""

    kind: Literal["linear", "sign"] = "linear"
    noise_variance: Annotated[float, msgspec.Meta(ge=0, le=1e12)] = 0.0
    acts_on: Literal["latents", "inputs"] = "latents"
    latent_exponent: Annotated[float, msgspec.Meta(ge=0, le=100)] = 0.0


class LossSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Of linear labels square: (y - z)^2 / 2, and huber: |y - z| - 1/2 where that is more than 1, else as square; of
    signs square, logistic: log(1 + exp(-y z)), and hinge: max(0, 1 - y z); plus `regularisation` |w|^2 / 2."""

    kind: str = "square"
    regularisation: Positive = 0.1


class DataSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`sample_ratio` * p samples a data set; `test_samples` more where the inputs are not Gaussian."""

    sample_ratio: Positive
    test_samples: Count = 5000


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One point."""

    system: KindSection
    network: NetworkSection
    inputs: Literal["gaussian"] | InputsSection = "gaussian"
    labels: LabelsSection = LabelsSection()
    loss: LossSection = LossSection()
    data: DataSection
    run: SimulationSection = SimulationSection()
