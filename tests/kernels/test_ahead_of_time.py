"""Every shipped Triton kernel compiles for compute capability 9.0 into what may ship; a kernel that spills does not."""

from dataclasses import replace

import pytest

pytest.importorskip("triton", reason="Triton is not installed here (it exists for Linux alone)")

from aot import Compiled, compiled, table
from shipped import shipped

from nishimori_kernels.dispatch import interpreted
from nishimori_kernels.pieces import Launch

pytestmark = pytest.mark.skipif(interpreted(), reason="kernels imported for the interpreter cannot be compiled")
SHIPPED = list(shipped()) if not interpreted() else []


def name_of(listed: tuple[str, Launch]) -> str:
    return f"{listed[1].kernel.__name__} {listed[0]}"


@pytest.mark.parametrize("listed", SHIPPED, ids=name_of)
def test_a_kernel_may_ship(listed: tuple[str, Launch]):
    config, launched = listed
    kernel = compiled(launched, config)
    assert kernel.complaints() == []
    assert 0 < kernel.registers <= 255 and kernel.programs >= 1
    assert kernel.name in table([kernel])


def refresh_for(config: str) -> Compiled:
    return next(compiled(launched, own) for own, launched in SHIPPED if name_of((own, launched)) == config)


def test_a_normal_takes_at_most_eighty_instructions():
    kernel = refresh_for("refresh_kernel fp32 aligned")
    assert kernel.instructions.total() / 16 <= 80, "a thread makes 16 normals"


def test_a_kernel_that_spills_is_caught():
    config, launched = next(
        each
        for each in SHIPPED
        if name_of(each) == "small_gradient_kernel tanh bf16 layers=2 width=128 chains=64 tl.dot"
    )
    starved = replace(launched, options={**launched.options, "num_warps": 16})
    assert any("local memory" in sentence for sentence in compiled(starved, config).complaints())


def test_a_kernel_without_matrix_units_is_caught():
    config, launched = next(each for each in SHIPPED if "add_scaled" in name_of(each))
    assert any("matrix units" in sentence for sentence in compiled(launched, f"{config} tl.dot").complaints())


def test_copies_of_four_bytes_are_caught():
    """TF32 operands that have to be turned on their way."""
    config, launched = next(each for each in SHIPPED if name_of(each).startswith("descend_kernel tf32"))
    assert any("16 bytes" in sentence for sentence in compiled(launched, f"{config} aligned").complaints())
