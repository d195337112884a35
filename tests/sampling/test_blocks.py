"""Chains do not know which others are sampled beside them: in any blocks they are the same, to the bit where a chain's
rows fill the tiles of the matrix product, and to rounding at any width.

The first layer of all chains of an instance is one product, whose last rows are summed in another order where they fill
no tile: which rows these are depends on the number of chains."""

from collections.abc import Sequence

import numpy as np
import pytest

import nishimori as nm
from nishimori.chains.progress import silent
from nishimori.sampling import Run
from nishimori.sampling.parts import RunParts

CHAINS = 8
BLOCKS = {"2 x 4": [range(4), range(4, 8)], "8 x 1": [[chain] for chain in range(8)], "mixed": [(5, 0, 7), (2,)]}
TARGETS = {"plain": nm.Posterior, "readout integrated out": nm.CollapsedPosterior}


class Blocks:
    """The same chains with the same calibration, any of them at a time."""

    def __init__(self, target: nm.Posterior | nm.CollapsedPosterior) -> None:
        self.target, self.sampler = target, nm.HMC("rotation", num_steps=4)
        self.record = nm.sample(target, self.sampler, chains=2, warmup=0, draws=1, progress=silent).calibration

    def run(self, chains: Sequence[int] | None = None) -> Run:
        """4 chains from the teacher and 4 from the prior, or those named."""
        return nm.sample(
            self.target,
            self.sampler,
            chains=CHAINS // 2,
            warmup=5,
            draws=6,
            thin=2,
            start="both",
            only_chains=chains,
            calibration=self.record,
            keep="position",
            progress=silent,
        )


def differences(found: Run, whole: Run, chains: Sequence[int]) -> dict[str, float]:
    """Largest difference of every array with an axis of chains, relative to its largest number; infinite where one is
    NaN alone or has another shape."""
    one, all_ = RunParts.of(found), RunParts.of(whole)
    apart: dict[str, float] = {}
    for group, arrays in {**all_.segment, **all_.state}.items():
        mine = one.state[group] if group in all_.state else one.segment[group]
        axis = 2 if group == "moments" else 1
        for name, values in arrays.items():
            if values.ndim > axis and values.shape[axis] == CHAINS and name in mine:
                expected = np.take(values, list(chains), axis)
                same = np.array_equal(mine[name], expected, equal_nan=expected.dtype.kind == "f")
                scale = float(np.abs(expected).max()) or 1.0
                apart[f"{group}/{name}"] = 0.0 if same else float(np.abs(mine[name] - expected).max()) / scale
    return apart


@pytest.fixture(scope="module", params=["fp32", "fp64"])
def precision(request: pytest.FixtureRequest) -> str:
    return request.param


def apart(kind: str, width: int, precision: str) -> dict[str, float]:
    """The largest differences of all divisions into blocks."""
    problem = nm.matched_teacher(nm.Network(width, (width,), "tanh"), nm.GaussianChannel(0.2), 48, 2, test_samples=3)
    blocks = Blocks(TARGETS[kind](problem, precision, "cpu"))
    whole, worst = blocks.run(), dict[str, float]()
    for chains in (chains for division in BLOCKS.values() for chains in division):
        for name, difference in differences(blocks.run(chains), whole, chains).items():
            worst[name] = max(worst.get(name, 0.0), difference)
    assert {"draws/position", "statistics/energy_error", "state/position", "moments/test_prediction_sum"} <= set(worst)
    return worst


@pytest.mark.parametrize("kind", TARGETS)
def test_blocks_of_any_size_are_the_same_to_the_bit(kind: str, precision: str) -> None:
    assert not [name for name, difference in apart(kind, 32, precision).items() if difference != 0]


@pytest.mark.parametrize("kind", TARGETS)
def test_at_an_awkward_width_they_are_the_same_to_rounding(kind: str) -> None:
    assert max(apart(kind, 7, "fp64").values()) < 1e-10


def test_another_seed_is_another_chain() -> None:
    """The negative control of the comparison."""
    problem = nm.matched_teacher(nm.Network(7, (7,), "tanh"), nm.GaussianChannel(0.2), 48, 2, test_samples=3)
    blocks = Blocks(nm.Posterior(problem, "fp64", "cpu"))
    assert differences(blocks.run([1, 2]), blocks.run(), [1, 3])["draws/position"] > 1e-2
