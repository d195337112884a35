"""Suites: their steps in order, gates, goals met and missed, and what the steps compute from what a GPU tells them."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import gpu_peers
import idle
import network_providers
import numpy as np
import peer_process
import pytest
import torch
from common import Row, read, row_of
from device_memory import Memory
from device_memory import rows_of as memory_rows
from goals import Goal, standing, table
from gpu_goals import GPU_GOALS
from leapfrogs import ACCEPT_SHARE, LONG, SHORT, rows_of, split
from registry import REGISTRY
from run import main
from shapes import Shape
from suite import Found, Step, Suite
from suites import SUITES, operations, shares_of_ceiling
from torch.profiler import ProfilerActivity, profile

CPU = torch.device("cpu")
TINY = Shape(6, 8, 2, 3)
GOAL = Goal("leapfrog", "nishimori", str(TINY), "time", "tf32", 2.4, "ms")


def row(value: float, precision: str = "tf32", unit: str = "ms") -> Row:
    return row_of("leapfrog", "nishimori", str(TINY), "time", unit, value, CPU, precision=precision)


def step(name: str, found: Found, taken: list[str], gate: bool = False) -> Step:
    def measure(repeats: int, device: torch.device) -> Found:
        taken.append(f"{name} {repeats} {device.type}")
        return found

    return Step(name, f"what {name} does", measure, gate)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device by name."""
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "a GPU")
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: None)


def run(results: Path, steps: list[Step], *arguments: str) -> int:
    suites = {"planted": Suite(tuple(steps), (GOAL,))}
    return main(["--suite", "planted", "--repeats", "3", "--results", str(results), *arguments], {}, suites)


def test_steps_run_in_their_order_and_their_rows_are_kept(gpu, tmp_path, capsys):
    taken: list[str] = []
    steps = [step("first", ([row(2.0)], ""), taken), step("gate", ([], ""), taken, gate=True)]
    assert run(tmp_path / "results.csv", [*steps, step("last", ([row(2.2)], ""), taken)]) == 0
    assert taken == ["first 3 cuda", "gate 3 cuda", "last 3 cuda"]
    assert [float(kept["value"]) for kept in read(tmp_path / "results.csv")] == [2.0, 2.2]
    said = capsys.readouterr().out
    assert "[2/3] gate: what gate does" in said and "last: 0 s" in said and said.endswith("0 s in all\n")
    assert f"{GOAL}  <= 2.4 ms     2.2 ms met" in said


def test_after_a_red_gate_no_number_follows(gpu, tmp_path, capsys):
    taken: list[str] = []
    red = step("gate", ([], "tests fail"), taken, gate=True)
    assert run(tmp_path / "results.csv", [red, step("last", ([row(2.0)], ""), taken)]) == 1
    said = capsys.readouterr()
    assert said.err == "tests fail\n" and "not measured" in said.out
    assert taken == ["gate 3 cuda"]


def test_a_step_that_withholds_or_breaks_off_costs_its_own_rows(gpu, tmp_path, capsys):
    def broken(repeats: int, device: torch.device) -> Found:
        raise RuntimeError("no such unit")

    steps = [Step("broken", "", broken), step("far", ([], "far off"), []), step("last", ([row(2.0)], ""), [])]
    assert run(tmp_path / "results.csv", steps) == 1
    said = capsys.readouterr().err
    assert "no such unit" in said and "broken broke off" in said and "far off" in said
    assert len(read(tmp_path / "results.csv")) == 1


def test_steps_by_name_bring_the_gate_along(gpu, tmp_path, capsys):
    taken: list[str] = []
    steps = [step(name, ([], ""), taken, gate=name == "gate") for name in ("first", "gate", "last")]
    assert run(tmp_path / "none.csv", steps, "last", "--dry-run") == 0
    assert taken == ["gate 3 cuda", "last 3 cuda"]
    assert not (tmp_path / "none.csv").exists()
    with pytest.raises(SystemExit):
        run(tmp_path / "none.csv", steps, "middle")
    assert "step 'middle' is not known; use 'first', 'gate', 'last'" in capsys.readouterr().err


def test_without_a_gpu_the_suite_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main(["--suite", "gpu"]) == 2
    said = capsys.readouterr()
    assert said.err == "--suite gpu needs a CUDA device; torch sees none\n" and said.out == ""


def test_the_list_shows_suites(capsys):
    assert main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    begin = lines.index("--suite gpu (CUDA)")
    names = [line.split(":")[0].strip() for line in lines[begin + 1 :]]
    assert names == ["ceilings", "tests", "gradients", "leapfrogs", "updates", "peers", "idle", "memory"]


def test_goals_are_met_missed_or_not_measured():
    assert standing(GOAL, [row(2.4)]) == "2.4 ms met"
    assert standing(GOAL, [row(2.0), row(2.41)]) == "2.41 ms missed", "the last row counts"
    assert standing(GOAL, [row(float("nan"))]) == "nan ms missed"
    assert standing(GOAL, [row(2.0, "fp32")]) == "not measured"
    least = replace(GOAL, at_least=True)
    assert standing(least, [row(2.4)]) == "2.4 ms met" and standing(least, [row(2.3)]) == "2.3 ms missed"
    with pytest.raises(ValueError, match="the row is in us"):
        standing(GOAL, [row(2.0, unit="us")])


def test_the_table_has_a_line_a_goal():
    lines = table([GOAL, replace(GOAL, precision="fp32", at_least=True)], [row(2.0)]).splitlines()
    assert lines == [
        f"leapfrog, time, tf32, {TINY}  <= 2.4 ms     2 ms met",
        f"leapfrog, time, fp32, {TINY}  >= 2.4 ms     not measured",
    ]


def test_every_goal_of_the_gpu_is_one_row():
    assert len({str(goal) + goal.provider for goal in GPU_GOALS}) == len(GPU_GOALS)
    known = {*REGISTRY, "leapfrog", "idle", "device memory"}
    assert {goal.operation for goal in GPU_GOALS} <= known
    assert {step.gate for step in SUITES["gpu"].steps if step.name == "tests"} == {True}


@pytest.mark.parametrize(
    ("intervals", "busy", "share"),
    [
        ([(0.0, 4.0), (5.0, 10.0)], 9.0, 0.1),
        ([(5.0, 10.0), (0.0, 4.0)], 9.0, 0.1),
        ([(0.0, 6.0), (4.0, 8.0), (5.0, 7.0), (9.0, 10.0)], 9.0, 0.1),
        ([(2.0, 2.0)], 0.0, 0.0),
        ([(3.0, 7.0)], 4.0, 0.0),
    ],
    ids=["apart", "unsorted", "overlapping", "empty", "one"],
)
def test_idle_is_the_time_in_which_no_interval_is_open(intervals, busy, share):
    assert idle.busy(intervals) == pytest.approx(busy)
    assert idle.idle_share(intervals) == pytest.approx(share)


def test_no_kernel_is_said():
    with pytest.raises(ValueError, match="saw no kernel"):
        idle.idle_share([])


def test_kernels_are_told_from_calls_and_named_ranges():
    def event(begin: float, device: str, named: bool) -> SimpleNamespace:
        span, kind = SimpleNamespace(start=begin, end=begin + 1), SimpleNamespace(name=device)
        return SimpleNamespace(time_range=span, device_type=kind, is_user_annotation=named)

    seen = [event(0, "CPU", False), event(1, "CUDA", False), event(2, "CUDA", True)]
    assert idle.kernel_intervals(seen) == [(1, 2)]


def test_events_of_the_profiler_have_what_is_asked_of_them():
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        torch.ones(3).sum()
    events = seen.events()
    assert events and idle.kernel_intervals(events) == []
    assert all(event.time_range.end >= event.time_range.start for event in events)


def test_idle_by_the_profiler_and_by_the_clock(monkeypatch):
    monkeypatch.setattr(idle, "_profiled", lambda call: [(0.0, 4e5), (5e5, 1e6)])
    monkeypatch.setattr(idle, "timed", lambda call, device: 1.2)
    found = {row["metric"]: float(row["value"]) for row in idle.rows_of(TINY, "nishimori", lambda: None, CPU)}
    assert found == pytest.approx({"idle": 10.0, "idle by the clock": 25.0})


def test_two_lengths_give_the_time_of_a_step_and_the_share_of_the_rest():
    step, share = split(np.array([1.5, 1.5]), np.array([2.5, 2.5]))
    assert step == pytest.approx(0.1)
    assert share == pytest.approx(0.2)


def test_leapfrogs_have_rows_of_every_precision_that_runs(capsys):
    rows = rows_of(TINY, 2, CPU)
    left_out = {line.split()[0] for line in capsys.readouterr().out.splitlines() if "is left out" in line}
    found = {row["precision"] for row in rows}
    assert "fp32" in found and found | left_out == {"fp32", "bf16", "fp16", "tf32", "bf16x3"}
    metrics = [f"time of {SHORT} steps", f"time of {LONG} steps", "time", ACCEPT_SHARE]
    assert [row["metric"] for row in rows if row["precision"] == "fp32"] == metrics


def test_products_are_held_to_the_largest_of_their_format():
    def rate(operation: str, value: float, precision: str) -> Row:
        return row_of(operation, "torch.mm", "a case", "rate", "GFLOP/s", value, CPU, precision=precision)

    rows = [rate("matrix product", 200.0, "bf16"), rate("first-layer product", 150.0, "bf16")]
    (share,) = shares_of_ceiling([*rows, rate("first-layer product", 10.0, "fp16")], CPU)
    assert (share["metric"], float(share["value"]), share["unit"]) == ("share of ceiling", 75.0, "%")


def test_operations_of_the_registry_are_a_step(monkeypatch, capsys):
    small = replace(REGISTRY["kick"], cases=(TINY, Shape(5, 4, 1, 2)), cuda_cases=())
    monkeypatch.setitem(REGISTRY, "kick", small)
    rows, withheld = operations("kick", cases=1)(2, CPU)
    assert withheld == "" and {row["case"] for row in rows} == {str(TINY)}
    assert f"kick, {TINY}" in capsys.readouterr().out


def test_growth_is_between_settling_and_the_end():
    rows = memory_rows(Memory(100, 300), Memory(100, 350), 20.0, CPU)
    found = {row["metric"]: float(row["value"]) for row in rows}
    expected = {"growth": 0.0, "growth of the peak": 50.0, "peak": 350e-6, "time of a transition": 200.0}
    assert found == pytest.approx(expected)


def test_torch_compile_says_that_it_wants_a_gpu():
    with pytest.raises(ValueError, match="on a GPU alone"):
        network_providers.compiled_gradient("fp32", TINY, CPU)


def test_a_program_that_does_not_compile_is_said(monkeypatch):
    def compiled(function, **_):
        def fails(*_):
            raise RuntimeError("no compiler\nand more")

        return fails

    monkeypatch.setattr(torch, "compile", compiled)
    monkeypatch.setattr(network_providers, "_energy_of", lambda *_: None)
    monkeypatch.setattr(Shape, "position", lambda *_: SimpleNamespace(blocks=()))
    with pytest.raises(ValueError, match=r"it does not compile here \(RuntimeError: no compiler\)$"):
        network_providers.compiled_gradient("fp32", TINY, torch.device("cuda"))


def test_without_a_jax_on_cuda_one_sentence_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(peer_process, "PEERS", tmp_path)
    assert gpu_peers.gpu_peers(1, CPU) == ([], "")
    assert capsys.readouterr().out.count("\n") == 1
    assert "bench/peers/.venv-blackjax is not there" in gpu_peers.absent()
    binaries = tmp_path / ".venv-blackjax" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "python").symlink_to(sys.executable)
    assert "sees no CUDA device" in gpu_peers.absent()
