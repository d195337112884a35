"""By GPU: the tiles that products in Triton take, and whether they or cuBLAS's run. The table is `configs.json`.

An entry of a GPU is "kernel mode class" with a tile, or "products mode class" with "cublas" or "triton"; what a GPU has
no entry for is taken from "default", which is small enough for any. `bench/tune.py` measures entries and writes them.
"""

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

TABLE = Path(__file__).with_name("configs.json")
DEFAULT = "default"
LARGE = 128
"""Products are "large" where all sizes that count are above this, else "small"."""

Table = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Tile:
    """Rows and columns of a product that a program makes, how much of the inner axis it takes at a time, its warps, and
    the stages of its loads."""

    rows: int
    columns: int
    inner: int
    warps: int
    stages: int

    @property
    def options(self) -> dict[str, Any]:
        """Of a launch."""
        return {"num_warps": self.warps, "num_stages": self.stages, "enable_fp_fusion": True}


@dataclass(frozen=True)
class Configs:
    """The entries that hold for one GPU."""

    entries: Mapping[str, Any]

    def tile(self, kernel: str, mode: str, rows: int, columns: int) -> Tile:
        """Of "lift", "descend" or "weigh", for a product of so many rows and columns."""
        return Tile(**self.entries[f"{kernel} {mode} {class_of(rows, columns)}"])

    def products(self, mode: str, *sizes: int) -> str:
        """ "cublas" or "triton", for a network with these widths and so many samples."""
        return self.entries[f"products {mode} {class_of(*sizes)}"]


def class_of(*sizes: int) -> str:
    return "large" if min(sizes) > LARGE else "small"


def known_name(gpu: str, table: Table) -> str | None:
    """The longest name in the table that `gpu` is or begins with, None where there is none."""
    names = [name for name in table if name != DEFAULT and f"{gpu} ".startswith(f"{name} ")]
    return max(names, key=len, default=None)


def configs_of(gpu: str, table: Table) -> Configs:
    name = known_name(gpu, table)
    return Configs({**table[DEFAULT], **(table[name] if name else {})})


def configs_on(device: torch.device) -> Configs:
    """Those of a CUDA device; where the table does not know it, a line on stderr says so, once. Elsewhere (in the
    interpreter) the default."""
    return _announced(torch.cuda.get_device_name(device)) if device.type == "cuda" else configs_of("", read_table())


def read_table(path: Path = TABLE) -> Table:
    return json.loads(_text(path))


def table_hash() -> str:
    """Twelve hexadecimal digits that change with the table."""
    return hashlib.sha256(_text(TABLE).encode()).hexdigest()[:12]


@cache
def _announced(gpu: str) -> Configs:
    table = read_table()
    if known_name(gpu, table) is None:
        print(
            f"nishimori: no kernel configurations were measured for {gpu!r}, and those that fit any GPU are used; "
            "to measure its own, run `python bench/tune.py`",
            file=sys.stderr,
        )
    return configs_of(gpu, table)


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
