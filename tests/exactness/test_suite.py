"""The suite's laws: which there are, a fast few that hold, and planted bugs that each of them must catch.

`nishimori selftest` checks all of them.
"""

import math
from dataclasses import replace
from functools import partial

import pytest
from spoilt import FrozenKernel, ScaledMomenta, Spoilt, WrongPrior
from targets import wrong_energy, wrong_force

from nishimori.description.errors import BadInput
from nishimori.exactness.bias import BiasLaw
from nishimori.exactness.geweke import JointLaw
from nishimori.exactness.laws import Law, Outcome, Place
from nishimori.exactness.moments import MomentLaw
from nishimori.exactness.ranks import RankLaw, rank_laws
from nishimori.exactness.sampled import SAMPLERS
from nishimori.exactness.suite import chosen, suite
from nishimori.samplers.hmc import HMC

PLACE = Place()

COLDER = partial(wrong_energy, factor=1.02)
BUGS = {
    "energies 2 % too large": partial(Spoilt, target=COLDER),
    "momentum variance 0.98": partial(Spoilt, randomness=partial(ScaledMomenta, variance=0.98)),
    "prior variance 0.95": partial(Spoilt, target=partial(WrongPrior, variance=0.95)),
}


def named(name: str) -> Law:
    (law,) = chosen([name])
    return law


def deviates(outcome: Outcome) -> bool:
    return any(abs(one.z) > 4 for one in outcome.comparisons)


def test_every_sampler_meets_every_target_it_supports():
    names = [law.name for law in suite()]
    assert len(set(names)) == len(names)
    for target in ("gaussian", "linear-network", "collapsed", "funnel"):
        assert {f"{target}/{sampler}" for sampler in SAMPLERS} <= set(names)
    assert {"bimodal/replica-exchange", "bias/langevin", "bias/mclmc"} <= set(names)
    for test in ("geweke", "ranks", "geweke-collapsed", "ranks-collapsed"):
        assert {f"{test}/hmc-leapfrog", f"{test}/hmc-rotation"} <= set(names)


def test_laws_say_what_they_state():
    for law in suite():
        target, _, sampler = law.name.partition("/")
        assert target and sampler and len(law.statement) > 20 and law.name == law.name.lower()


def test_laws_are_chosen_in_the_order_of_the_suite():
    wanted = ["geweke/hmc-leapfrog", "gaussian/pcn"]
    assert [law.name for law in chosen(wanted)] == wanted[::-1]
    assert len(chosen([])) == len(suite())
    with pytest.raises(BadInput, match="no law of this name; see nishimori selftest --list"):
        chosen(["gaussian/pcn", "gaussian/gibbs"])


HOLDING = ["gaussian/pcn", "collapsed/hmc-minimum-norm", "ranks/hmc-leapfrog"]


@pytest.mark.parametrize("name", HOLDING)
def test_a_law_holds(name):
    outcome = named(name).check(PLACE)
    assert outcome.passed, outcome


def test_a_law_holds_in_single_precision():
    outcome = named("collapsed/hmc-leapfrog").check(Place(precision="fp32"))
    assert outcome.passed, outcome


PLANTED = [
    *[("gaussian/hmc-minimum-norm", bug) for bug in BUGS],
    *[("linear-network/hmc-rotation", bug) for bug in BUGS],
    ("collapsed/hmc-leapfrog", "energies 2 % too large"),
    ("collapsed/mala-pcnl", "energies 2 % too large"),
    ("collapsed/langevin", "energies 2 % too large"),
    ("collapsed/mclmc", "energies 2 % too large"),
    ("collapsed/pcn", "energies 2 % too large"),
    ("funnel/mclmc", "energies 2 % too large"),
]


@pytest.mark.parametrize(("name", "bug"), PLANTED)
def test_a_planted_bug_breaks_a_law(name, bug):
    law = named(name)
    assert isinstance(law, MomentLaw)
    outcome = replace(law, sampler=BUGS[bug](law.sampler)).check(PLACE)
    assert deviates(outcome), outcome


def test_a_sampler_that_never_moves_is_not_sharp_enough():
    """Its draws are exact, all of them the same."""
    law = named("linear-network/hmc-leapfrog")
    assert isinstance(law, MomentLaw)
    outcome = replace(law, sampler=Spoilt(law.sampler, moves=FrozenKernel)).check(PLACE)
    assert not deviates(outcome) and not outcome.passed


def test_plain_hmc_does_not_find_the_weights_of_two_modes():
    law = named("bimodal/replica-exchange")
    assert isinstance(law, MomentLaw)
    plain = replace(law, sampler=HMC("leapfrog", 0.7, 2), chains=200, warmup=0, draws=200)
    weight, _ = plain.check(PLACE).comparisons
    assert math.isnan(weight.z) and not weight.passed, "no chain crosses: the fraction has no spread"


@pytest.mark.parametrize(
    ("name", "bug"),
    [
        *[("geweke/hmc-leapfrog", bug) for bug in BUGS],
        ("geweke-biased/hmc-leapfrog", "energies 2 % too large"),
        ("geweke-collapsed/hmc-rotation", "energies 2 % too large"),
    ],
)
def test_the_joint_test_sees_a_planted_bug(name, bug):
    law = named(name)
    assert isinstance(law, JointLaw)
    outcome = replace(law, instances=1500, sampler=BUGS[bug](law.sampler)).check(PLACE)
    assert deviates(outcome), outcome


def test_ranks_see_a_posterior_of_another_temperature():
    law = named("ranks/hmc-rotation")
    assert isinstance(law, RankLaw)
    hot = Spoilt(HMC("leapfrog", 0.15, 8), target=partial(wrong_energy, factor=0.5))
    assert deviates(replace(law, sampler=hot).check(PLACE))


@pytest.mark.parametrize("name", ["bias/langevin", "bias/mclmc"])
def test_a_force_that_is_wrong_shows_at_step_zero(name):
    law = named(name)
    assert isinstance(law, BiasLaw)
    strong = partial(wrong_force, factor=1.05)
    spoilt = replace(law, sampler=lambda *steps: Spoilt(law.sampler(*steps), target=strong), chains=1000)
    assert deviates(spoilt.check(PLACE))


@pytest.mark.validate
@pytest.mark.parametrize("number", range(4))
def test_ranks_of_a_thousand_replications(number):
    outcome = rank_laws(1000)[number].check(PLACE)
    assert outcome.passed, outcome
