"""`nishimori theory`: the reference values, the refusals, and a cold start under two seconds."""

import json
from pathlib import Path

import pytest
from processes import python

from nishimori import theory
from nishimori.cli import main
from nishimori.description import GaussianChannel, Network

GOLDEN = Path(__file__).parents[1] / "golden"


def arguments(activation: str, depth: int, sample_ratio: float, noise_variance: float, channel: str = "") -> list[str]:
    return [
        "theory",
        *("--activation", activation),
        *("--depth", str(depth)),
        *("--sample-ratio", str(sample_ratio)),
        *("--noise-variance", str(noise_variance)),
        *(("--channel", channel) if channel else ()),
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


@pytest.mark.parametrize("row", json.loads((GOLDEN / "channel_theory.json").read_text())["noiseless_probit"]["rows"])
def test_probit_without_noise(row: dict[str, float], capsys: pytest.CaptureFixture[str]) -> None:
    values = predict(capsys, row["activation"], row["depth"], row["sample_ratio"], 0.0, "probit")
    assert values["classification_error"] == pytest.approx(row["classification_error"], abs=1e-10)
    assert values["gibbs_classification_error"] > values["classification_error"]


def test_logistic(capsys: pytest.CaptureFixture[str]) -> None:
    """A cold one is the noiseless probit channel of the golden values."""
    options = ["theory", "--activation", "tanh", "--depth", "2", "--sample-ratio", "1", "--channel", "logistic"]
    assert main([*options, "--temperature", "1e-6", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["classification_error"] == pytest.approx(0.2830937725, abs=1e-9)
    assert main([*options, "--noise-variance", "0.1"]) == 2
    assert "--channel logistic takes --temperature and no --noise-variance" in capsys.readouterr().err
    assert main([*options[:-1], "probit"]) == 2
    assert "--channel probit takes --noise-variance and no --temperature" in capsys.readouterr().err


def test_output_functions(capsys: pytest.CaptureFixture[str]) -> None:
    """The proved tanh and the conjectured relu of tests/golden/channel_theory.json."""
    assert predict(capsys, "tanh", 2, 2.0, 0.1, "tanh")["overlap"] == pytest.approx(0.63494666, abs=1e-6)
    assert predict(capsys, "tanh", 2, 2.0, 0.1, "relu")["overlap"] == pytest.approx(0.44903545, abs=1e-6)


def test_what_is_a_conjecture_is_called_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(capsys, "tanh", 2, 2.0, 0.1)["basis"] == "theorem"
    assert predict(capsys, "tanh", 2, 2.0, 0.1, "probit")["basis"] == "conjecture"
    values = predict(capsys, "relu", 2, 2.0, 0.1)
    assert (values["basis"], values["gamma"]) == ("conjecture", pytest.approx(0.0511778214, abs=1e-10))
    assert main(arguments("relu", 1, 2.0, 0.1)) == 0
    shown = capsys.readouterr().out
    assert "conjecture" in shown and "bias_variance" in shown


def test_layers_may_differ(capsys: pytest.CaptureFixture[str]) -> None:
    """Two activations, three variances, biases: what the library says of the same network."""
    command = [
        "theory",
        "--activation",
        "tanh",
        "erf",
        "--depth",
        "2",
        "--sample-ratio",
        "2",
        "--noise-variance",
        "0.1",
    ]
    command += ["--weight-variance", "2.3", "1.4", "0.8", "--json"]
    for bias, basis in ((0.0, "theorem"), (0.3, "conjecture")):
        assert main([*command, "--bias-variance", str(bias)]) == 0
        values = json.loads(capsys.readouterr().out)
        network = Network(1, (1, 1), ("tanh", "erf"), bias_variance=bias, weight_variance=(2.3, 1.4, 0.8))
        expected = theory.predict(network, GaussianChannel(0.1), 2.0)
        assert values == json.loads(json.dumps(expected.to_dict()))
        assert values["basis"] == basis


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--activation", "tanh", "erf"), ("activation has 2 entries for 1 hidden layers", "single one")),
        (("--weight-variance", "1", "2", "3"), ("weight_variance has 3 entries for 1", "give 2")),
        (("--weight-variance", "-1"), ("weight_variance", "positive number")),
        (("--bias-variance", "-1"), ("bias_variance", "at least 0", "0 for no biases")),
        (("--bias-variance", "0.5", "--channel", "probit"), ("biases of variance 0.5", "GaussianChannel")),
    ],
)
def test_bad_layers_are_refused_with_a_sentence(
    options: tuple[str, ...], words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments("tanh", 1, 2.0, 0.1), *options]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert all(word in captured.err for word in words), captured.err


def test_help_says_what_the_channels_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main(["theory", "--help"])
    assert done.value.code == 0
    assert "the sign of F + noise" in " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_table_names_every_quantity(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments("tanh", 2, 2.0, 0.1)) == 0
    shown = capsys.readouterr().out
    assert "mutual_information_per_dim" in shown
    assert "0.08781373" in shown


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("tanhh", 1, 2.0, 0.1), ("tanhh", "tanh")),
        (("tanh", -1, 2.0, 0.1), ("--depth", "0 or more")),
        (("tanh", 1, -2.0, 0.1), ("sample_ratio",)),
        (("tanh", 1, 2.0, -0.1), ("noise_variance",)),
        (("tanh", 1, 2.0, 0.0), ("noise_variance",)),
        (("tanh", 1, 2.0, -0.1, "probit"), ("noise_variance", "0 (no noise)")),
        (("tanh", 1, 2.0, 0.0, "tanh"), ("noise_variance",)),
        (("tanh", 1, 2.0, 1e-12, "tanh"), ("noise_variance", "larger")),
        (("relu", 1, 2.0, 0.1, "probit"), ("relu", "GaussianChannel")),
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
