"""The tuner's measurements end to end, on shapes that mean nothing: on a GPU, else in the interpreter."""

from dataclasses import replace

import pytest
import torch
import tune
from shapes import Shape

from nishimori_kernels.dispatch import interpreted
from nishimori_kernels.energy.configs import Tile, configs_on

pytestmark = [
    pytest.mark.triton,
    pytest.mark.skipif(
        not interpreted() and not torch.cuda.is_available(),
        reason="Triton kernels need a CUDA device (torch.cuda.is_available() is False) or TRITON_INTERPRET=1",
    ),
]
DEVICE = torch.device("cpu" if interpreted() else "cuda")
SHAPE = Shape(20, 30, 2, 2)
TILES = [Tile(32, 32, 16, 4, 2), Tile(64, 32, 32, 4, 2)]


@pytest.mark.parametrize("kernel", tune.KERNELS)
def test_a_tile_is_timed_where_its_result_is_right(kernel, capsys):
    for operands in tune.operands_of(kernel, "bf16x3", SHAPE, DEVICE):
        assert list(tune.right_calls(operands, "bf16x3", TILES)) == TILES
        wrong = replace(operands, expected=lambda own=operands: 1.01 * own.expected())
        assert tune.right_calls(wrong, "bf16x3", TILES) == {}
        assert "is left out: it is 9.9e-03 off" in capsys.readouterr().out


def test_tiles_and_products_are_chosen_for_the_classes_of_the_shapes(monkeypatch):
    """TF32, whose products torch has on a CPU too."""
    monkeypatch.setattr(tune, "candidates", lambda mode: TILES)
    entries = tune.tuned_tiles("tf32", [SHAPE], 1, DEVICE)
    assert set(entries) == {f"{kernel} tf32 small" for kernel in tune.KERNELS}
    assert all(Tile(**entry) in TILES for entry in entries.values())
    chosen = tune.tuned_products("tf32", [SHAPE], configs_on(DEVICE), 1, DEVICE)
    assert chosen in ({"products tf32 small": "cublas"}, {"products tf32 small": "triton"})
