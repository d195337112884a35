"""From an experiment file to its points: strict validation, sweeps, resolved configs and their identities."""

import difflib
import hashlib
import itertools
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import msgspec

from nishimori.description.config import Config, sampler_defaults, to_plain
from nishimori.description.errors import BadInput
from nishimori.description.information import with_information_defaults
from nishimori.description.layers import require_integrable_readout, with_layers_said_once
from nishimori.description.sizes import network_sizes, require_noise, require_weights, sample_count
from nishimori.description.teacher import with_teacher

IDENTITY_DIGITS = 12
OPTIONAL_SAMPLER_KEYS = (
    "integrator",
    "target",
    "readouts",
    "step_size",
    "num_steps",
    "path_length",
    "target_acceptance",
    "jitter",
    "friction",
    "adjusted",
    "over_relaxed",
    "inverse_temperatures",
)
NOT_IDENTITY = {"run": ("device",)}
"""Keys that say how, not what: they change neither a point's identity nor its random numbers."""

ADDED_SINCE = {
    "channel": {"temperature": (None,)},
    "network": {"weight_variance": (1.0,), "bias_variance": (0.0,)},
    "sampler": {
        "target": (None, "plain"),
        "readouts": (None, 1),
        "friction": (None,),
        "adjusted": (None,),
        "over_relaxed": (None, False),
        "inverse_temperatures": (None,),
    },
    "run": {"keep": ("observables",), "error_target": (None,), "most_batches": (None,)},
    "observables": {"layer_overlaps": ([], ())},
    "teacher": {},
    "control": {"data_sets": (None,)},
}
"""Keys younger than the first run directories, with the values that mean what went without saying: left out of the
identity there, so that an old experiment keeps its identity, its random numbers and its results."""


@dataclass(frozen=True)
class Point:
    """One cell of the grid. `swept` maps the dotted keys that the sweep set to their values here."""

    config: Config
    identity: str
    swept: dict[str, Any]


@dataclass(frozen=True)
class Experiment:
    """All points, the document with every default written back, and its hash."""

    document: dict[str, Any]
    identity: str
    points: tuple[Point, ...]


def load_experiment(path: Path, overrides: Sequence[str] = ()) -> Experiment:
    """Read a TOML file and apply `overrides` ("section.key=value").

    Raises BadInput, with the file and the key, for anything that is not a valid experiment.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; give the path of an experiment file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read ({error}); give a readable TOML file") from None
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{path}: not valid TOML ({error}); correct that line") from None
    try:
        for override in overrides:
            _set(document, *_parse_override(override))
        return expand(document)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None


def expand(document: Mapping[str, Any]) -> Experiment:
    """Validate a document and expand its sweep into points."""
    base = {key: value for key, value in document.items() if key != "sweep"}
    axes = _sweep_axes(document.get("sweep", {}))
    points = tuple(_point(base, swept) for swept in _cells(axes))
    twice = [identity for identity, group in _grouped(points) if group > 1]
    if twice:
        raise BadInput("the sweep lists the same point twice; remove the repeated value")
    resolved = {**_merge_defaults(base, points[0]), **({"sweep": document["sweep"]} if axes else {})}
    return Experiment(resolved, digest([point.identity for point in points]), points)


def digest(value: Any) -> str:
    """Hex digits of the hash of a JSON-ready value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def identity(config: Config) -> str:
    """First 12 hex digits of the hash of the resolved config."""
    plain = to_plain(config)
    for section, keys in NOT_IDENTITY.items():
        for key in keys:
            plain[section].pop(key)
    for section, keys in ADDED_SINCE.items():
        for key, unsaid in keys.items():
            if plain[section][key] in unsaid:
                plain[section].pop(key)
        if not plain[section]:
            plain.pop(section)
    if config.information.method is None:
        plain.pop("information")
    return digest(plain)[:IDENTITY_DIGITS]


def _grouped(points: Sequence[Point]) -> Iterator[tuple[str, int]]:
    for key, group in itertools.groupby(sorted(point.identity for point in points)):
        yield key, len(list(group))


def _merge_defaults(base: Mapping[str, Any], point: Point) -> dict[str, Any]:
    """The document as validated, defaults written back; swept keys keep the value of the base, if it has one."""
    plain = to_plain(point.config)
    for dotted, value in point.swept.items():
        section, _, key = dotted.partition(".")
        for name in [key] if key else value:
            plain[section][name] = base.get(section, {}).get(name)
    return plain


def _point(base: Mapping[str, Any], swept: Mapping[str, Any]) -> Point:
    document = {section: dict(values) if isinstance(values, dict) else values for section, values in base.items()}
    for dotted, value in swept.items():
        _set(document, dotted, value)
    sampled = _with_sampler_defaults(with_teacher(_resolved(document), _resolved))
    config = _with_batches(with_information_defaults(sampled))
    _require_sense(config)
    return Point(config, identity(config), dict(swept))


def _resolved(document: Mapping[str, Any]) -> Config:
    return with_layers_said_once(_validate(document))


def _validate(document: Mapping[str, Any]) -> Config:
    try:
        return msgspec.convert(document, Config)
    except msgspec.ValidationError as error:
        raise BadInput(_sentence(str(error))) from None


def _sentence(message: str) -> str:
    """msgspec's message with the key first and a remedy last."""
    what, _, where = message.replace("`key` in ", "").partition(" - at `$")
    section = where.rstrip("`").lstrip(".")
    unknown = re.search(r"unknown field `([^`]*)`", what)
    if unknown:
        return _unknown_key(section, unknown.group(1))
    missing = re.search(r"missing required field `([^`]*)`", what)
    if missing:
        key = f"{section}.{missing.group(1)}" if section else f"[{missing.group(1)}]"
        return f"{key} is missing; add it"
    invalid = re.search(r"Invalid enum value (.*)", what)
    if invalid:
        known = _known_values(section)
        close = difflib.get_close_matches(invalid.group(1).strip("'"), known, n=1)
        meant = f"did you mean {close[0]!r}? " if close else ""
        return f"{section} = {invalid.group(1)} is not known; {meant}use one of {', '.join(known)}"
    return f"{section or 'the experiment'}: {what[:1].lower()}{what[1:]}; correct the value"


def _unknown_key(section: str, key: str) -> str:
    known = list(_schema_type(section).__struct_fields__) + (["sweep"] if not section else [])
    close = difflib.get_close_matches(key, known, n=1)
    name = f"{section}.{key}" if section else f"[{key}]"
    remedy = f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(known)}"
    return f"{name} is not a known key; {remedy}"


def _schema_type(section: str) -> Any:
    return _field_type(Config, section) if section else Config


def _field_type(struct: Any, name: str) -> Any:
    return next(field.type for field in msgspec.structs.fields(struct) if field.name == name)


def _known_values(dotted: str) -> list[str]:
    section, _, key = dotted.partition("[")[0].partition(".")
    return list(dict.fromkeys(_choices(_field_type(_schema_type(section), key))))


def _choices(annotation: Any) -> Iterator[str]:
    """The values of a Literal, also of one in a union, in a list or among the keys of a table."""
    for argument in get_args(annotation):
        if get_args(argument):
            yield from _choices(argument)
        elif isinstance(argument, str):
            yield argument


def _with_sampler_defaults(config: Config) -> Config:
    """What the sampler's kind leaves unsaid, said. Raises BadInput for a key that this kind does not take."""
    section, defaults = config.sampler, sampler_defaults(config.sampler.kind)
    for key in OPTIONAL_SAMPLER_KEYS:
        if key not in defaults and getattr(section, key) is not None:
            raise BadInput(
                f'sampler.{key} does not go with sampler.kind = "{section.kind}"; remove it, or set sampler.kind to '
                f"one of {', '.join(kind for kind in known_kinds() if key in sampler_defaults(kind))}"
            )
    unsaid = {key: value for key, value in defaults.items() if getattr(section, key) is None and value is not None}
    return msgspec.structs.replace(config, sampler=msgspec.structs.replace(section, **unsaid))


MOST_BATCHES = 64


def _with_batches(config: Config) -> Config:
    """With an error target, how many batches at most. Raises BadInput for that number alone, and an empty target."""
    run = config.run
    if run.error_target is None:
        if run.most_batches is not None:
            raise BadInput("run.most_batches goes with run.error_target; set that, or remove run.most_batches")
        return config
    if not run.error_target:
        raise BadInput("run.error_target names no estimate; write { bayes_error = 0.01 } for one per cent")
    if "mutual_information" in run.error_target and config.information.method is None:
        raise BadInput("run.error_target names mutual_information, which is not measured; set information.method")
    if config.data.instances < 2:
        raise BadInput("run.error_target needs data.instances = 2 or more: error bars are those over instances")
    most = MOST_BATCHES if run.most_batches is None else run.most_batches
    return msgspec.structs.replace(config, run=msgspec.structs.replace(run, most_batches=most))


def known_kinds() -> list[str]:
    """The kinds of sampler an experiment can name."""
    return _known_values("sampler.kind")


def _require_sense(config: Config) -> None:
    network_sizes(config)
    sample_count(config)
    require_noise(config)
    _require_controllable(config)
    sampler = config.sampler
    if sampler.num_steps is not None and sampler.path_length is not None:
        raise BadInput("sampler.num_steps and sampler.path_length are both given; keep one of them")
    kinds = config.observables.layer_overlaps
    if len(set(kinds)) < len(kinds):
        raise BadInput(f"observables.layer_overlaps = {list(kinds)} names one twice; keep each once")
    require_weights(config)
    for key, value, remedy in (
        ("sampler.target", sampler.target, "plain"),
        ("information.method", config.information.method, "ais"),
    ):
        if value == "collapsed":
            require_integrable_readout(config, key, remedy)
    if sampler.target == "collapsed" and config.channel.kind != "gaussian":
        raise BadInput(
            f'sampler.target = "collapsed" does not go with channel.kind = "{config.channel.kind}": the readout is '
            'integrated out for Gaussian noise alone; use "plain"'
        )
    if config.information.method in ("collapsed", "immse") and config.channel.kind != "gaussian":
        raise BadInput(
            f'information.method = "{config.information.method}" does not go with channel.kind = '
            f'"{config.channel.kind}": it rests on Gaussian noise; use "ais" or "chain_rule"'
        )
    if sampler.target == "plain" and sampler.readouts != 1:
        raise BadInput('sampler.readouts goes with sampler.target = "collapsed"; set that, or remove sampler.readouts')


def _require_controllable(config: Config) -> None:
    if config.control.data_sets is None:
        return
    if config.channel.kind != "gaussian":
        raise BadInput(
            f'control.data_sets does not go with channel.kind = "{config.channel.kind}": the infinitely wide network '
            "is solved exactly for Gaussian noise alone; remove it"
        )
    if config.sampler.start == "teacher" or (config.sampler.start == "prior" and config.sampler.chains == 1):
        raise BadInput(
            'control.data_sets needs two independent chains; set sampler.start to "both", or to "prior" with two '
            "chains or more"
        )


def _parse_override(text: str) -> tuple[str, Any]:
    dotted, equals, value = text.partition("=")
    if not equals or "." not in dotted:
        raise BadInput(f"--set {text}: write it as section.key=value")
    try:
        return dotted.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return dotted.strip(), value.strip()


def _set(document: dict[str, Any], dotted: str, value: Any) -> None:
    """A dotted key; or several keys of one section, from a table."""
    section, _, key = dotted.partition(".")
    if not key and not isinstance(value, dict):
        raise BadInput(f"{dotted} is not a dotted key; write it as section.key, or give tables of its keys")
    table = document.setdefault(section, {})
    if not isinstance(table, dict):
        raise BadInput(f"[{section}] must be a table; write [{section}] on a line of its own")
    table.update({key: value} if key else value)


Axis = list[dict[str, Any]]


def _sweep_axes(sweep: Any) -> list[Axis]:
    """Each axis is a list of settings: one key alone, or the keys of a zip table together."""
    if not isinstance(sweep, dict):
        raise BadInput("[sweep] must be a table of dotted keys with lists; write it as [sweep]")
    axes = [_single_axis(key, values) for key, values in _dotted(sweep) if key != "zip"]
    zipped = sweep.get("zip", [])
    if not isinstance(zipped, list):
        raise BadInput("sweep.zip must be written as [[sweep.zip]] tables; add the second pair of brackets")
    axes += [_zip_axis(table) for table in zipped]
    _require_distinct(axes)
    return axes


def _dotted(table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Dotted keys with their values: `data.sample_ratio = [...]` and `"data.sample_ratio" = [...]` alike."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from ((f"{key}.{inner}", values) for inner, values in value.items())
        else:
            yield key, value


def _require_distinct(axes: Sequence[Axis]) -> None:
    keys = [key for axis in axes for key in axis[0]]
    twice = [key for key in keys if keys.count(key) > 1]
    if twice:
        raise BadInput(f"sweep.{twice[0]} is swept twice; keep one of its lists")


def _single_axis(key: str, values: Any) -> Axis:
    if not isinstance(values, list) or not values:
        raise BadInput(f"sweep.{key} must be a list with at least one value; write it in brackets")
    return [{key: value} for value in values]


def _zip_axis(table: Mapping[str, Any]) -> Axis:
    if not isinstance(table, dict) or not table:
        raise BadInput("sweep.zip must hold tables with at least one key; write [[sweep.zip]] and keys below it")
    columns = dict(_dotted(table))
    lengths = {len(_single_axis(key, values)) for key, values in columns.items()}
    if len(lengths) != 1:
        raise BadInput("a [[sweep.zip]] table has lists of different lengths; make them equal")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _cells(axes: list[Axis]) -> Iterator[dict[str, Any]]:
    for cell in itertools.product(*axes):
        merged: dict[str, Any] = {}
        for setting in cell:
            merged.update(setting)
        yield merged
