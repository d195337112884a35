"""Online learning on structured inputs: descent beside its equations for every generator, controls that must fail, and
bad input."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from experiments import write

from nishimori.cli import main
from nishimori.description.input_moments import InputMoments
from nishimori.models.inputs import InputGenerator, ModuleInputs
from nishimori.systems import SYSTEMS
from nishimori.systems.hidden_manifold_online import HiddenManifoldOnline, descent

EXPERIMENT: dict[str, Any] = {
    "system": {"kind": "hidden_manifold_online"},
    "network": {"input_dim": 200, "units": 2, "teacher_units": 2},
    "inputs": {"kind": "hidden_manifold", "latent_ratio": 0.5, "activation": "sign"},
    "descent": {"times": [0.0, 1.0, 5.0, 12.0], "test_samples": 3000},
    "run": {"instances": 10, "device": "cpu"},
}

MANY = {"instances": 40, "device": "cpu"}


def run(home: Path, *options: str, **changed: Any) -> int:
    experiment = write(home / "e.toml", {**EXPERIMENT, **changed})
    return main(["run", str(experiment), "--out", str(home / "out"), *options])


def curve(home: Path) -> dict[str, Any]:
    (point,) = json.loads((home / "out" / "summary.json").read_text(encoding="utf-8"))["points"]
    return point["curves"]["error"]


@pytest.mark.parametrize(
    "inputs",
    [
        {"kind": "gaussian"},
        {"kind": "power_law", "exponent": 0.5},
        *({"kind": "hidden_manifold", "latent_ratio": 0.5, "activation": name} for name in ("sign", "erf", "relu")),
        {"kind": "hidden_manifold", "latent_ratio": 0.5, "activation": "tanh", "depth": 2},
        {"kind": "hidden_manifold", "latent_ratio": 0.5, "equivalent": True},
    ],
    ids=["gaussian", "power_law", "sign", "erf", "relu", "deep", "equivalent"],
)
def test_descent_follows_its_equations(inputs: Any, tmp_path: Path) -> None:
    assert run(tmp_path, inputs=inputs) == 0
    found = curve(tmp_path)
    assert max(abs(z) for z in found["z"]) < 3.5
    assert found["value"][-1] < 0.8 * found["value"][0]


def test_labels_with_noise_cost_what_is_predicted(tmp_path: Path) -> None:
    noisy = {**EXPERIMENT["descent"], "noise_variance": 1.0, "learning_rate": 0.5}
    assert run(tmp_path, descent=noisy) == 0
    found = curve(tmp_path)
    assert max(abs(z) for z in found["z"]) < 3.5
    quiet = tmp_path / "quiet"
    quiet.mkdir()
    assert run(quiet, descent={**noisy, "noise_variance": 0.0}) == 0
    assert found["theory"][-1] > 1.1 * curve(quiet)["theory"][-1]


def test_moments_of_other_inputs_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inputs that are no function of the latent, as far as the equations are told."""

    def told(self: Any) -> InputMoments:
        return InputMoments(np.zeros(200), np.eye(200), np.zeros((200, 100)))

    monkeypatch.setattr("nishimori.models.inputs.HiddenManifoldInputs._moments", told)
    assert run(tmp_path, run=MANY) == 0
    assert max(abs(z) for z in curve(tmp_path)["z"]) > 5


def test_a_descent_without_its_second_layer_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = descent.Descent._step

    def frozen(self: Any, weights: torch.Tensor, readout: torch.Tensor, *examples: torch.Tensor) -> None:
        step(self, weights, readout.clone(), *examples)

    monkeypatch.setattr(descent.Descent, "_step", frozen)
    assert run(tmp_path, "--set", "descent.learning_rate=1.0", run=MANY) == 0
    assert max(abs(z) for z in curve(tmp_path)["z"]) > 4


def test_a_module_of_ones_own_is_a_system_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def made(input_dim: int) -> InputGenerator:
        torch.manual_seed(0)
        first, second = torch.nn.Linear(80, 160), torch.nn.Linear(160, input_dim)
        for layer in (first, second):
            torch.nn.init.normal_(layer.weight, std=1.5 / layer.in_features**0.5)
        module = torch.nn.Sequential(first, torch.nn.Tanh(), second, torch.nn.Tanh()).double()
        return ModuleInputs(module, 80, samples=20_000)

    monkeypatch.setitem(SYSTEMS, "mine", HiddenManifoldOnline(made))
    assert run(tmp_path, system={"kind": "mine"}, inputs={"kind": "gaussian"}) == 0
    found = curve(tmp_path)
    assert max(abs(z) for z in found["z"]) < 3.5 and found["value"][-1] < 0.9 * found["value"][0]


def test_points_do_not_depend_on_how_many_instances_there_are(tmp_path: Path) -> None:
    """The first instances of a longer run are those of a shorter one, to rounding."""
    from nishimori.models.addressed import Draws
    from nishimori.models.inputs import IndependentInputs

    found = []
    for count in (3, 5):
        draws, generator = Draws.of(0, "0" * 12, range(count)), IndependentInputs(np.ones(30))
        starts = descent.drawn_starts(generator, 2, 1, (1.0, 0.5), draws)
        found.append(descent.Descent(generator, draws, starts, 0.2).errors((0.0, 2.0), lambda *told: None)[:3])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-10)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"descent": {"times": [2.0, 1.0]}}, "descent.times must grow"),
        ({"descent": {"times": [0.0]}}, "descent.times ends at 0"),
        ({"inputs": {"kind": "hiden_manifold"}}, "inputs.kind = 'hiden_manifold' is not known; did you mean"),
        ({"inputs": {"kind": "hidden_manifold"}}, "inputs.latent_ratio is missing; add it"),
        ({"inputs": {"kind": "power_law", "exponent": 1.0, "depth": 2}}, "inputs.depth does not go with inputs.kind"),
        ({"inputs": {"kind": "power_law", "exponnent": 1.0}}, "inputs.exponnent is not a known key; did you mean"),
        (
            {"inputs": {"kind": "hidden_manifold", "latent_ratio": 0.001}},
            "latent_ratio = 0.001 leaves no latent",
        ),
        ({"inputs": {"kind": "gaussian", "equivalent": True}}, "inputs.equivalent does not go with"),
        ({"inputs": {"kind": "covariance", "file": "nowhere.npy"}}, "no such file"),
    ],
)
def test_bad_input_is_a_sentence(
    changed: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, **changed) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()
