"""The [teacher] section: what the network and the channel that made the data have otherwise than the student's.

Its keys are those of [network] and [channel] but for the input dimension and the kind of channel, which both share.
"""

import difflib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from nishimori.description.config import Config, to_plain
from nishimori.description.errors import BadInput
from nishimori.description.sizes import network_sizes, require_noise, require_weights

SHARED = ("input_dim", "kind")
SIZES = ("widths", "depth", "width_ratios")
SECTIONS = ("network", "channel")

BAYES_OPTIMAL = ("bayes_error", "train_mmse", "mutual_information")
"""Estimates that a mismatched student has not."""

RESOLVED = (network_sizes, require_noise, require_weights)
"""What the schema does not see; each raises BadInput."""

Validate = Callable[[Mapping[str, Any]], Config]


def teacher_config(config: Config) -> Config:
    """The experiment of a student that is like the teacher: with its network and channel, and no [teacher]."""
    if not config.teacher:
        return config
    network, channel = _sections(config)
    return msgspec.structs.replace(
        config,
        network=msgspec.convert(network, type(config.network)),
        channel=msgspec.convert(channel, type(config.channel)),
        teacher={},
    )


def mismatch_of(config: Config) -> tuple[str, ...]:
    """The keys in which teacher and student differ; sizes are compared as widths."""
    ours, theirs = _described(config), _described(teacher_config(config))
    return tuple(key for key in ours if ours[key] != theirs[key])


def with_teacher(config: Config, validate: Validate) -> Config:
    """[teacher] checked and its values as the schema writes them, unsaid keys left out.

    `validate` reads a document. Raises BadInput, naming the key under [teacher], for what [network] or [channel] would
    not take, and for what needs a matched teacher where this one is not.
    """
    said = {key: value for key, value in config.teacher.items() if value is not None}
    if not said:
        return msgspec.structs.replace(config, teacher={})
    _require_known(said)
    for require in RESOLVED:
        require(config)
    network, channel = _sections(msgspec.structs.replace(config, teacher=said))
    data = to_plain(config)["data"]
    try:
        theirs = validate({"network": network, "channel": channel, "data": data})
        for require in RESOLVED:
            require(theirs)
    except BadInput as error:
        message = str(error)
        for section in SECTIONS:
            message = message.replace(f"{section}.", "teacher.")
        raise BadInput(message) from None
    plain = to_plain(theirs)
    written = {key: (plain["network"] | plain["channel"])[key] for key in said}
    checked = msgspec.structs.replace(config, teacher=written)
    _require_matched(checked)
    return checked


def _sections(config: Config) -> tuple[dict[str, Any], dict[str, Any]]:
    """[network] and [channel] of the teacher; sizes that it says replace those of the student."""
    plain, said = to_plain(config), config.teacher
    network, channel = plain["network"], plain["channel"]
    if "widths" in said:
        network |= {"depth": None, "width_ratios": None}
    elif "depth" in said:
        network |= {"widths": None}
    for key, value in said.items():
        (network if key in network else channel)[key] = value
    return network, channel


def _described(config: Config) -> dict[str, Any]:
    plain = to_plain(config)
    network = {key: value for key, value in plain["network"].items() if key not in SIZES}
    return {**network, **plain["channel"], "widths": network_sizes(config)}


def _require_known(said: Mapping[str, Any]) -> None:
    sections = [field.type for field in msgspec.structs.fields(Config) if field.name in SECTIONS]
    known = [name for section in sections for name in section.__struct_fields__ if name not in SHARED]
    for key in said:
        if key in SHARED:
            section = "network" if key == "input_dim" else "channel"
            raise BadInput(f"teacher.{key} cannot be set: both share {section}.{key}; remove it")
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            remedy = f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(known)}"
            raise BadInput(f"teacher.{key} is not a known key; {remedy}")


def _require_matched(config: Config) -> None:
    """Raises BadInput for what a mismatched student cannot have."""
    differing = mismatch_of(config)
    if not differing:
        return
    why = f"the teacher differs in {', '.join(differing)} and is no sample of the student's posterior"
    if config.sampler.start != "prior":
        raise BadInput(f'sampler.start = "{config.sampler.start}" needs a matched teacher, but {why}; use "prior"')
    if config.information.method is not None:
        raise BadInput(f"information.method needs a matched teacher, but {why}; remove it, or empty [teacher]")
    if config.control.data_sets is not None:
        raise BadInput(f"control.data_sets needs a matched teacher, but {why}; remove it")
    targets = [name for name in config.run.error_target or {} if name in BAYES_OPTIMAL]
    if targets:
        raise BadInput(f"run.error_target.{targets[0]} needs a matched teacher, but {why}; name another estimate")
    if config.observables.layer_overlaps:
        raise BadInput(f"observables.layer_overlaps need a matched teacher, but {why}; remove them")
