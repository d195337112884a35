"""The posteriors on which samplers of ours and of other libraries are compared."""

from dataclasses import dataclass, replace

import nishimori as nm


@dataclass(frozen=True)
class Case:
    dim: int
    samples: int
    depth: int
    noise_variance: float
    chains: int

    def __str__(self) -> str:
        sizes = f"input_dim={self.dim} width={self.dim} depth={self.depth} samples={self.samples}"
        return f"{sizes} noise_variance={self.noise_variance} chains={self.chains}"

    def problem(self) -> nm.Problem:
        network = nm.Network(self.dim, (self.dim,) * self.depth, "tanh")
        return nm.matched_teacher(network, nm.GaussianChannel(self.noise_variance), self.samples, test_samples=200)


TRAJECTORIES = (
    Case(100, 200, 1, 0.1, 64),
    Case(100, 200, 3, 0.1, 64),
    Case(400, 800, 1, 0.1, 8),
    Case(400, 800, 3, 0.1, 8),
)
SAMPLING = tuple(Case(100, 200, depth, noise, 8) for depth in (1, 3) for noise in (0.1, 0.01))
LARGE_SAMPLING = tuple(Case(200, 400, depth, noise, 8) for depth in (1, 3) for noise in (0.1, 0.01))


def chosen(cases: tuple[Case, ...], substring: str, chains: int | None) -> list[Case]:
    """Those whose name contains `substring`, with other `chains` where given."""
    found = [case for case in cases if substring in str(case)]
    return [case if chains is None else replace(case, chains=chains) for case in found]
