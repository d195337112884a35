"""A document against the schema: a config, or a sentence that names the key and what to do."""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import msgspec

from nishimori.description.config import Config
from nishimori.description.errors import BadInput


def validate(document: Mapping[str, Any]) -> Config:
    try:
        return msgspec.convert(document, Config)
    except msgspec.ValidationError as error:
        raise BadInput(_sentence(str(error))) from None


def known_kinds() -> list[str]:
    """The kinds of sampler an experiment can name."""
    return _known_values("sampler.kind")


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
