"""Which chains there are, when a draw is kept, and who drives the loop."""

from itertools import combinations, count

import pytest
import torch
from targets import GaussianTarget, fixed_kernel

import nishimori as nm
from nishimori.chains.loop import Schedule, chain_loop
from nishimori.chains.start import ChainPlan, initial_position
from nishimori.models.layout import Position
from nishimori.samplers.base import Info, State, gradient_of


def test_both_starts_number_teachers_first():
    plan = ChainPlan.of(3, "both")
    assert plan.chains == (0, 1, 2, 3, 4, 5)
    assert plan.starts == ("teacher",) * 3 + ("prior",) * 3
    assert (plan.where("teacher"), plan.where("prior")) == ([0, 1, 2], [3, 4, 5])


@pytest.mark.parametrize("start", ["teacher", "prior"])
def test_one_start(start):
    plan = ChainPlan.of(2, start)
    assert (plan.chains, plan.starts) == ((0, 1), (start, start))


def test_a_choice_of_chains_keeps_identity_and_start():
    plan = ChainPlan.of(2, "both", only=(3, 1))
    assert plan.chains == (3, 1)
    assert plan.starts == ("prior", "teacher")
    assert plan.independent_pairs() == [(0, 1)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2, "ridge"), "start must be one of"),
        ((0, "both"), "at least 1"),
        ((2, "both", (4,)), "there is no chain 4; chains are 0 to 3"),
        ((2, "prior", (-1,)), "there is no chain -1"),
    ],
)
def test_impossible_plans_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ChainPlan.of(*arguments)


@pytest.mark.parametrize("start", ["both", "teacher", "prior"])
@pytest.mark.parametrize("chains", [1, 2, 5])
def test_independent_pairs_are_all_but_two_teachers(chains, start):
    plan = ChainPlan.of(chains, start)
    expected = {
        pair
        for pair in combinations(range(len(plan.chains)), 2)
        if [plan.starts[place] for place in pair] != ["teacher", "teacher"]
    }
    pairs = plan.independent_pairs()
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == expected


@pytest.mark.parametrize(("start", "number"), [("both", 1.0), ("prior", 0.5), ("teacher", 0.0)])
@pytest.mark.parametrize("chains", [1, 2, 5])
def test_disjoint_pairs_share_no_chain_and_waste_none(chains, start, number):
    plan = ChainPlan.of(chains, start)
    pairs = plan.disjoint_pairs()
    places = [place for pair in pairs for place in pair]
    assert len(places) == len(set(places))
    assert {tuple(sorted(pair)) for pair in pairs} <= set(plan.independent_pairs())
    assert len(pairs) == int(number * chains)


def test_left_over_prior_chains_pair_with_each_other():
    plan = ChainPlan.of(4, "both", only=(3, 4, 5, 6, 7))
    assert plan.disjoint_pairs() == [(0, 1), (2, 3)]


def test_chains_start_where_the_plan_says():
    problem = nm.matched_teacher(nm.Network(4, (3,)), nm.GaussianChannel(0.1), 5, 2, test_samples=1)
    posterior = nm.Posterior(problem, "fp64", "cpu")
    start = initial_position(posterior, ChainPlan.of(2, "both"), 7, "p").to_edge()
    teacher = problem.known_teacher().weights.to_edge()
    assert torch.equal(start[:, :2], teacher.expand(-1, 2, -1))
    rows = [row for instance in start[:, 2:] for row in instance]
    assert not any(torch.equal(a, b) for a, b in combinations(rows, 2))
    choice = initial_position(posterior, ChainPlan.of(2, "both", only=(3, 0)), 7, "p").to_edge()
    assert torch.equal(choice, start[:, [3, 0]])
    other = initial_position(posterior, ChainPlan.of(2, "both"), 8, "p").to_edge()
    assert not torch.isclose(other[:, 2:], start[:, 2:]).all()


def test_prior_starts_are_numbered_in_edge_order():
    """A parameter's random element is its place in the edge order: deeper networks repeat shallower ones."""
    starts = []
    for widths in ((3,), (3, 2)):
        problem = nm.matched_teacher(nm.Network(4, widths), nm.GaussianChannel(0.1), 5, 1, test_samples=1)
        starts.append(nm.Posterior(problem, "fp64", "cpu").initial_position(1, "prior", 7).to_edge().flatten())
    assert torch.equal(starts[0], starts[1][: len(starts[0])])


@pytest.mark.parametrize(("warmup", "draws", "thin"), [(0, 1, 1), (0, 4, 1), (3, 4, 1), (3, 4, 3), (0, 2, 5)])
def test_schedule_keeps_every_thin_th_transition(warmup, draws, thin):
    schedule = Schedule(warmup, draws, thin)
    kept = {step: schedule.draw_at(step) for step in range(schedule.transitions)}
    expected = {warmup + thin * (draw + 1) - 1: draw for draw in range(draws)}
    assert {step: draw for step, draw in kept.items() if draw is not None} == expected
    assert schedule.transitions == warmup + draws * thin


@pytest.mark.parametrize("arguments", [(-1, 1, 1), (0, 0, 1), (0, 1, 0)])
def test_impossible_schedules_are_refused(arguments):
    with pytest.raises(ValueError, match="must be at least"):
        Schedule(*arguments)


class CountingKernel:
    """Returns the state it was given and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def init(self, position: Position) -> State:
        raise NotImplementedError

    def step(self, state: State, step: int) -> tuple[State, Info]:
        self.asked.append(step)
        empty = torch.zeros(1, 1)
        return state, Info(empty, empty.bool(), empty, empty.bool(), 1)


def gaussian_state() -> State:
    target = GaussianTarget(torch.ones(1))
    position = target.layout(1).from_edge(torch.ones(1, 1, 1))
    return State(position, *target.energy_and_gradient(position))


def test_the_caller_owns_the_loop():
    kernel = CountingKernel()
    loop = chain_loop(kernel, gaussian_state(), Schedule(2, 100))
    assert kernel.asked == []
    for number in count():
        transition = next(loop)
        assert transition.step == number
        assert transition.draw == (None if number < 2 else number - 2)
        if number == 4:
            break
    loop.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert kernel.asked == [0, 1, 2, 3, 4]
    with pytest.raises(StopIteration):
        next(loop)


def test_a_rejected_chain_repeats_its_state_as_a_draw():
    """At this step size many are rejected; each rejection is a draw equal to the one before, bit for bit."""
    target = GaussianTarget(torch.tensor([1.0, 30.0]), instances=2)
    kernel = fixed_kernel(target, "leapfrog", 0.3, 2, chains=3)
    state = kernel.init(target.layout(3).from_edge(torch.full((2, 3, 2), 0.2)))
    before, rejected, draws = state, 0, 0
    for transition in chain_loop(kernel, state, Schedule(0, 40)):
        same = (transition.state.position.to_edge() == before.position.to_edge()).all(dim=-1)
        assert torch.equal(same, ~transition.info.accepted)
        assert torch.equal(transition.state.energy == before.energy, ~transition.info.accepted)
        fresh = target.energy_and_gradient(transition.state.position)
        assert torch.equal(fresh[0], transition.state.energy)
        assert torch.equal(fresh[1].flat, gradient_of(transition.state).flat)
        rejected += int((~transition.info.accepted).sum())
        draws += transition.draw is not None
        before = transition.state
    assert draws == 40
    assert 20 < rejected < 220
