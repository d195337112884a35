"""What identifies a point: the hash of its resolved config, which addresses its random numbers too."""

import hashlib
import json
from typing import Any

from nishimori.description.config import Config, to_plain

IDENTITY_DIGITS = 12

NOT_IDENTITY = {"run": ("device", "segment_seconds", "blocks")}
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


def digest(value: Any) -> str:
    """Hex digits of the hash of a JSON-ready value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def identity(config: Any) -> str:
    """First 12 hex digits of the hash of the resolved config."""
    plain = to_plain(config)
    for section, keys in NOT_IDENTITY.items():
        for key in keys:
            plain[section].pop(key, None)
    if isinstance(config, Config):
        _leave_unsaid(plain)
    return digest(plain)[:IDENTITY_DIGITS]


def _leave_unsaid(plain: dict[str, Any]) -> None:
    """What younger keys of the matched teacher mean where they go without saying."""
    for section, keys in ADDED_SINCE.items():
        for key, unsaid in keys.items():
            if plain[section][key] in unsaid:
                plain[section].pop(key)
        if not plain[section]:
            plain.pop(section)
    if plain["information"]["method"] is None:
        plain.pop("information")
