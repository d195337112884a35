"""From an experiment file to its points: overrides, sweeps, resolved configs."""

import itertools
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nishimori.description.config import Config, to_plain
from nishimori.description.errors import BadInput
from nishimori.description.identity import digest, identity
from nishimori.description.information import with_information_defaults
from nishimori.description.layers import with_layers_said_once
from nishimori.description.sense import require_sense, with_batches, with_inputs, with_sampler_defaults
from nishimori.description.sweep import cells, sweep_axes
from nishimori.description.teacher import with_teacher
from nishimori.description.validation import unknown_value, validate

Resolve = Callable[[Mapping[str, Any]], Any]
"""From a document without a sweep to a config with every default said; raises BadInput for what is no experiment."""
MATCHED_TEACHER = "matched_teacher"


@dataclass(frozen=True)
class Point:
    """One cell of the grid. `swept` maps the dotted keys that the sweep set to their values here; what `config` is
    depends on the kind of system, a `Config` for the matched teacher."""

    config: Any
    identity: str
    swept: dict[str, Any]


@dataclass(frozen=True)
class Experiment:
    """All points, the document with every default written back, and its hash."""

    document: dict[str, Any]
    identity: str
    points: tuple[Point, ...]


def resolved(document: Mapping[str, Any]) -> Config:
    """A document of the matched teacher."""
    sampled = with_sampler_defaults(with_teacher(with_inputs(_said_once(document)), _said_once))
    config = with_batches(with_information_defaults(sampled))
    require_sense(config)
    return config


KINDS: Mapping[str, Resolve] = {MATCHED_TEACHER: resolved}


def load_experiment(path: Path, overrides: Sequence[str] = (), kinds: Mapping[str, Resolve] = KINDS) -> Experiment:
    """Read a TOML file of one of the `kinds` of system and apply `overrides` ("section.key=value").

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
        said = [_parse_override(override) for override in overrides]
        for dotted, value in said:
            _set(document, dotted, value)
        _require_in_force([dotted for dotted, _ in said], document)
        return expand(document, kinds)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None


def _require_in_force(overridden: Sequence[str], document: Mapping[str, Any]) -> None:
    """Raises BadInput for a key that every point takes from the sweep."""
    for axis in sweep_axes(document.get("sweep", {})):
        for dotted in set(axis[0]) & set(overridden):
            remedy = f"write sweep.{dotted}=[...]" if len(axis[0]) == 1 else "edit its [[sweep.zip]] table"
            raise BadInput(f"--set {dotted}: the file sweeps this key; {remedy}")


def expand(document: Mapping[str, Any], kinds: Mapping[str, Resolve] = KINDS) -> Experiment:
    """Validate a document and expand its sweep into points."""
    base = {key: value for key, value in document.items() if key != "sweep"}
    axes = sweep_axes(document.get("sweep", {}))
    points = tuple(_point(base, swept, kinds) for swept in cells(axes))
    twice = [identity for identity, group in _grouped(points) if group > 1]
    if twice:
        raise BadInput("the sweep lists the same point twice; remove the repeated value")
    resolved = {**_merge_defaults(base, points[0]), **({"sweep": document["sweep"]} if axes else {})}
    return Experiment(resolved, digest([point.identity for point in points]), points)


def _grouped(points: Sequence[Point]) -> Iterator[tuple[str, int]]:
    for key, group in itertools.groupby(sorted(point.identity for point in points)):
        yield key, len(list(group))


def _merge_defaults(base: Mapping[str, Any], point: Point) -> dict[str, Any]:
    """The document as validated, defaults written back; swept keys keep the value of the base, if it has one."""
    plain = to_plain(point.config)
    for dotted, value in point.swept.items():
        *sections, last = dotted.split(".")
        tables = [*sections, last] if not sections else sections
        for name in [last] if sections else value:
            _within(plain, tables)[name] = _within(base, tables).get(name)
    return plain


def _within(document: Mapping[str, Any], tables: Sequence[str]) -> Any:
    """The table of tables; an empty one where the document does not have it."""
    for name in tables:
        document = document.get(name) or {}
        document = document if isinstance(document, dict) else {}
    return document


def _point(base: Mapping[str, Any], swept: Mapping[str, Any], kinds: Mapping[str, Resolve]) -> Point:
    document = {section: dict(values) if isinstance(values, dict) else values for section, values in base.items()}
    for dotted, value in swept.items():
        _set(document, dotted, value)
    config = kinds[_kind(document, kinds)](document)
    return Point(config, identity(config), dict(swept))


def _kind(document: Mapping[str, Any], kinds: Mapping[str, Resolve]) -> str:
    section = document.get("system", {})
    kind = section.get("kind", MATCHED_TEACHER) if isinstance(section, dict) else MATCHED_TEACHER
    if kind not in kinds:
        raise unknown_value("system.kind", str(kind), list(kinds))
    return kind


def _said_once(document: Mapping[str, Any]) -> Config:
    return with_layers_said_once(validate(document))


def _parse_override(text: str) -> tuple[str, Any]:
    dotted, equals, value = text.partition("=")
    if not equals or "." not in dotted:
        raise BadInput(f"--set {text}: write it as section.key=value")
    try:
        return dotted.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return dotted.strip(), value.strip()


def _set(document: dict[str, Any], dotted: str, value: Any) -> None:
    """A dotted key, of a section or a table in one; or several keys of one section, from a table."""
    section, _, rest = dotted.partition(".")
    *sections, key = [section, rest] if section == "sweep" and rest else dotted.split(".")
    if not sections and not isinstance(value, dict):
        raise BadInput(f"{dotted} is not a dotted key; write it as section.key, or give tables of its keys")
    table = document
    for depth, section in enumerate(sections or [key]):
        inner = table.get(section, {})
        if not isinstance(inner, dict):
            name = ".".join((sections or [key])[: depth + 1])
            raise BadInput(f"[{name}] must be a table; write [{name}] on a line of its own")
        table[section] = table = dict(inner)
    table.update({key: value} if sections else value)
