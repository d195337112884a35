"""N transitions in one run are a and b in two, to the bit, for fifty random splits N = a + b."""

import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from continued import SAMPLERS, StopAt, assert_same, committed, journal, problem_of, record_of

import nishimori as nm
from nishimori.adaptation.calibration import CalibrationRecord
from nishimori.chains.stop import Stopped
from nishimori.samplers.base import Sampler

SPLITS, PRECISIONS = 50, ("fp32", "fp64")


@cache
def calibrated(sampler: str, precision: str) -> tuple[nm.Posterior, Sampler, CalibrationRecord]:
    posterior = nm.Posterior(problem_of("matched"), precision, "cpu")
    return posterior, SAMPLERS[sampler], record_of(posterior, SAMPLERS[sampler])


def asked_by(chance: random.Random) -> dict[str, Any]:
    return {
        "warmup": chance.randint(0, 4),
        "draws": chance.randint(2, 6),
        "thin": chance.randint(1, 3),
        "seed": chance.randrange(100),
        "keep": chance.choice(("observables", "position")),
    }


def test_random_splits_are_no_splits(tmp_path: Path) -> None:
    """Every sampler in both precisions, by turns, and by chance whatever else is asked."""
    chance, samplers = random.Random(SPLITS), list(SAMPLERS)
    for number in range(SPLITS):
        turn, place = divmod(number, len(samplers))
        case, asked = calibrated(samplers[place], PRECISIONS[turn % 2]), asked_by(chance)
        transitions = asked["warmup"] + asked["draws"] * asked["thin"]
        after, seconds = chance.randrange(1, transitions), chance.choice((0, 2, 5, 1e6))
        home, told = tmp_path / str(number), f"{case[1]} {asked}: {after} of {transitions}, {seconds} s"
        with pytest.raises(Stopped):
            committed(*case, journal(home, stop=StopAt(looks=after - 1), seconds=seconds), **asked)
        found = committed(*case, journal(home, seconds=seconds), **asked)
        assert_same(found, committed(*case, None, **asked), told)
