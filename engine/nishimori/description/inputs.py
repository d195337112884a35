"""The section that says what inputs are: which keys go with which kind, and what is left unsaid."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from nishimori.description.config import InputsSection
from nishimori.description.errors import BadInput
from nishimori.description.input_moments import require_covariance

GAUSSIAN = "gaussian"
KEYS: dict[str, dict[str, Any]] = {
    GAUSSIAN: {},
    "power_law": {"exponent": None},
    "covariance": {"file": None, "digest": ""},
    "correlated": {"exponent": 0.5, "latent_ratio": 1.0, "correlation": 0.9, "directions": "random", "seed": 0},
    "hidden_manifold": {"latent_ratio": None, "activation": "sign", "depth": 1, "seed": 0},
}
"""The keys of a kind beyond `kind` and `equivalent`, with their defaults; None is a key that must be said."""

Inputs = str | InputsSection


def with_input_defaults(inputs: Inputs, input_dim: int, key: str = "inputs") -> Inputs:
    """What the kind leaves unsaid, said; "gaussian" where that is all. `key` is what messages call the section.

    Raises BadInput for a key that the kind does not take or needs, and for a covariance file that cannot be used.
    """
    if not isinstance(inputs, InputsSection) or inputs.kind == GAUSSIAN:
        return GAUSSIAN if not isinstance(inputs, InputsSection) else _plain(inputs, key)
    taken = KEYS[inputs.kind]
    _require_taken(inputs, key)
    missing = [name for name, value in taken.items() if value is None and getattr(inputs, name) is None]
    if missing:
        raise BadInput(f'{key}.{missing[0]} is missing; add it, as {key}.kind = "{inputs.kind}" takes one')
    unsaid = {name: value for name, value in taken.items() if getattr(inputs, name) is None}
    said = msgspec.structs.replace(inputs, **unsaid)
    if said.latent_ratio is not None and latent_dim(said, input_dim) < 1:
        raise BadInput(f"{key}.latent_ratio = {said.latent_ratio:g} leaves no latent number; raise it or input_dim")
    if said.kind == "covariance":
        return _with_digest(said, input_dim, key)
    return said


def is_gaussian(inputs: Inputs) -> bool:
    return not isinstance(inputs, InputsSection) or inputs.equivalent or inputs.kind != "hidden_manifold"


def latent_dim(inputs: InputsSection, input_dim: int) -> int:
    return round((inputs.latent_ratio or 1.0) * input_dim)


def input_parameters(inputs: Inputs) -> dict[str, Any]:
    """What names these inputs among the parameters of a point; "gaussian", a depth of 1 and a seed of 0 go unsaid."""
    if not isinstance(inputs, InputsSection):
        return {}
    said = {f"inputs_{name}": getattr(inputs, name) for name in KEYS[inputs.kind] if name != "digest"}
    for name, unsaid in (("inputs_depth", 1), ("inputs_seed", 0)):
        if said.get(name) == unsaid:
            said.pop(name)
    return {"inputs": inputs.kind, **said, **({"inputs_equivalent": True} if inputs.equivalent else {})}


def inputs_named(parameters: Any) -> Inputs:
    """The inverse of `input_parameters`."""
    if "inputs" not in parameters:
        return GAUSSIAN
    names = {name: parameters.get(f"inputs_{name}") for name in InputsSection.__struct_fields__ if name != "kind"}
    return InputsSection(kind=parameters["inputs"], **{**names, "equivalent": bool(names["equivalent"])})


def covariance_in(file: str, input_dim: int, key: str = "inputs") -> NDArray[np.float64]:
    """The matrix of a .npy file. Raises BadInput where it is none for this dimension."""
    try:
        matrix = np.load(file, allow_pickle=False)
    except FileNotFoundError:
        raise BadInput(f"{key}.file = {file!r}: no such file; give the path of a .npy file") from None
    except (OSError, ValueError, EOFError):
        raise BadInput(f"{key}.file = {file!r} is no .npy array of numbers; write it with numpy.save") from None
    if not isinstance(matrix, np.ndarray) or matrix.shape != (input_dim, input_dim) or matrix.dtype.kind not in "fiu":
        raise BadInput(f"{key}.file = {file!r} must hold a [{input_dim}, {input_dim}] matrix of real numbers; save one")
    try:
        return require_covariance(matrix)
    except ValueError as refusal:
        raise BadInput(f"{key}.file = {file!r}: {refusal}") from None


def _plain(inputs: InputsSection, key: str) -> str:
    _require_taken(inputs, key)
    if inputs.equivalent:
        raise BadInput(f'{key}.equivalent does not go with {key}.kind = "gaussian", which is its own; remove it')
    return GAUSSIAN


def _require_taken(inputs: InputsSection, key: str) -> None:
    for name in InputsSection.__struct_fields__:
        if name in ("kind", "equivalent") or name in KEYS[inputs.kind] or getattr(inputs, name) is None:
            continue
        kinds = ", ".join(kind for kind, names in KEYS.items() if name in names)
        raise BadInput(f'{key}.{name} does not go with {key}.kind = "{inputs.kind}"; remove it, or use {kinds}')


def _with_digest(inputs: InputsSection, input_dim: int, key: str) -> InputsSection:
    """The file by its whole path, and what it holds: a run goes on with the same covariance, or not at all."""
    path = Path(inputs.file or "").absolute()
    matrix = covariance_in(str(path), input_dim, key)
    digest = hashlib.blake2b(matrix.tobytes(), digest_size=8).hexdigest()
    if inputs.digest and inputs.digest != digest:
        raise BadInput(f"{key}.file = {str(path)!r} is not what it was when the run began; put the old file back")
    return msgspec.structs.replace(inputs, file=str(path), digest=digest)
