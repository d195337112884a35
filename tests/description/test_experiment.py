"""Sweeps, identities and resolved sizes of an experiment file."""

import hashlib
import json
from pathlib import Path

import pytest
from experiments import changed, write

from nishimori.description.build import network_of
from nishimori.description.config import sampler_defaults, to_plain
from nishimori.description.errors import BadInput
from nishimori.description.experiment import expand, load_experiment
from nishimori.description.information import INFORMATION_METHODS, information_defaults
from nishimori.description.sizes import network_sizes, sample_count
from nishimori.description.validation import known_kinds


def test_no_sweep_is_one_point() -> None:
    experiment = expand(changed())
    assert len(experiment.points) == 1
    assert experiment.points[0].swept == {}


def test_cartesian_product_in_order() -> None:
    experiment = expand(changed(sweep={"network.depth": [1, 2], "data.sample_ratio": [0.5, 1.0, 2.0]}))
    cells = [(point.swept["network.depth"], point.swept["data.sample_ratio"]) for point in experiment.points]
    assert cells == [(depth, ratio) for depth in (1, 2) for ratio in (0.5, 1.0, 2.0)]
    assert len({point.identity for point in experiment.points}) == 6


def test_quoted_and_dotted_keys_are_the_same() -> None:
    nested = expand(changed(sweep={"data": {"sample_ratio": [0.5, 1.0]}}))
    quoted = expand(changed(sweep={"data.sample_ratio": [0.5, 1.0]}))
    assert [point.identity for point in nested.points] == [point.identity for point in quoted.points]


def test_zip_tables_advance_together(tmp_path: Path) -> None:
    path = write(tmp_path / "experiment.toml", changed())
    with path.open("a", encoding="utf-8") as file:
        file.write('[sweep]\n"network.depth" = [1, 2]\n[[sweep.zip]]\n')
        file.write('"network.input_dim" = [16, 32]\n"data.instances" = [8, 4]\n')
    points = load_experiment(path).points
    cells = [(p.config.network.depth, p.config.network.input_dim, p.config.data.instances) for p in points]
    assert cells == [(1, 16, 8), (1, 32, 4), (2, 16, 8), (2, 32, 4)]


def test_unequal_zip_lists_are_refused() -> None:
    with pytest.raises(BadInput, match="different lengths"):
        expand(changed(sweep={"zip": [{"network.input_dim": [16, 32], "data.instances": [8]}]}))


@pytest.mark.parametrize(
    "sweep",
    [
        {"data.sample_ratio": [1.0], "zip": [{"data.sample_ratio": [2.0, 4.0]}]},
        {"data.sample_ratio": [1.0], "data": {"sample_ratio": [2.0]}},
        {"zip": [{"data.seed": [1]}, {"data.seed": [2]}]},
    ],
)
def test_a_key_swept_twice_is_refused(sweep: dict[str, object]) -> None:
    with pytest.raises(BadInput, match="is swept twice"):
        expand(changed(sweep=sweep))


def test_widths_follow_the_input_dimension() -> None:
    experiment = expand(
        changed(network__depth=2, network__width_ratios=[0.5, 2.0], sweep={"network.input_dim": [8, 10]})
    )
    assert [network_sizes(point.config) for point in experiment.points] == [(4, 16), (5, 20)]


def test_samples_follow_the_ratio() -> None:
    assert sample_count(expand(changed(data__sample_ratio=2.5)).points[0].config) == 40
    assert sample_count(expand(changed(data__sample_ratio=None, data__samples=7)).points[0].config) == 7


def test_identity_says_what_and_not_where() -> None:
    def identity(**settings: object) -> str:
        return expand(changed(**settings)).points[0].identity

    assert identity() == identity(run__device="cpu")
    assert identity() == identity(network__readout="gaussian")
    assert identity() != identity(data__seed=4)
    assert identity() != identity(run__precision="fp64")
    assert len(identity()) == 12
    assert int(identity(), 16) >= 0


def test_overrides_are_typed(tmp_path: Path) -> None:
    path = write(tmp_path / "experiment.toml", changed())
    config = (
        load_experiment(path, ["data.sample_ratio=2", "network.activation=erf", "data.common=true"]).points[0].config
    )
    assert (config.data.sample_ratio, config.network.activation, config.data.common) == (2.0, "erf", True)


def test_an_experiment_from_before_the_other_samplers_keeps_its_identity() -> None:
    """The identity addresses random numbers: keys that came later may not enter it where they say what went unsaid."""
    first_schema = {
        "system": {"kind": "matched_teacher"},
        "network": {
            "input_dim": 16,
            "widths": None,
            "depth": 1,
            "width_ratios": None,
            "activation": "tanh",
            "readout": "gaussian",
        },
        "channel": {"kind": "gaussian", "noise_variance": 0.1},
        "data": {
            "sample_ratio": 1.0,
            "samples": None,
            "instances": 4,
            "test_samples": 20,
            "inputs": "gaussian",
            "seed": 3,
            "common": False,
        },
        "sampler": {
            "kind": "hmc",
            "integrator": "leapfrog",
            "chains": 1,
            "start": "both",
            "step_size": None,
            "num_steps": None,
            "path_length": None,
            "target_acceptance": 0.8,
            "jitter": 0.2,
            "calibration_chains": 4,
        },
        "run": {"warmup": 20, "draws": 40, "thin": 1, "seed": 0, "precision": "fp32"},
    }
    text = json.dumps(first_schema, sort_keys=True, separators=(",", ":"))
    expected = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()[:12]
    (point,) = expand(changed()).points
    assert point.identity == expected
    (other,) = expand(changed(sampler__target="collapsed")).points
    assert other.identity != expected


def test_every_method_of_information_says_its_defaults_and_is_part_of_the_identity() -> None:
    identities = {expand(changed()).points[0].identity}
    for method in INFORMATION_METHODS:
        (point,) = expand(changed(information__method=method)).points
        section = to_plain(point.config)["information"]
        said = {key: value for key, value in section.items() if value is not None}
        assert said == {"method": method, **information_defaults(method)}
        identities.add(point.identity)
    assert len(identities) == 1 + len(INFORMATION_METHODS)


def test_every_kind_of_sampler_says_its_defaults() -> None:
    for kind in known_kinds():
        (point,) = expand(changed(sampler__kind=kind)).points
        section = to_plain(point.config)["sampler"]
        for key, value in sampler_defaults(kind).items():
            assert section[key] == value, (kind, key)


def test_an_experiment_that_says_the_defaults_of_its_layers_is_the_same() -> None:
    """Biases and variances are younger than the first run directories; one network has one identity."""
    said = {"network__activation": ["tanh"], "network__weight_variance": [1.0, 1], "network__bias_variance": 0}
    plain, same = (expand(changed(**settings)).points[0] for settings in ({}, said))
    assert plain.identity == same.identity and plain.config == same.config
    others = (
        {"network__activation": ["tanh", "erf"], "network__depth": 2},
        {"network__weight_variance": 2.0},
        {"network__weight_variance": [1.0, 2.0]},
        {"network__bias_variance": 0.1},
    )
    identities = {expand(changed(**settings)).points[0].identity for settings in others}
    assert len(identities | {plain.identity}) == 1 + len(others)
    network = network_of(expand(changed(**others[0], network__bias_variance=0.3)).points[0].config)
    assert (network.activation_names, network.bias_variance) == (["tanh", "erf"], 0.3)


def test_layers_can_be_swept() -> None:
    sweep = {"network.activation": ["tanh", ["erf", "tanh"]], "network.weight_variance": [1.0, [2.0, 1.0, 1.0]]}
    points = expand(changed(network__depth=2, sweep=sweep)).points
    assert [point.swept["network.activation"] for point in points] == ["tanh", "tanh", ["erf", "tanh"], ["erf", "tanh"]]
    assert len({point.identity for point in points}) == 4
    with pytest.raises(BadInput, match="network.activation has 2 entries for 1 hidden layers"):
        expand(changed(network__activation=["erf", "tanh"], sweep={"network.depth": [2, 1]}))


def test_layer_overlaps_are_named_once_and_change_the_identity_where_they_are_asked_for() -> None:
    """An experiment older than the section keeps its identity, also where it says the default."""
    plain, said, asked = (
        expand(changed(**settings)).identity
        for settings in (
            {},
            {"observables__layer_overlaps": []},
            {"observables__layer_overlaps": ["weights", "kernels"]},
        )
    )
    assert plain == said != asked
    with pytest.raises(BadInput, match="observables.layer_overlaps .* names one twice; keep each once"):
        expand(changed(observables__layer_overlaps=["weights", "weights"]))
    with pytest.raises(BadInput, match="layer_overlaps.*'feature' is not known; did you mean 'features'"):
        expand(changed(observables__layer_overlaps=["feature"]))
