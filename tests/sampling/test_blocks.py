"""Chains do not know which others are sampled beside them: in any blocks, they are the same to the bit."""

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


def assert_chains_are(found: Run, whole: Run, chains: Sequence[int]) -> int:
    """The number of arrays that were compared."""
    one, all_ = RunParts.of(found), RunParts.of(whole)
    compared = 0
    for group, arrays in {**all_.segment, **all_.state}.items():
        mine = one.state[group] if group in all_.state else one.segment[group]
        axis = 2 if group == "moments" else 1
        for name, values in arrays.items():
            if values.ndim > axis and values.shape[axis] == CHAINS and name in mine:
                expected = np.take(values, list(chains), axis)
                np.testing.assert_array_equal(mine[name], expected, err_msg=f"{group}/{name}", strict=True)
                compared += 1
    return compared


@pytest.fixture(scope="module", params=["fp32", "fp64"])
def precision(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("width", [7, 32])
def test_blocks_of_any_size_are_the_same_to_the_bit(kind: str, width: int, precision: str) -> None:
    problem = nm.matched_teacher(nm.Network(width, (width,), "tanh"), nm.GaussianChannel(0.2), 48, 2, test_samples=3)
    blocks = Blocks(TARGETS[kind](problem, precision, "cpu"))
    whole = blocks.run()
    for division in BLOCKS.values():
        for chains in division:
            assert assert_chains_are(blocks.run(chains), whole, chains) > 12
