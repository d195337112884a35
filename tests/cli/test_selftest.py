"""`nishimori selftest`: a line a law, JSON, and the exit codes."""

import json
from dataclasses import replace
from functools import partial
from math import isfinite

import pytest
from processes import nishimori
from spoilt import Spoilt
from targets import wrong_energy

from nishimori.cli import main
from nishimori.exactness import suite
from nishimori.exactness.laws import Law
from nishimori.exactness.moments import MomentLaw

FAST = "collapsed/hmc-leapfrog"


def broken() -> Law:
    """The fast law, of a sampler at a temperature 2 % too low."""
    (law,) = suite.chosen([FAST])
    assert isinstance(law, MomentLaw)
    return replace(law, sampler=Spoilt(law.sampler, target=partial(wrong_energy, factor=1.02)))


@pytest.fixture
def broken_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    law = broken()
    monkeypatch.setattr(suite, "suite", lambda: (law,))


def test_a_law_that_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--only", FAST, "--device", "cpu"]) == 0
    line, verdict = capsys.readouterr().out.splitlines()
    assert line.startswith(f"  1/1 pass {FAST} ")
    assert " z " in line and " error " in line and line.endswith("integrated out")
    assert verdict.startswith("every law holds; 1 laws, 3 comparisons")


@pytest.mark.usefixtures("broken_suite")
def test_a_law_that_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--device", "cpu"]) == 3
    line, *details, verdict = capsys.readouterr().out.splitlines()
    assert line.startswith(f"  1/1 FAIL {FAST} ")
    assert any("squared hidden weights: z" in detail and "(below 4)" in detail for detail in details)
    assert verdict.startswith(f"1 broken: {FAST}; 1 laws")


def law_is_reported(law: dict, passed: bool) -> None:
    assert law.keys() == {"name", "statement", "passed", "z", "relative_error", "seconds", "comparisons"}
    assert law["name"] == FAST and law["passed"] is passed and law["seconds"] > 0
    for one in law["comparisons"]:
        assert one.keys() == {"quantity", "z", "relative_error", "most_z", "largest_relative_error", "passed"}
        assert isfinite(one["z"]) and one["most_z"] == 4 and 0 < one["relative_error"] < one["largest_relative_error"]
    assert law["z"] in [one["z"] for one in law["comparisons"]]
    assert all(one["passed"] for one in law["comparisons"]) == passed


def test_json_of_a_law_that_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--only", FAST, "--json", "--precision", "fp32", "--device", "cpu", "--seed", "3"]) == 0
    written = capsys.readouterr()
    report = json.loads(written.out)
    assert report.keys() == {"device", "precision", "seed", "passed", "false_alarms", "seconds", "laws"}
    assert (report["device"], report["precision"], report["seed"], report["passed"]) == ("cpu", "fp32", 3, True)
    assert report["false_alarms"] == pytest.approx(3 * 6.3342e-5, rel=1e-3)  # the normal tails beyond 4
    (law,) = report["laws"]
    law_is_reported(law, True)
    assert FAST in written.err


@pytest.mark.usefixtures("broken_suite")
def test_json_of_a_law_that_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--json", "--device", "cpu"]) == 3
    report = json.loads(capsys.readouterr().out)
    assert report["passed"] is False
    law_is_reported(report["laws"][0], False)


def test_several_laws_go_to_two_processes_and_come_back_in_order() -> None:
    names = ["prior/pcn", "collapsed/hmc-rotation"]
    done = nishimori("selftest", "--only", *names[::-1], "--json", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert [law["name"] for law in json.loads(done.stdout)["laws"]] == names


def test_the_list_of_laws(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [law.name for law in suite.suite()]
    assert all(len(line.split()) > 3 for line in lines)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--only", "gaussian/gibbs"], ("gaussian/gibbs", "no law of this name", "--list")),
        (["--seed", "-1"], ("--seed -1", "0 or more")),
    ],
)
def test_wrong_input_is_refused(options: list[str], words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", *options]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and all(word in message for word in words), message


def test_no_gpu_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main(["selftest", "--device", "cuda", "--only", FAST]) == 2
    assert "sees no GPU" in capsys.readouterr().err
