"""The [teacher] section: what it overrides, what it leaves alone, and what it refuses."""

from typing import Any

import pytest
from experiments import changed

from nishimori.description.build import channel_of, network_of
from nishimori.description.config import Config, to_plain
from nishimori.description.errors import BadInput
from nishimori.description.experiment import expand
from nishimori.description.teacher import mismatch_of, teacher_config


def config_of(**settings: Any) -> Config:
    return expand(changed(sampler__start="prior", **settings)).points[0].config


def test_an_experiment_without_a_teacher_keeps_its_identity() -> None:
    plain = expand(changed()).identity
    assert expand(changed(teacher={})).identity == plain
    assert expand(changed(teacher={"noise_variance": None})).identity == plain
    assert expand(changed(teacher={"noise_variance": 0.1})).identity != plain
    assert teacher_config(config_of()) == config_of()


def test_values_are_written_as_the_schema_has_them() -> None:
    """1 and 1.0 are the same experiment."""
    whole, real = (config_of(teacher={"noise_variance": value}) for value in (1, 1.0))
    assert to_plain(whole) == to_plain(real)
    assert isinstance(whole.teacher["noise_variance"], float)


@pytest.mark.parametrize(
    ("teacher", "widths", "differing"),
    [
        ({"activation": "erf"}, (16,), ("activation",)),
        ({"noise_variance": 0.3}, (16,), ("noise_variance",)),
        ({"noise_variance": 0.1, "activation": "tanh"}, (16,), ()),
        ({"depth": 2}, (16, 16), ("widths",)),
        ({"depth": 2, "width_ratios": [0.5, 2.0]}, (8, 32), ("widths",)),
        ({"width_ratios": 0.5}, (8,), ("widths",)),
        ({"widths": [7]}, (7,), ("widths",)),
        ({"widths": [16]}, (16,), ()),
        ({"readout": "fixed"}, (16,), ("readout",)),
    ],
)
def test_what_the_teacher_says_replaces_what_the_student_says(
    teacher: dict[str, Any], widths: tuple[int, ...], differing: tuple[str, ...]
) -> None:
    config = config_of(teacher=teacher)
    theirs = teacher_config(config)
    assert network_of(config) == network_of(config_of())
    assert network_of(theirs).widths == widths
    assert network_of(theirs).activation_names == teacher.get("activation", "tanh")
    assert network_of(theirs).readout == teacher.get("readout", "gaussian")
    assert channel_of(theirs).noise_variance == teacher.get("noise_variance", 0.1)
    assert mismatch_of(config) == differing


def test_a_depth_replaces_the_widths_of_the_student() -> None:
    config = config_of(network={"input_dim": 16, "widths": [5]}, teacher={"depth": 0})
    assert network_of(teacher_config(config)).widths == ()


def test_the_temperature_of_the_teacher() -> None:
    config = config_of(channel={"kind": "logistic", "temperature": 0.2}, teacher={"temperature": 0.4})
    assert mismatch_of(config) == ("temperature",)


def test_keys_of_the_teacher_can_be_swept() -> None:
    experiment = expand(changed(sampler__start="prior", sweep={"teacher.activation": ["tanh", "erf"]}))
    assert [point.config.teacher for point in experiment.points] == [{"activation": "tanh"}, {"activation": "erf"}]
    assert experiment.document["teacher"] == {"activation": None}
    assert expand(experiment.document).identity == experiment.identity


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"teacher": {"activatoin": "erf"}}, ("teacher.activatoin", "did you mean 'activation'")),
        ({"teacher": {"chains": 3}}, ("teacher.chains", "known here", "noise_variance")),
        ({"teacher": {"input_dim": 3}}, ("teacher.input_dim", "share network.input_dim", "remove it")),
        ({"teacher": {"kind": "probit"}}, ("teacher.kind", "share channel.kind", "remove it")),
        ({"teacher": {"activation": "tanhh"}}, ("teacher.activation", "did you mean 'tanh'")),
        ({"teacher": {"noise_variance": -1.0}}, ("teacher.noise_variance", "> 0")),
        ({"teacher": {"temperature": 0.2}}, ("teacher.temperature", "does not go with", "give teacher.noise")),
        ({"teacher": {"depth": 0, "readout": "fixed"}}, ("teacher.readout", "no weights", "add a layer")),
        ({"teacher": {"width_ratios": [1.0, 2.0]}}, ("teacher.width_ratios", "depth 1")),
        ({"network__width_ratios": [1.0, 2.0], "teacher": {"depth": 2}}, ("network.width_ratios", "depth 1")),
        (
            {"teacher": {"activation": "erf"}, "sampler__start": "both"},
            ("sampler.start", "differs in activation", "use", "prior"),
        ),
        ({"teacher": {"activation": "erf"}, "sampler__start": "teacher"}, ("sampler.start", "use", "prior")),
        (
            {"teacher": {"noise_variance": 0.3}, "information__method": "ais"},
            ("information.method", "differs in noise_variance", "remove it"),
        ),
        (
            {"teacher": {"noise_variance": 0.3}, "control__data_sets": 9, "sampler__chains": 2},
            ("control.data_sets", "differs in noise_variance", "remove it"),
        ),
        (
            {"teacher": {"depth": 2}, "run__error_target": {"bayes_error": 0.1}},
            ("run.error_target.bayes_error", "differs in widths", "name another"),
        ),
        (
            {"teacher": {"widths": [3]}, "observables__layer_overlaps": ["weights"]},
            ("observables.layer_overlaps", "differs in widths", "remove"),
        ),
    ],
)
def test_bad_teachers_are_refused(settings: dict[str, Any], said: tuple[str, ...]) -> None:
    with pytest.raises(BadInput) as refusal:
        expand(changed(**{"sampler__start": "prior", **settings}))
    assert all(words in str(refusal.value) for words in said), str(refusal.value)


def test_a_teacher_that_is_not_a_table_is_refused() -> None:
    with pytest.raises(BadInput, match="teacher"):
        expand(changed(teacher=3))


def test_a_matched_teacher_that_is_named_keeps_all_that_matched_ones_have() -> None:
    named = changed(teacher={"noise_variance": 0.1}, sampler__start="both", information__method="ais")
    assert mismatch_of(expand(named).points[0].config) == ()


def test_the_teacher_may_have_layers_of_its_own() -> None:
    layers = {"activation": ["erf", "tanh"], "depth": 2, "weight_variance": [2, 2.0, 2.0], "bias_variance": 0.3}
    (point,) = expand(changed(sampler__start="prior", teacher=layers)).points
    network = network_of(teacher_config(point.config))
    assert (network.activation_names, network.weight_variance, network.bias_variance) == (["erf", "tanh"], 2.0, 0.3)
    assert set(mismatch_of(point.config)) == {"activation", "widths", "weight_variance", "bias_variance"}
    with pytest.raises(BadInput, match="teacher.weight_variance has 3 entries for 1 hidden layers"):
        expand(changed(sampler__start="prior", teacher={"weight_variance": [1.0, 2.0, 3.0]}))
