"""The registry names what exists, its providers agree, and no number leaves a red gate."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from common import read
from operation import Operation, Provider, disagreement, runnable
from processes import ROOT
from registry import REGISTRY
from run import main
from shapes import Square

CPU = torch.device("cpu")


def operation(tests: tuple[str | Path, ...] = (), second: float = 1.0) -> Operation:
    """A product and its double, or whatever `second` makes of it."""

    def provider(name: str, factor: float) -> Provider:
        def make(square: Square, device: torch.device):
            return lambda: factor * torch.eye(square.size, device=device)

        return Provider(name, make, lambda found: [found])

    providers = provider("first", 1.0), provider("second", second)
    return Operation("planted", tests, (Square(4),), providers, lambda square: square.size, baseline="first")


def compared(operation: Operation) -> str:
    """What is wrong with the smallest case."""
    case = min(operation.cases, key=operation.work)
    return disagreement(operation, case, runnable(operation, case, CPU))


@pytest.mark.parametrize("name", REGISTRY)
def test_the_tests_of_an_operation_exist(name: str):
    operation = REGISTRY[name]
    paths = [str(path).partition("::")[0] for path in (*operation.tests, *operation.cuda_tests)]
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", REGISTRY)
def test_providers_of_the_smallest_case_agree(name: str):
    chosen = REGISTRY[name]
    assert chosen.baseline in {provider.label for provider in chosen.providers}
    assert compared(chosen) == ""


def test_a_number_is_printed_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    results = tmp_path / "results.csv"
    assert main(["planted", "--repeats", "3", "--results", str(results)], {"planted": operation()}) == 0
    assert " ms " in capsys.readouterr().out
    assert [(row["provider"], row["metric"]) for row in read(results)] == [
        (provider, metric) for provider in ("first", "second") for metric in ("time", "rate")
    ]


def test_a_red_gate_prints_and_keeps_no_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    red, results = tmp_path / "test_red.py", tmp_path / "results.csv"
    red.write_text("def test_red():\n    assert False\n", encoding="utf-8")
    assert main(["--results", str(results)], {"planted": operation((red,))}) == 1
    said = capsys.readouterr()
    assert " ms " not in said.out and not results.exists()
    assert "its tests fail" in said.err


def test_a_wrong_provider_prints_and_keeps_no_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    results = tmp_path / "results.csv"
    assert main(["--results", str(results)], {"planted": operation(second=1.01)}) == 1
    said = capsys.readouterr()
    assert " ms " not in said.out and not results.exists()
    assert "second is 1.0e-02 off" in said.err


def test_a_nan_is_wrong():
    assert "nan off" in compared(operation(second=torch.nan))


def test_a_provider_that_the_device_cannot_run_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    def refuse(*_: object):
        raise ValueError("no such unit")

    whole = operation()
    lame = replace(whole, providers=(*whole.providers, Provider("third", refuse)))
    assert main(["--repeats", "1", "--dry-run", "--results", str(tmp_path / "none.csv")], {"planted": lame}) == 0
    assert "third is left out: no such unit" in capsys.readouterr().out


def test_an_unknown_operation_is_refused(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as refusal:
        main(["energy gradients"])
    assert refusal.value.code == 2
    said = capsys.readouterr().err
    assert "'energy gradients' is not known" in said
    assert all(repr(name) in said for name in REGISTRY)
