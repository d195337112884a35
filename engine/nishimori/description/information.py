"""The settings that each method of measuring the mutual information takes, in experiment files and in Python."""

from typing import get_args

import msgspec

from nishimori.description.config import Config, InformationMethod
from nishimori.description.errors import BadInput

INFORMATION_METHODS: tuple[str, ...] = get_args(InformationMethod)

_CHAINS = {"chains": 1, "warmup": 100, "draws": 200}
_KEYS: dict[str, dict[str, int]] = {
    "ais": {"rungs": 600, "chains": 1},
    "collapsed": {"rungs": 300, "chains": 1},
    "immse": {"nodes": 6, **_CHAINS},
    "chain_rule": {"nodes": 5, **_CHAINS},
}


def information_defaults(method: str) -> dict[str, int]:
    """The keys of [information] that a method takes, with their defaults."""
    return dict(_KEYS[method])


def with_information_defaults(config: Config) -> Config:
    """What the method leaves unsaid, said.

    Raises BadInput for a key that the method does not take, and for keys without a method.
    """
    section = config.information
    said = {
        key: value for key, value in msgspec.structs.asdict(section).items() if key != "method" and value is not None
    }
    if section.method is None:
        if said:
            known = ", ".join(INFORMATION_METHODS)
            raise BadInput(f"information.{next(iter(said))} goes with information.method; set that to one of {known}")
        return config
    defaults = information_defaults(section.method)
    for key in said:
        if key not in defaults:
            takers = ", ".join(method for method in INFORMATION_METHODS if key in _KEYS[method])
            raise BadInput(
                f'information.{key} does not go with information.method = "{section.method}"; remove it, or set '
                f"information.method to one of {takers}"
            )
    return msgspec.structs.replace(config, information=msgspec.structs.replace(section, **{**defaults, **said}))
