"""A document against the schema: a config, or a sentence that names the key and what to do."""

import difflib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, get_args

import msgspec

from nishimori.description.config import Config
from nishimori.description.errors import BadInput

Schema = TypeVar("Schema")


def validate(document: Mapping[str, Any], schema: type[Schema] = Config) -> Schema:
    """`document` as a `schema`, a struct of sections. Raises BadInput, with the key, where it is none."""
    try:
        return msgspec.convert(document, schema)
    except msgspec.ValidationError as error:
        raise BadInput(_sentence(str(error), schema)) from None


def unknown_value(key: str, value: str, known: Sequence[str]) -> BadInput:
    """The refusal of `value`, which is not one of the `known`."""
    close = difflib.get_close_matches(value, known, n=1)
    meant = f"did you mean {close[0]!r}? " if close else ""
    return BadInput(f"{key} = {value!r} is not known; {meant}use one of {', '.join(known)}")


def require_growing(key: str, places: Sequence[float]) -> None:
    """Raises BadInput where `places` do not grow from one to the next."""
    if any(later <= earlier for earlier, later in itertools.pairwise(places)):
        raise BadInput(f"{key} must grow from one to the next; sort them")


def known_kinds() -> list[str]:
    """The kinds of sampler an experiment can name."""
    return _known_values("sampler.kind", Config)


def _sentence(message: str, schema: Any) -> str:
    """msgspec's message with the key first and a remedy last."""
    what, _, where = message.replace("`key` in ", "").partition(" - at `$")
    section = where.rstrip("`").lstrip(".")
    unknown = re.search(r"unknown field `([^`]*)`", what)
    if unknown:
        return _unknown_key(section, unknown.group(1), schema)
    missing = re.search(r"missing required field `([^`]*)`", what)
    if missing:
        key = f"{section}.{missing.group(1)}" if section else f"[{missing.group(1)}]"
        return f"{key} is missing; add it"
    invalid = re.search(r"Invalid enum value (.*)", what)
    if invalid:
        return str(unknown_value(section, invalid.group(1).strip("'"), _known_values(section, schema)))
    return f"{section or 'the experiment'}: {what[:1].lower()}{what[1:]}; correct the value"


def _unknown_key(section: str, key: str, schema: Any) -> str:
    known = list(_schema_type(section, schema).__struct_fields__) + (["sweep"] if not section else [])
    close = difflib.get_close_matches(key, known, n=1)
    name = f"{section}.{key}" if section else f"[{key}]"
    remedy = f"did you mean {close[0]!r}?" if close else f"known here: {', '.join(known)}"
    return f"{name} is not a known key; {remedy}"


def _schema_type(section: str, schema: Any) -> Any:
    """The struct of a section, or of a table in one: of a union the struct in it."""
    for name in filter(None, section.split(".")):
        found = _field_type(schema, name)
        schema = next((one for one in get_args(found) if hasattr(one, "__struct_fields__")), found)
    return schema


def _field_type(struct: Any, name: str) -> Any:
    return next(field.type for field in msgspec.structs.fields(struct) if field.name == name)


def _known_values(dotted: str, schema: Any) -> list[str]:
    section, _, key = dotted.partition("[")[0].rpartition(".")
    return list(dict.fromkeys(_choices(_field_type(_schema_type(section, schema), key))))


def _choices(annotation: Any) -> Iterator[str]:
    """The values of a Literal, also of one in a union, in a list or among the keys of a table."""
    for argument in get_args(annotation):
        if get_args(argument):
            yield from _choices(argument)
        elif isinstance(argument, str):
            yield argument
