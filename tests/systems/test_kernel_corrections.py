"""Feature kernels of sampled networks: two estimators of them agree at any width, both approach their first order in
1/width, and bad input is a sentence."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from experiments import write
from numpy.typing import NDArray
from one_input_networks import learned

from nishimori.cli import main
from nishimori.comparison.align import z_score
from nishimori.description.activations import activation
from nishimori.systems import SYSTEMS, expand
from nishimori.systems.kernel_corrections.data import data_set
from nishimori.theory.kernel_corrections import Evidence, kernel_changes, kernel_fluctuations

Array = NDArray[np.float64]
FAMILY_OF_TEN = 3.64
"""Standard errors that all of ten independent scores are within as often as one is within three."""

EXPERIMENT: dict[str, Any] = {
    "system": {"kind": "kernel_corrections"},
    "network": {"input_dim": 9, "width": 60, "activation": "erf_sqrt2"},
    "data": {"samples": 4, "noise_variance": 0.6},
    "sampler": {"chains": 4, "warmup": 40, "draws": 15, "prior_draws": 1000},
    "run": {"instances": 10, "device": "cpu", "seed": 3},
}


def run(home: Path, *options: str, **changed: Any) -> int:
    experiment = write(home / "e.toml", {**EXPERIMENT, **changed})
    return main(["run", str(experiment), "--out", str(home / "out"), *options])


def point(home: Path) -> dict[str, Any]:
    (found,) = json.loads((home / "out" / "summary.json").read_text(encoding="utf-8"))["points"]
    return found


@pytest.mark.parametrize(
    ("name", "depth", "another"),
    [("identity", 2, "erf_sqrt2"), ("erf_sqrt2", 1, "relu"), ("erf_sqrt2", 2, "erf"), ("relu", 1, "erf_sqrt2")],
)
def test_wide_networks_have_the_first_order(name: str, depth: int, another: str, tmp_path: Path) -> None:
    """Entry by entry, of chains and of weighed networks of the prior, to three standard errors (where all of a layer
    are to be within, as many more as keeps the level); not the formula of another activation, or of the other sign."""
    assert run(tmp_path, "--set", f"network.activation={name}", f"network.depth={depth}") == 0
    found = point(tmp_path)
    scores = {key: z for key, z in found["z_scores"].items() if not key.startswith("kernel_change")}
    assert len(scores) == 5 and max(map(abs, scores.values())) < 3.5
    others = formulas(another, depth)
    for layer, other in enumerate(others, start=1):
        for ending in ("", "_of_weighed"):
            curve = found["curves"][f"kernel_change_{layer}{ending}"]
            assert len(curve["z"]) == 10 and max(map(abs, curve["z"])) < FAMILY_OF_TEN
            for wrong in (other, -np.array(curve["theory"])):
                assert max(map(abs, z_of(curve, wrong))) > 5


def formulas(name: str, depth: int) -> Array:
    """Width times the first order of the experiment's data, [layers, entries], of an activation."""
    network, data = EXPERIMENT["network"], EXPERIMENT["data"]
    inputs, labels = data_set(data["samples"], network["input_dim"], 1.0, data["noise_variance"], 3)
    fluctuations = kernel_fluctuations(inputs, (1,) * depth, activation(name))
    changes = kernel_changes(fluctuations, Evidence(labels, data["noise_variance"]))
    return np.array([change[np.triu_indices(len(inputs))] for change in changes])


def z_of(curve: dict[str, Any], predicted: Array) -> list[float]:
    return [z_score(*entry, 10) for entry in zip(curve["value"], curve["standard_error"], predicted, strict=True)]


def test_narrow_networks_have_not_but_both_estimators_agree(tmp_path: Path) -> None:
    """Of three units and labels of little noise: the first order is far away, and theory of no width moves them."""
    data = {"samples": 4, "noise_variance": 0.1}
    assert run(tmp_path, "--set", "network.width=3", "sampler.prior_draws=20000", data=data) == 0
    scores = point(tmp_path)["z_scores"]
    assert abs(scores["sampling_difference"]) < 3.5
    assert scores["evidence_gain"] < -4 and scores["evidence_gain_of_weighed"] < -4


def test_one_input_has_its_integral_at_any_width(tmp_path: Path) -> None:
    """Chains and weighed networks of three linear units; not so the integral of another width."""
    network = {"input_dim": 9, "width": 3, "activation": "identity"}
    assert run(tmp_path, "--set", "sampler.draws=60", network=network, data={"samples": 1, "noise_variance": 0.1}) == 0
    found = point(tmp_path)
    inputs, labels = data_set(1, 9, 1.0, 0.1, 3)
    kernel = float((inputs @ inputs.T / 9).item())

    def scores(width: int) -> list[float]:
        change, divergence = learned(kernel, width, Evidence(labels, 0.1))
        told = [("kernel_change_1", change), ("kernel_change_1_of_weighed", change), ("prior_divergence", divergence)]
        estimates = [(found["estimates"][name], 3 * exact) for name, exact in told]
        return [z_score(one["value"], one["standard_error"], exact, 10) for one, exact in estimates]

    assert max(map(abs, scores(3))) < 3.5 and min(map(abs, scores(6))) > 5


def test_by_parts_scatters_less_than_means_over_draws(tmp_path: Path) -> None:
    assert run(tmp_path, "--set", "network.width=200") == 0
    found = point(tmp_path)["estimates"]
    errors = [found[name]["standard_error"] for name in ("evidence_gain", "evidence_gain_of_means")]
    assert 5 * errors[0] < errors[1]
    assert found["evidence_gain"]["value"] == pytest.approx(found["evidence_gain_of_means"]["value"], abs=4 * errors[1])


def test_another_noise_variance_in_the_theory_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nishimori.systems.kernel_corrections import prediction

    honest = prediction.kernel_changes

    def mistaken(fluctuations: Any, evidence: Any) -> Any:
        return honest(fluctuations, prediction.Evidence(evidence.labels, 2 * evidence.noise_variance))

    monkeypatch.setattr(prediction, "kernel_changes", mistaken)
    assert run(tmp_path) == 0
    found = point(tmp_path)
    assert abs(found["z_scores"]["evidence_gain"]) > 5
    assert max(map(abs, found["curves"]["kernel_change_1"]["z"])) > 4


def test_fourth_moments_may_be_sampled(tmp_path: Path) -> None:
    system = SYSTEMS["kernel_corrections"]
    exact = system.predict(expand(EXPERIMENT).points[0].config)
    theory = {"fourth_moments": "monte_carlo", "draws": 40_000}
    sampled = system.predict(expand({**EXPERIMENT, "theory": theory}).points[0].config)
    assert sampled["evidence_gain"] != exact["evidence_gain"] and "theory_standard_error" not in exact
    assert abs(sampled["evidence_gain"] - exact["evidence_gain"]) < 4 * sampled["theory_standard_error"]


def test_dependent_inputs_have_theory_where_it_is_sampled_or_closed(tmp_path: Path) -> None:
    """More samples than input dimensions: measured all the same, and what is missing is told."""
    network = {"input_dim": 3, "width": 8, "activation": "tanh"}
    small = {"chains": 2, "warmup": 5, "draws": 4, "prior_draws": 200}
    assert run(tmp_path, network=network, sampler=small) == 0
    found = point(tmp_path)
    assert "too close to linear dependence" in found["theory_refusal"] and np.isfinite(
        found["estimates"]["evidence_gain"]["value"]
    )
    assert "theory" not in found["curves"]["kernel_change_1"]


def test_the_figure_has_the_kernel_machine_beside_the_first_order(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"chains": 2, "warmup": 5, "draws": 4, "prior_draws": 200}
    assert run(tmp_path, sampler=small, sweep={"network.width": [4, 8]}) == 0
    for observable in ("evidence_gain", "kernel_change_1"):
        assert main(["overlay", str(tmp_path / "out"), "--observable", observable]) == 0
    assert "entry  kernel_change_1" in capsys.readouterr().out
    summaries = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))["points"]
    first, second = (summary["theory"] for summary in summaries)
    assert first["evidence_gain"] == pytest.approx(second["evidence_gain"], rel=1e-12)
    name = "evidence_gain, deep kernel machine"
    assert first[name] != second[name]


def test_linear_networks_of_more_samples_than_inputs_have_no_machine() -> None:
    network = {"input_dim": 3, "width": 8, "activation": "identity"}
    predicted = SYSTEMS["kernel_corrections"].predict(expand({**EXPERIMENT, "network": network}).points[0].config)
    assert (
        predicted["evidence_gain"] > 0 and "a kernel of infinite width is singular" in predicted["deep_kernel_machine"]
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"network": {"input_dim": 9, "activation": "relu"}}, "network.width is missing; add it"),
        ({"network": {"input_dim": 9, "width": 4, "activation": "sign"}}, "network.activation"),
        ({"network": {"input_dim": 9, "width": 4, "depth": 0}}, "network.depth"),
        ({"data": {"samples": 65, "noise_variance": 0.1}}, "data.samples"),
        ({"data": {"samples": 4, "noise_variance": 0.0}}, "data.noise_variance"),
        ({"sampler": {"prior_draws": 10}}, "sampler.prior_draws"),
        ({"theory": {"fourth_moments": "monte_carl"}}, "did you mean 'monte_carlo'?"),
    ],
)
def test_bad_input_is_a_sentence(
    changed: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, **changed) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()
