"""Small experiments for the tests of commands and files."""

import copy
import json
from pathlib import Path
from typing import Any

SMALL: dict[str, Any] = {
    "network": {"input_dim": 16, "depth": 1, "activation": "tanh"},
    "channel": {"noise_variance": 0.1},
    "data": {"sample_ratio": 1.0, "instances": 4, "test_samples": 20, "seed": 3},
    "sampler": {"kind": "hmc", "chains": 1},
    "run": {"warmup": 20, "draws": 40},
}


def changed(**settings: Any) -> dict[str, Any]:
    """SMALL with `section__key=value` applied; None removes the key."""
    document = copy.deepcopy(SMALL)
    for name, value in settings.items():
        section, _, key = name.partition("__")
        table = document.setdefault(section, {})
        if not key:
            document[section] = value
        elif value is None:
            table.pop(key)
        else:
            table[key] = value
    return document


def write(path: Path, document: dict[str, Any]) -> Path:
    """Write a document of tables of numbers, strings, lists and tables as TOML."""
    lines = []
    for section, table in document.items():
        lines.append(f"[{section}]")
        lines += [f"{json.dumps(key)} = {_value(value)}" for key, value in table.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_value(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value)
