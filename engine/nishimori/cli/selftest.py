"""`nishimori selftest`: hold every sampler to laws known without sampling, on this device and in this precision."""

import json as json_module
import math
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import tyro

from nishimori.chains.files import without_nan
from nishimori.cli.codes import DONE, VERDICT_FAILED
from nishimori.description.errors import BadInput

if TYPE_CHECKING:
    from nishimori.exactness.laws import Outcome, Place

WORKERS = 2


def selftest(
    device: Literal["auto", "cpu", "cuda"] = "auto",
    precision: Literal["fp64", "fp32"] = "fp64",
    only: tyro.conf.UseAppendAction[tuple[tuple[str, ...], ...]] = (),
    seed: int = 0,
    list: bool = False,
    json: bool = False,
) -> int:
    """Hold every sampler to laws known in closed form, a line a law.

    z is the largest deviation in Monte Carlo standard errors, error the standard error relative to the exact value:
    small enough that a mean or variance wrong by 1 % would fail. A few minutes on two cores. Exit codes: 0 every law
    holds, 2 the input is wrong, 3 a law is broken.

    Args:
        device: cpu, cuda, or auto for a GPU where there is one.
        precision: number format of positions and forces.
        only: names of the laws to check, several after one another or --only again.
        seed: of every random number; a law that is broken by chance holds with another one.
        list: print the names of the laws and what they say, and stop.
        json: print one JSON object on stdout and nothing else there.
    """
    from nishimori.exactness.suite import chosen

    laws = chosen([name for group in only for name in group])
    if list:
        print("\n".join(f"{law.name:<44}{law.statement}" for law in laws))
        return DONE
    place, started, checked = _place(device, precision, seed), time.monotonic(), []
    for one in _check([law.name for law in laws], place):
        checked.append(one)
        print(f"{len(checked):3}/{len(laws)} {_line(one)}", file=sys.stderr if json else sys.stdout, flush=True)
    seconds = time.monotonic() - started
    print(_as_json(checked, place, seconds) if json else _verdict(checked, seconds))
    return DONE if all(one.outcome.passed for one in checked) else VERDICT_FAILED


@dataclass(frozen=True)
class Checked:
    """A law, what it said, and the seconds it took."""

    name: str
    statement: str
    outcome: "Outcome"
    seconds: float


def _place(device: str, precision: str, seed: int) -> "Place":
    """BadInput for a device that is not there or a seed that is no key of random numbers."""
    from nishimori.exactness.laws import Place
    from nishimori.models.device import resolve_device

    if seed < 0:
        raise BadInput(f"--seed {seed}: a seed cannot be negative; give 0 or more")
    try:
        found = resolve_device(device)
    except ValueError as refusal:
        raise BadInput(f"--device: {refusal}") from None
    return Place(found.type, precision, seed)


def _check(names: Sequence[str], place: "Place") -> Iterator[Checked]:
    """In order, on a CPU by two processes of one thread each: the problems are too small to share one."""
    if len(names) == 1 or place.device != "cpu":
        yield from (check_law(name, place) for name in names)
        return
    with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn"), _use_one_thread) as workers:
        yield from workers.map(check_law, names, [place] * len(names))


def _use_one_thread() -> None:
    import numba
    import torch

    torch.set_num_threads(1)
    numba.set_num_threads(1)


def check_law(name: str, place: "Place") -> Checked:
    """Check the law of this name."""
    from nishimori.exactness.suite import chosen

    (law,) = chosen([name])
    started = time.monotonic()
    outcome = law.check(place)
    return Checked(law.name, law.statement, outcome, time.monotonic() - started)


def _line(checked: Checked) -> str:
    """One line, and one more for every comparison that failed."""
    outcome = checked.outcome
    said = (
        f"{'pass' if outcome.passed else 'FAIL'} {checked.name:<44} z {outcome.worst.z:6.2f}  "
        f"error {100 * outcome.bluntest.relative_error:5.2f} % {checked.seconds:6.1f} s  {checked.statement}"
    )
    failed = (
        f"        {one.quantity}: z {one.z:.2f} (below {one.most_z:g}), "
        f"error {100 * one.relative_error:.2f} % (below {100 * one.largest_relative_error:g} %)"
        for one in outcome.comparisons
        if not one.passed
    )
    return "\n".join([said, *failed])


def _false_alarms(checked: Sequence[Checked]) -> float:
    """The mean number of comparisons that exact samplers fail."""
    return sum(math.erfc(one.most_z / math.sqrt(2)) for law in checked for one in law.outcome.comparisons)


def _verdict(checked: Sequence[Checked], seconds: float) -> str:
    broken = [one.name for one in checked if not one.outcome.passed]
    count = sum(len(one.outcome.comparisons) for one in checked)
    return (
        f"{f'{len(broken)} broken: ' + ', '.join(broken) if broken else 'every law holds'}; {len(checked)} laws, "
        f"{count} comparisons ({_false_alarms(checked):.3f} would fail by chance), {seconds:.0f} s"
    )


def _as_json(checked: Sequence[Checked], place: "Place", seconds: float) -> str:
    document = {
        **asdict(place),
        "passed": all(one.outcome.passed for one in checked),
        "false_alarms": _false_alarms(checked),
        "seconds": seconds,
        "laws": [_report(one) for one in checked],
    }
    return json_module.dumps(without_nan(document), allow_nan=False)


def _report(checked: Checked) -> dict[str, Any]:
    outcome = checked.outcome
    return {
        "name": checked.name,
        "statement": checked.statement,
        "passed": outcome.passed,
        "z": outcome.worst.z,
        "relative_error": outcome.bluntest.relative_error,
        "seconds": checked.seconds,
        "comparisons": [{**asdict(one), "passed": one.passed} for one in outcome.comparisons],
    }
