"""The table of kernel configurations is whole, and a GPU that it does not know is named once."""

import json
from itertools import product

import pytest
import torch

from nishimori_kernels.energy import configs
from nishimori_kernels.energy.configs import Tile, class_of, configs_of, configs_on, known_name, read_table

MODES = ("ieee", "tf32", "fp16", "bf16", "bf16x3")
KERNELS = ("lift", "descend", "weigh")
TILE = {"rows": 64, "columns": 64, "inner": 32, "warps": 4, "stages": 2}
PLANTED = {
    "default": {"lift bf16 small": TILE, "products bf16 large": "cublas"},
    "Make A": {"lift bf16 small": {**TILE, "rows": 128}},
    "Make A big": {"products bf16 large": "triton"},
}


@pytest.mark.parametrize("gpu", [*read_table(), "another"])
@pytest.mark.parametrize(("mode", "size"), list(product(MODES, (128, 129))))
def test_every_gpu_has_an_entry_for_whatever_is_asked(gpu, mode, size):
    own = configs_of(gpu, read_table())
    for kernel in KERNELS:
        tile = own.tile(kernel, mode, size, size)
        assert all(value & (value - 1) == 0 for value in (tile.rows, tile.columns, tile.inner, tile.warps))
    if mode != "ieee":
        assert own.products(mode, size) in (("triton",) if mode == "bf16x3" else ("cublas", "triton"))


def test_where_triton_was_not_measured_cublas_runs():
    """What the tuner writes says so in its origin."""
    for gpu in ("NVIDIA H100 80GB HBM3", "NVIDIA H200", "another"):
        own = configs_of(gpu, read_table())
        chosen = {own.products(mode, 1000) for mode in ("tf32", "fp16", "bf16")}
        assert chosen == {"cublas"} or own.entries["origin"].startswith("measured by bench/tune.py")


def test_products_are_small_where_one_of_their_sizes_is():
    assert [class_of(128, 1000), class_of(129, 1000), class_of(1)] == ["small", "large", "small"]


def test_a_gpu_has_the_entries_of_its_longest_name_and_the_default_for_others():
    names = {
        "Make A": "Make A",
        "Make A 80GB": "Make A",
        "Make A big 2": "Make A big",
        "Make AB": None,
        "default": None,
    }
    assert {gpu: known_name(gpu, PLANTED) for gpu in names} == names
    assert configs_of("Make A 80GB", PLANTED).tile("lift", "bf16", 9, 9).rows == 128
    assert configs_of("Make A 80GB", PLANTED).products("bf16", 200) == "cublas"
    assert configs_of("Make A big", PLANTED).tile("lift", "bf16", 9, 9) == Tile(**TILE)
    assert configs_of("Make A big", PLANTED).products("bf16", 200) == "triton"


def test_an_unknown_gpu_is_named_on_one_line_once(monkeypatch, capsys):
    configs._announced.cache_clear()
    for name, lines in (("NVIDIA H200", 0), ("Unheard of", 1), ("Unheard of", 0)):
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device, name=name: name)
        configs_on(torch.device("cuda"))
        said = capsys.readouterr().err.splitlines()
        assert len(said) == lines
        assert all("'Unheard of'" in line and "python bench/tune.py" in line for line in said)
    configs_on(torch.device("cpu"))
    assert capsys.readouterr().err == ""


def test_the_hash_is_that_of_the_table(tmp_path, monkeypatch):
    before = configs.table_hash()
    assert len(before) == 12 and int(before, 16) >= 0
    other = tmp_path / "configs.json"
    other.write_text(json.dumps(PLANTED), encoding="utf-8")
    monkeypatch.setattr(configs, "TABLE", other)
    assert configs.table_hash() != before
