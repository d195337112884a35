"""A teacher that is another than its student believes, among the parameters and predictions of points."""

from collections.abc import Callable, Mapping
from typing import Any

from nishimori import theory
from nishimori.comparison.series import OF_TEACHER, value_of
from nishimori.description import Channel, GaussianChannel, Network
from nishimori.description.config import Config
from nishimori.description.teacher import teacher_config

Parameters = Mapping[str, Any]

PARAMETER_OF = {"temperature": "noise_variance", "widths": "width_ratios"}
"""Key of [teacher] -> the parameter that says it, where that has another name."""


def with_teacher_parameters(config: Config, parameters_of: Callable[[Config], dict[str, Any]]) -> dict[str, Any]:
    """The student's parameters and, as teacher_<name>, those of the teacher that [teacher] names or that differ."""
    ours = parameters_of(config)
    if not config.teacher:
        return ours
    theirs, said = parameters_of(teacher_config(config)), {PARAMETER_OF.get(key, key) for key in config.teacher}
    apart = {
        f"{OF_TEACHER}{name}": value_of(theirs, name)
        for name in (*ours, *(name for name in theirs if name not in ours))
        if name in said or value_of(theirs, name) != value_of(ours, name)
    }
    return {**ours, **apart}


def names_teacher(parameters: Parameters) -> bool:
    """Whether the teacher has parameters of its own, be they like the student's or not."""
    return any(name.startswith(OF_TEACHER) for name in parameters)


def predict_apart(
    parameters: Parameters,
    predict_matched: Callable[[Parameters], dict[str, Any]],
    described: Callable[[Parameters], tuple[Network, Channel]],
) -> dict[str, Any]:
    """The prediction where the teacher has parameters of its own: of the renormalised kernel, or the Bayes-optimal one
    where they are the student's, by the names of a mismatched student too."""
    ours = {name: value for name, value in parameters.items() if not name.startswith(OF_TEACHER)}
    apart = {name.removeprefix(OF_TEACHER): value for name, value in parameters.items() if name not in ours}
    if all(value == value_of(ours, name) for name, value in apart.items()):
        return _by_both_names(predict_matched(ours), described(ours)[1])
    student, teacher = described(ours), described({**ours, **apart})
    return theory.predict_mismatched(
        *student, ours["sample_ratio"], *teacher, width_ratios=ours["width_ratios"]
    ).to_dict()


def _by_both_names(prediction: dict[str, Any], channel: Channel) -> dict[str, Any]:
    same = {
        "posterior_mean_error": prediction["bayes_error"],
        "posterior_variance": prediction["bayes_error"],
        "train_gibbs_error": 2 * prediction["train_mmse"],
    }
    if isinstance(channel, GaussianChannel):
        same["training_energy"] = channel.noise_variance
    return {**prediction, **same}
