"""`nishimori theory`: the reference values, the refusals, and a cold start under two seconds."""

import json
from pathlib import Path

import pytest
from processes import python

from nishimori.cli import main

GOLDEN = Path(__file__).parents[1] / "golden"


def arguments(activation: str, depth: int, sample_ratio: float, noise_variance: float) -> list[str]:
    return [
        "theory",
        *("--activation", activation),
        *("--depth", str(depth)),
        *("--sample-ratio", str(sample_ratio)),
        *("--noise-variance", str(noise_variance)),
    ]


def predict(capsys: pytest.CaptureFixture[str], *options: object) -> dict[str, float]:
    assert main([*arguments(*options), "--json"]) == 0  # type: ignore[arg-type]
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("row", json.loads((GOLDEN / "gaussian_theory.json").read_text())["predictions"]["rows"])
def test_json_equals_the_reference_values(row: dict[str, float], capsys: pytest.CaptureFixture[str]) -> None:
    values = predict(capsys, row["activation"], row["depth"], row["sample_ratio"], row["noise_variance"])
    for name, expected in row.items():
        if name in values:
            assert values[name] == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("row", json.loads((GOLDEN / "coefficients.json").read_text())["coefficients"]["rows"])
def test_json_holds_the_coefficients(row: dict[str, float], capsys: pytest.CaptureFixture[str]) -> None:
    values = predict(capsys, row["activation"], row["depth"], 1.0, 0.1)
    assert values["sigma"][-1] == pytest.approx(row["sigma"], abs=1e-10)  # type: ignore[index]
    assert values["eta"] ** 2 == pytest.approx(row["eta_squared"], abs=1e-10)
    assert values["gamma"] == pytest.approx(row["gamma"], abs=1e-10)


def test_table_names_every_quantity(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments("tanh", 2, 2.0, 0.1)) == 0
    shown = capsys.readouterr().out
    assert "mutual_information_per_dim" in shown
    assert "0.08781373" in shown


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("relu", 1, 2.0, 0.1), ("relu", "odd")),
        (("tanhh", 1, 2.0, 0.1), ("tanhh", "tanh")),
        (("tanh", -1, 2.0, 0.1), ("--depth", "0 or more")),
        (("tanh", 1, -2.0, 0.1), ("sample_ratio",)),
        (("tanh", 1, 2.0, -0.1), ("noise_variance",)),
    ],
)
def test_bad_input_is_refused_with_a_sentence(
    options: tuple[object, ...], words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(*options)) == 2  # type: ignore[arg-type]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert all(word in captured.err for word in words)


def test_cold_start_needs_under_two_seconds() -> None:
    """CPU time of the process, so that a busy machine does not decide."""
    report = "import resource; u = resource.getrusage(resource.RUSAGE_SELF); print(u.ru_utime + u.ru_stime)"
    program = f"from nishimori.cli import main; main({arguments('tanh', 2, 2.0, 0.1)}); {report}"
    done = python("-c", program, check=True)
    assert float(done.stdout.splitlines()[-1]) < 2.0
