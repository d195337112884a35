"""What a gradient costs against its size: over two decades of the input dimension, and over the number of chains.

The machine's own limits are measured in the same run: the rate of a large matrix product and of a large copy.
`--figure` draws all rows there are.
"""

import argparse
from pathlib import Path

from common import Row, append, latest, parser_of, read
from measured import timed_rows
from operation import Operation, disagreement, runnable
from registry import REGISTRY
from scaling_figure import draw
from shapes import Shape, gradient_work
from verify import failure

from nishimori.models.device import resolve_device

OPERATION = "gradient scaling"
DIMS, DEPTHS, CHAINS = (10, 20, 32, 50, 100, 200, 400, 700, 1000), (1, 3), 8
WIDE_DIMS, CHAIN_COUNTS = (32, 100), (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
LIMITS = ("matrix product", "memory copy")
LEAST_WORK = 10**9
"""Calls with less are repeated more often: their times are short and scatter."""

BY_SIZE = tuple(Shape(dim, 2 * dim, depth, CHAINS) for depth in DEPTHS for dim in DIMS)
BY_CHAINS = tuple(Shape(dim, 2 * dim, 1, chains) for dim in WIDE_DIMS for chains in CHAIN_COUNTS)
SHAPES = tuple(dict.fromkeys(BY_SIZE + BY_CHAINS))


def scaled() -> Operation:
    """The energy gradient on these shapes, our own providers alone."""
    gradient = REGISTRY["energy gradient"]
    ours = tuple(provider for provider in gradient.providers if provider.ours)
    return Operation(OPERATION, gradient.tests, SHAPES, ours, gradient_work, baseline="nishimori")


def measure(options: argparse.Namespace) -> list[Row]:
    """Printed and kept case by case. Raises SystemExit where tests fail or providers disagree."""
    operation, device, rows = scaled(), resolve_device(options.device), list[Row]()
    wrong = failure(operation, device)
    if wrong:
        raise SystemExit(wrong)
    jobs = [(REGISTRY[name], case) for name in LIMITS for case in REGISTRY[name].cases]
    jobs += [(operation, shape) for shape in SHAPES if options.case in str(shape)]
    for job, case in jobs:
        calls = runnable(job, case, device)
        wrong = disagreement(job, case, calls)
        if wrong:
            raise SystemExit(wrong)
        repeats = options.repeats * (3 if job.work(case) < LEAST_WORK else 1)
        own = timed_rows(job, case, calls, repeats, device)
        _print(own)
        rows += own
        if not options.dry_run:
            append(own, options.results)
    return rows


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--case", default="", metavar="SUBSTRING", help="shapes whose name contains this")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--figure", type=Path, help="draw this figure of all results")
    parser.add_argument("--figure-only", action="store_true", help="of the results there are: measure nothing")
    options = parser.parse_args()
    fresh = [] if options.figure_only else measure(options)
    if options.figure:
        kept = read(options.results) if options.results.exists() else []
        draw(latest([*kept, *fresh]), options.figure)


def _print(rows: list[Row]) -> None:
    for time, rate in zip(rows[::2], rows[1::2], strict=True):
        named = f"{time['case']} {time['provider']} {time['precision']}"
        print(f"{named:<80} {float(time['value']):10.3f} ms {float(rate['value']):8.1f} {rate['unit']}", flush=True)


if __name__ == "__main__":
    main()
