"""The mutation gate: a bug planted in a copy of the shipped source must break a law of the exactness suite.

`python tests/mutants/gate.py` runs all mutants and writes the kill table of README.md.
"""

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SOURCES = ("engine", "kernels")
WORKERS = 2
MOST_SECONDS = 300.0
LEAST_Z = 4.0
BROKEN = 3
"""Exit code of `nishimori selftest` where a law does not hold."""


class NoFindingError(Exception):
    """A copy of which no law said anything: it could not be made, or the check did not run to its end."""


@dataclass(frozen=True)
class Mutant:
    """A patch to the source: what it plants, and the law that must break on it."""

    name: str
    plants: str
    law: str

    @property
    def patch(self) -> Path:
        return HERE / f"{self.name}.patch"


@dataclass(frozen=True)
class Finding:
    """What a law said of a copy: whether it holds, and its quantity that deviates most, by z standard errors."""

    holds: bool
    quantity: str
    z: float

    @property
    def is_kill(self) -> bool:
        """Broken by a measured deviation: not by NaN, nor for being too blunt."""
        return not self.holds and math.isfinite(self.z) and abs(self.z) >= LEAST_Z


def mutants() -> tuple[Mutant, ...]:
    entries = tomllib.loads((HERE / "mutants.toml").read_text(encoding="utf-8"))
    return tuple(Mutant(name, **entry) for name, entry in sorted(entries.items()))


def laws_of(planted: Iterable[Mutant]) -> list[str]:
    """Every law once."""
    return list(dict.fromkeys(mutant.law for mutant in planted))


def copy_source(source: Path, folder: Path) -> Path:
    """`folder`, now holding both source roots; compiled random number kernels come along, byte code does not."""
    for name in SOURCES:
        shutil.copytree(source / name, folder / name, ignore=shutil.ignore_patterns("*.pyc"))
    return folder


def apply(patch: Path, copy: Path) -> None:
    """Raises NoFindingError where a line of the patch's context is not as it says, or it changes another file."""
    environment = os.environ | {"GIT_CEILING_DIRECTORIES": str(copy.parent)}
    command = ["git", "apply", "--verbose", *(f"--include={name}/nishimori*" for name in SOURCES), str(patch)]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    if done.returncode or "Skipped" in done.stderr:
        raise NoFindingError(f"{patch.name} no longer applies; plant its bug anew: {done.stderr.strip()}")
    # A compiled kernel knows its own file but not those it took constants from.
    for compiled in copy.rglob("*.nb[ic]") if "/rng/" in patch.read_text(encoding="utf-8") else ():
        compiled.unlink()


def examine(copy: Path, law: str) -> Finding:
    """Check a law by `nishimori selftest` on this copy, in one thread.

    Raises NoFindingError where the command fails otherwise than by a broken law, takes too long, or has imported
    anything but the copy.
    """
    command = [sys.executable, "-P", str(HERE / "examine.py"), law]
    environment = _environment(copy)
    try:
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=MOST_SECONDS)
    except subprocess.TimeoutExpired:
        raise NoFindingError(f"{law} took more than {MOST_SECONDS:.0f} s") from None
    if done.returncode not in (0, BROKEN):
        raise NoFindingError(f"{law} died with code {done.returncode}: {done.stderr[-2000:]}")
    said = json.loads(done.stdout)
    for file in said["files"]:
        if not Path(file).is_relative_to(copy):
            raise NoFindingError(f"{law} was checked on {file}, not on the copy")
    return _finding(said["laws"], done.returncode == 0)


def _environment(copy: Path) -> dict[str, str]:
    """One thread, modules of the copy, nothing compiled anywhere else."""
    ours = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    ours.pop("NUMBA_CACHE_DIR", None)
    sources = os.pathsep.join(str(copy / name) for name in SOURCES)
    return ours | {"PYTHONPATH": sources, "PYTHONDONTWRITEBYTECODE": "1"}


def _finding(laws: list[dict], holds: bool) -> Finding:
    (law,) = laws
    worst = max(law["comparisons"], key=lambda row: math.inf if row["z"] is None else abs(row["z"]))
    return Finding(holds, worst["quantity"], math.nan if worst["z"] is None else float(worst["z"]))


class Gate:
    """Copies in `folder`; mutants and laws are examined `WORKERS` at a time, each once, from `start` on."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._pool = folder, ThreadPoolExecutor(WORKERS)
        self._clean = copy_source(ROOT, folder / "clean")
        self._laws: dict[str, Future[Finding]] = {}
        self._mutants: dict[str, Future[Finding]] = {}

    def start(self, laws: Iterable[str], planted: Iterable[Mutant]) -> None:
        """The first law alone, so that what it compiles need not be compiled again in the copies."""
        for law in laws:
            self._laws[law] = self._pool.submit(examine, self._clean, law)
            if len(self._laws) == 1:
                self._laws[law].exception()
        for mutant in planted:
            self._mutants[mutant.name] = self._pool.submit(self._examine_mutant, mutant)

    def _examine_mutant(self, mutant: Mutant) -> Finding:
        copy = copy_source(self._clean, self._folder / mutant.name)
        apply(mutant.patch, copy)
        return examine(copy, mutant.law)

    def of_law(self, law: str) -> Finding:
        """On the source as it is. Raises NoFindingError as `examine` does."""
        return self._laws[law].result()

    def of_mutant(self, name: str) -> Finding:
        """Raises NoFindingError as `apply` and `examine` do."""
        return self._mutants[name].result()

    def stop(self) -> None:
        self._pool.shutdown(cancel_futures=True)


HEADING = "| mutant | planted | broken law | quantity | z |"


def table(findings: Iterable[tuple[Mutant, Finding]]) -> str:
    rows = [
        f"| {mutant.name} | {mutant.plants} | {mutant.law} | {finding.quantity} | {finding.z:.1f} |"
        for mutant, finding in findings
    ]
    return "\n".join([HEADING, "|---|---|---|---|---:|", *rows]) + "\n"


def table_rows(text: str) -> list[list[str]]:
    """The cells of a kill table in a text."""
    _, _, below = text.partition(HEADING)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in below.splitlines()[2:]]


def main() -> int:
    """Run everything; write the table where the gate holds."""
    started, planted = time.monotonic(), mutants()
    laws = laws_of(planted)
    with tempfile.TemporaryDirectory() as folder:
        gate = Gate(Path(folder))
        gate.start(laws, planted)
        broken = [law for law in laws if not gate.of_law(law).holds]
        findings = [(mutant, gate.of_mutant(mutant.name)) for mutant in planted]
        gate.stop()
    alive = [mutant.name for mutant, finding in findings if not finding.is_kill]
    print(table(findings), f"{time.monotonic() - started:.0f} s", sep="\n")
    if broken or alive:
        print(f"broken without a mutant: {broken}; alive: {alive}", file=sys.stderr)
        return 1
    readme = HERE / "README.md"
    above, _, _ = readme.read_text(encoding="utf-8").partition(HEADING)
    readme.write_text(above + table(findings), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
