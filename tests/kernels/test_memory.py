"""Freed memory stays with the process: the next allocation of the same size brings no fresh pages."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource
from nishimori_kernels.memory import keep_freed_memory

def faults(repeats):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(repeats):
        bytearray(64 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

fresh = faults(4)
assert keep_freed_memory()
faults(1)
print(fresh, faults(4))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc's malloc is told anything")
def test_large_temporaries_fault_once():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    fresh, kept = map(int, done.stdout.split())
    assert fresh > 1000 and kept < fresh / 10, (fresh, kept)
