"""A system of one's own: the inverse of a sample covariance, whose mean trace is known (inverse Wishart law)."""

from pathlib import Path

import msgspec
import torch

from nishimori.cli import main
from nishimori.description.config import Count, KindSection, Positive, SimulationSection
from nishimori.description.identity import identity
from nishimori.models.addressed import Draws
from nishimori.systems import SYSTEMS
from nishimori.systems.simulation import Measured, Simulation
from nishimori_kernels.rng import Stream


class DataSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    input_dim: Count
    sample_ratio: Positive = 2.0


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    system: KindSection
    data: DataSection
    run: SimulationSection = SimulationSection()


class SampleCovariance(Simulation):
    """Inverse of the covariance of normal samples."""

    schema, papers, main = Config, ("Wishart 1928",), "mean_inverse"

    def parameters(self, config):
        return {"input_dim": config.data.input_dim, "samples": round(config.data.sample_ratio * config.data.input_dim)}

    def predict_at(self, parameters):
        return {"mean_inverse": parameters["samples"] / (parameters["samples"] - parameters["input_dim"] - 1)}

    def measure(self, config, instances, progress):
        dim, samples = self.parameters(config).values()
        draws = Draws.of(config.run.seed, identity(config), instances)
        rows = draws.rows(Stream.TRAIN_INPUTS, samples, dim)  # [instances, samples, dim]
        inverse = torch.linalg.inv(rows.mT @ rows / samples)
        return {"mean_inverse": Measured((inverse.diagonal(dim1=1, dim2=2).mean(1)).numpy())}


SYSTEMS["sample_covariance"] = SampleCovariance()
EXPERIMENT = """
[system]
kind = "sample_covariance"
[data]
input_dim = 40
[sweep]
"data.sample_ratio" = [1.5, 2.0, 4.0]
"""

if __name__ == "__main__":
    Path("covariance.toml").write_text(EXPERIMENT)
    code = main(["run", "covariance.toml", "--out", "runs/covariance"])
    print("verdict:", "failed" if code else "passed")
