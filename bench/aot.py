"""What Triton makes of every shipped kernel for an H100 or H200, without one: registers, stack, shared memory,
programs a multiprocessor, instructions. Exit code 1 where a kernel keeps registers in memory, or misses the matrix
units.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import triton
import triton.backends.nvidia
from shipped import shipped
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from nishimori_kernels.pieces import Launch

TARGET = GPUTarget("cuda", 90, 32)
TOOLS = Path(triton.backends.nvidia.__file__).parent / "bin"
REGISTERS, SHARED, WARPS, PROGRAMS = 65536, 227 * 1024, 64, 32
"""Of a multiprocessor of compute capability 9.0."""
_TYPES = {
    "torch.float32": "fp32",
    "torch.float64": "fp64",
    "torch.bfloat16": "bf16",
    "torch.float16": "fp16",
    "torch.int64": "i64",
    "torch.int8": "i8",
}


@dataclass(frozen=True)
class Compiled:
    """A kernel as the GPU would run it; `instructions` by opcode, with its modifiers."""

    name: str
    config: str
    warps: int
    registers: int
    stack: int
    shared: int
    instructions: Counter[str]

    @property
    def wide(self) -> int:
        """Loads, copies to shared memory and stores of 16 bytes."""
        return sum(self._moving(opcode, True) for opcode in ("LDG", "LDGSTS", "STG"))

    @property
    def narrow_copies(self) -> int:
        """To shared memory, of less."""
        return self._moving("LDGSTS", False)

    def _moving(self, opcode: str, wide: bool) -> int:
        parts = ((name.split("."), number) for name, number in self.instructions.items())
        return sum(number for (first, *modifiers), number in parts if first == opcode and ("128" in modifiers) == wide)

    def count(self, opcode: str) -> int:
        """Of an opcode with any modifiers, or with those that are given."""
        return sum(number for name, number in self.instructions.items() if f"{name}.".startswith(f"{opcode}."))

    @property
    def programs(self) -> int:
        """That fit on a multiprocessor together."""
        by_registers = REGISTERS // (self.registers * 32 * self.warps)
        by_shared = SHARED // self.shared if self.shared else PROGRAMS
        return min(by_registers, by_shared, WARPS // self.warps, PROGRAMS)

    @property
    def occupancy(self) -> float:
        return self.programs * self.warps / WARPS

    def complaints(self) -> list[str]:
        """Sentences; none where the kernel may ship."""
        said = []
        if self.stack or self.count("LDL") or self.count("STL"):
            said.append(f"{self.name} ({self.config}) keeps {self.stack} bytes a thread in local memory")
        if self.shared > SHARED:
            said.append(f"{self.name} ({self.config}) needs {self.shared} bytes of shared memory, {SHARED} are there")
        if ("tl.dot" in self.config) != bool(self.count("HGMMA")):
            said.append(f"{self.name} ({self.config}) has {self.count('HGMMA')} instructions of the matrix units")
        if "aligned" in self.config and (self.narrow_copies or not self.wide):
            said.append(f"{self.name} ({self.config}) reads or writes less than 16 bytes at a time")
        return said


def compiled(launched: Launch, config: str) -> Compiled:
    """Of a launch as it would happen; nothing runs."""
    function, options = launched.kernel, launched.options
    signature, constants, attributes = _specialised(launched)
    made = triton.compile(ASTSource(function, signature, constants, attributes), target=TARGET, options=options)
    with tempfile.TemporaryDirectory() as folder:
        binary = Path(folder) / "kernel.cubin"
        binary.write_bytes(made.asm["cubin"])
        usage, code = _dumped("--dump-resource-usage", binary), _dumped("--dump-sass", binary)
    registers, stack = (int(re.search(rf"{name}:(\d+)", usage)[1]) for name in ("REG", "STACK"))  # pyright: ignore[reportOptionalSubscript]
    found = re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)", code)
    named = (opcode for opcode in found if opcode != "NOP")
    return Compiled(
        function.__name__, config, options["num_warps"], registers, stack, made.metadata.shared, Counter(named)
    )


def _specialised(launched: Launch) -> tuple[dict[str, str], dict[tuple[int], object], dict[tuple[int], object]]:
    """Types, constants and divisibility by 16 of the arguments, as a launch on a GPU would have them."""
    signature, constants, attributes = {}, {}, {}
    for place, (parameter, value) in enumerate(zip(launched.kernel.params, launched.arguments, strict=True)):
        signature[parameter.name] = kind = _type_of(parameter, value)
        if kind == "constexpr":
            constants[(place,)] = value
        elif isinstance(value, Tensor) or (kind[0] == "i" and _divisible(parameter, value)):
            attributes[(place,)] = [["tt.divisibility", 16]]
    return signature, constants, attributes


def _type_of(parameter: "triton.runtime.jit.KernelParam", value: object) -> str:
    if isinstance(value, Tensor):
        return f"*{_TYPES[str(value.dtype)]}"
    if parameter.is_constexpr or (value == 1 and type(value) is int and not parameter.do_not_specialize):
        return "constexpr"
    if isinstance(value, float):
        return "fp32"
    assert isinstance(value, int)
    return "i32" if -(2**31) <= value < 2**31 else "i64"


def _divisible(parameter: "triton.runtime.jit.KernelParam", value: int) -> bool:
    return value % 16 == 0 and not parameter.do_not_specialize


def _dumped(what: str, binary: Path) -> str:
    return subprocess.run([TOOLS / "cuobjdump", what, binary], check=True, capture_output=True, text=True).stdout


def table(kernels: Iterable[Compiled]) -> str:
    head = f"{'kernel':28} {'config':34} registers stack  shared programs occupancy  SASS  HGMMA 16-byte"
    lines = [
        f"{kernel.name:28} {kernel.config:34} {kernel.registers:9} {kernel.stack:5} {kernel.shared:7} "
        f"{kernel.programs:8} {kernel.occupancy:8.0%} {kernel.instructions.total():6} {kernel.count('HGMMA'):6} "
        f"{kernel.wide:7}"
        for kernel in kernels
    ]
    return "\n".join([head, *lines])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernel", default="", metavar="SUBSTRING", help="kernels whose name contains this")
    options = parser.parse_args(arguments)
    launches = [(config, launched) for config, launched in shipped() if options.kernel in launched.kernel.__name__]
    kernels = [compiled(launched, config) for config, launched in launches]
    print(table(kernels))
    complaints = [sentence for kernel in kernels for sentence in kernel.complaints()]
    for sentence in complaints:
        print(sentence, file=sys.stderr)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
