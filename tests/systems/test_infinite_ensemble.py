"""Ensembles of trained networks: exact for linear models, and as the width grows; what is known of them; bad input."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from experiments import write

from nishimori.chains.progress import silent
from nishimori.cli import main
from nishimori.systems.infinite_ensemble import InfiniteEnsemble
from nishimori.systems.simulation import Measured, deviation

EXPERIMENT: dict[str, Any] = {
    "system": {"kind": "infinite_ensemble"},
    "network": {"input_dim": 5, "width": 256},
    "data": {"samples": 8, "noise_variance": 0.1, "test_samples": 12},
    "training": {"members": 16, "times": [0.1, 1.0, 5.0]},
    "run": {"instances": 16, "device": "cpu"},
}
CURVES = ("ensemble_variance", "alignment", "expected_loss", "data_information", "coverage")
BOUNDS = ("input_information_lower", "input_information_upper")


def measured(**changed: dict[str, Any]) -> dict[str, Measured]:
    document = {**EXPERIMENT, **{name: {**EXPERIMENT.get(name, {}), **changed[name]} for name in changed}}
    system = InfiniteEnsemble()
    config = system.resolve(document)
    return system.measure(config, range(config.run.instances), silent)


def worst(one: Measured) -> float:
    """The largest |z| of its places."""
    assert one.predicted is not None
    pairs = zip(one.values.T, one.predicted.T, strict=True)
    return max(abs(deviation(values, predicted, None)) for values, predicted in pairs)


def run(home: Path, **changed: Any) -> int:
    experiment = write(home / "e.toml", {**EXPERIMENT, **changed})
    return main(["run", str(experiment), "--out", str(home / "out")])


def test_linear_models_have_the_law_of_the_theory() -> None:
    """Whose outputs are Gaussian at any size: all curves, and away from them at another time."""
    found = measured(network={"depth": 0, "bias_variance": 0.2}, run={"instances": 30})
    for path in (found.pop("path_length"), energy := found.pop("path_energy")):
        assert path.predicted is not None
        np.testing.assert_allclose(path.values, path.predicted, rtol=1e-5)
    over_starts = found["wide_path_energy"].values
    assert abs(deviation(energy.values[:, -1], over_starts, None)) < 3.5
    assert abs(deviation(energy.values[:, 0], over_starts, None)) > 5
    assert {name: z for name in (*CURVES, *BOUNDS) if (z := worst(found[name])) >= 3.5} == {}
    variance = found["ensemble_variance"]
    assert variance.predicted is not None
    later = np.roll(variance.predicted, -1, axis=1)[:, :-1]
    assert worst(Measured(variance.values[:, :-1], later)) > 5
    assert np.ptp(found["fisher_trace"].values, axis=1).max() < 1e-9


@pytest.mark.parametrize(("name", "depth", "bias"), [("erf_sqrt2", 1, 0.0), ("tanh", 1, 0.1), ("relu", 2, 0.01)])
def test_wide_networks_have_it_too(name: str, depth: int, bias: float) -> None:
    """But for paths, which are compared from the same starts, so sharply that the width is seen in them."""
    found = measured(
        network={"activation": name, "depth": depth, "bias_variance": bias, "width": 256 if depth == 1 else 128},
        training={"times": [0.2, 2.0]},
        data={"test_samples": 10},
        run={"instances": 12},
    )
    assert {name: z for name in (*CURVES, *BOUNDS) if (z := worst(found[name])) >= 3.5} == {}


def test_what_is_left_is_of_the_order_of_one_over_the_width() -> None:
    """Kernels of a narrow network move, and its path is shorter: seen at two widths, and gone in their limit."""
    relative, errors = [], []
    for width in (12, 48):
        found = measured(
            network={"width": width},
            data={"test_samples": 2},
            training={"times": [1.0]},
            run={"instances": 100},
        )["path_length"]
        assert found.predicted is not None
        differences = (found.values / found.predicted - 1)[:, 0]
        relative.append(differences.mean())
        errors.append(differences.std(ddof=1) / math.sqrt(len(differences)))
    assert relative[0] < -4 * errors[0] and abs(relative[1]) < abs(relative[0]) / 2
    assert abs(4 * relative[1] - relative[0]) < 3.5 * math.hypot(4 * errors[1], errors[0])


def test_a_path_is_as_long_as_its_energy_allows() -> None:
    """L^2 <= tau int |dz/dt|^2 dt (Cauchy and Schwarz), nearly equal while the speed is what it was at the start; L^2
    is not below the energy itself, which arXiv 1911.09189, eqs. 16-18, take for it."""
    from nishimori.description import GaussianChannel, Network
    from nishimori.systems.infinite_ensemble.data import drawn
    from nishimori.systems.infinite_ensemble.training import Ensemble, train

    address, times = (0, "0" * 12, range(12)), np.array([0.05, 1.0, 20.0])
    data = drawn(Network(4, (20,), "tanh"), GaussianChannel(0.1), "teacher", (5, 6), address)
    trained = train(Ensemble(data.problem, 8, *address[:2], "cpu"), times.tolist(), 4.0, silent)
    ratios = trained.lengths**2 / (times[:, None, None] * trained.energies)
    assert (ratios <= 1).all() and ratios[0].min() > 0.9 and ratios[2].max() < 0.9
    beyond = (trained.lengths[2] ** 2 - trained.energies[2]).mean(axis=1)
    assert beyond.mean() > 5 * beyond.std(ddof=1) / math.sqrt(len(beyond))


def test_a_network_follows_its_own_linearisation_as_it_gets_wide() -> None:
    """Trained outputs beside the flow of the tangent kernel that the network itself has at its start."""
    from nishimori.description import GaussianChannel, Network
    from nishimori.models.problem import matched_teacher
    from nishimori.systems.infinite_ensemble.training import Ensemble
    from nishimori.theory.ensembles import Flow

    apart = []
    for width in (32, 512):
        problem = matched_teacher(Network(3, (width,), "erf_sqrt2"), GaussianChannel(0.1), 4, 2, test_samples=1)
        ensemble = Ensemble(problem, 6, 0, "", "cpu")
        jacobian = np.stack([one.to_edge().numpy() for one in ensemble.gradients()], axis=2)
        starts = ensemble.outputs("train").numpy()
        for _ in range(40):
            ensemble.step(0.05)
        found, differences = ensemble.outputs("train").numpy(), []
        for instance in range(2):
            labels = problem.labels[instance].numpy()
            for member in range(6):
                own = jacobian[instance, member]
                expected = Flow(own @ own.T).outputs(starts[instance, member], labels, 2.0)
                differences.append(found[instance, member] - expected)
        apart.append(float(np.sqrt(np.mean(np.square(differences)))))
    assert apart[1] < apart[0] / 2.5 and apart[1] < 0.02


def test_information_about_linear_labels_is_below_the_bottleneck() -> None:
    found = measured(data={"labels": "linear", "samples": 12})
    known, bottleneck, exact = (found[name] for name in ("label_information", "bottleneck", "exact_label_information"))
    assert worst(known) < 3.5 and worst(bottleneck) < 3.5
    assert (known.values.mean(axis=0) < bottleneck.values.mean(axis=0)).all()
    assert bottleneck.predicted is not None and (bottleneck.predicted < exact.values[:, None]).all()
    assert known.values.mean(axis=0)[-1] > 0.1
    for one in (known, bottleneck):
        assert one.line is not None and one.predicted is not None
        np.testing.assert_allclose(
            np.interp(one.places, one.line[0], one.line[1].mean(axis=0)), one.predicted.mean(axis=0), rtol=1e-12
        )


def test_the_posterior_is_laid_beside_it_and_covers_its_labels(tmp_path: Path) -> None:
    """And the trained ensemble, which believes too little, does not."""
    changed = {"network": {"input_dim": 5, "width": 64}, "posterior": {"chains": 2, "warmup": 40, "draws": 60}}
    assert run(tmp_path, **changed, run={"instances": 24, "device": "cpu"}) == 0
    (point,) = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))["points"]
    told = {name: z for name, z in point["z_scores"].items() if "posterior" in name}
    assert set(told) >= {"posterior_coverage", "wide_posterior_coverage", "posterior_variance"}
    assert max(abs(z) for z in told.values()) < 3.5
    estimates = point["estimates"]
    limit = estimates["limit_coverage"]
    assert limit["value"] < 0.95 - 3 * limit["standard_error"]
    assert 0 < estimates["posterior_variance_between"]["value"] < 0.1 * estimates["posterior_variance"]["value"]
    assert estimates["posterior_r_hat"]["value"] < 1.05


def test_points_do_not_depend_on_how_many_instances_there_are() -> None:
    from nishimori.description import GaussianChannel, Network
    from nishimori.systems.infinite_ensemble.data import drawn
    from nishimori.systems.infinite_ensemble.training import Ensemble, train

    found = []
    for count in (2, 3):
        address = 0, "0" * 12, range(count)
        data = drawn(Network(4, (20,), "tanh"), GaussianChannel(0.1), "linear", (5, 6), address)
        found.append(train(Ensemble(data.problem, 4, 0, "0" * 12, "cpu"), (1.0,), 3.0, silent).outputs[:, :2])
    np.testing.assert_allclose(*found, rtol=1e-10)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"training": {"times": [2.0, 1.0]}}, "training.times must grow"),
        ({"training": {"members": 2}}, "training.members"),
        ({"network": {"input_dim": 5}}, "network.width is missing; add it"),
        ({"network": {"input_dim": 5, "width": 8, "activation": "erf_sqrt"}}, "did you mean 'erf_sqrt2'?"),
        (
            {"network": {"input_dim": 5, "width": 8, "weight_variance": [1.0, 2.0, 3.0]}},
            "has 3 entries; give one, or 2",
        ),
        ({"data": {"samples": 8, "noise_variance": 0.1, "labels": "gaussian"}}, "data.labels"),
        ({"network": {"input_dim": 5, "width": 8, "bias_variance": 0.1}, "posterior": {}}, "leave [posterior] out"),
        ({"network": {"input_dim": 5, "width": 8, "depth": 0}, "posterior": {}}, "needs a hidden layer"),
    ],
)
def test_bad_input_is_a_sentence(
    changed: dict[str, Any], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, **changed) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()
