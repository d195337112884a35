"""The tuner's candidates fit, the fastest of what is right wins, and the table is written as it is kept."""

import json

import pytest
import torch
import tune
from shapes import Shape

from nishimori_kernels.energy.configs import TABLE, Tile, configs_of, read_table

FIRST, SECOND = Tile(64, 64, 32, 4, 2), Tile(128, 128, 32, 8, 3)


@pytest.mark.parametrize("mode", tune.MODES)
def test_candidates_are_many_all_differ_and_fit_in_shared_memory(mode):
    tiles = tune.candidates(mode)
    width = 2 if mode in ("bf16", "fp16") else 4
    assert len(set(tiles)) == len(tiles) >= 10
    assert all((tile.rows + tile.columns) * tile.inner * width * tile.stages <= tune.SHARED for tile in tiles)
    assert all(tile.rows * tile.columns <= 128 * 256 and tile.warps in (4, 8) for tile in tiles)


def test_the_smallest_median_wins_and_each_case_counts_alike():
    assert tune.winner({"a": {FIRST: [1.0, 9.0, 1.1], SECOND: [2.0, 2.0, 0.1]}}) == FIRST
    slow_case = {FIRST: [100.0], SECOND: [104.0]}
    assert tune.winner({"a": {FIRST: [3.0], SECOND: [1.0]}, "b": slow_case}) == SECOND


def test_what_was_wrong_on_one_case_cannot_win():
    assert tune.winner({"a": {FIRST: [1.0], SECOND: [2.0]}, "b": {SECOND: [5.0]}}) == SECOND
    for nothing in ({}, {"a": {FIRST: [1.0]}, "b": {SECOND: [1.0]}}):
        with pytest.raises(ValueError, match="no candidate was right"):
            tune.winner(nothing)


def test_entries_are_added_to_those_of_the_gpu_or_its_family():
    table = {"default": {"x": 1}, "Make A": {"x": 2, "y": 3}}
    made = tune.with_entries(table, "Make A 80GB", {"y": 4}, "measured")
    assert made == {**table, "Make A 80GB": {"x": 2, "y": 4, "origin": "measured"}}
    assert tune.with_entries(table, "Other", {"y": 4}, "measured")["Other"] == {"y": 4, "origin": "measured"}


def test_the_table_is_kept_as_it_is_written():
    assert tune.text_of(read_table()) == TABLE.read_text(encoding="utf-8")
    made = tune.with_entries(read_table(), "Other", {"products bf16 large": "triton"}, "measured")
    assert json.loads(tune.text_of(made)) == made
    assert configs_of("Other", json.loads(tune.text_of(made))).products("bf16", 1000) == "triton"


def test_operands_are_those_of_a_gradient():
    found = {kernel: [(each.size_class, each.found.shape) for each in operands(kernel)] for kernel in tune.KERNELS}
    first, deep = (1, 40, 20), (4, 10, 20)
    assert found["lift"] == [("small", first), ("small", deep)]
    assert found["descend"] == [("small", deep)]
    assert found["weigh"] == [("small", (1, 40, 10)), ("small", (4, 10, 10))]


def operands(kernel: str):
    return tune.operands_of(kernel, "bf16x3", Shape(10, 20, 2, 4), torch.device("cpu"))


def test_a_shape_is_read_or_refused_with_an_example(capsys):
    assert tune.shape_of("1000,2000,2,32") == Shape(1000, 2000, 2, 32)
    with pytest.raises(SystemExit, match="2"):
        tune.main(["--shape", "1000,2000"])
    assert "try 1000,2000,2,32" in capsys.readouterr().err


def test_without_a_gpu_it_says_so(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert tune.main([]) == tune.NO_GPU
    assert "there is no GPU to tune for" in capsys.readouterr().err
