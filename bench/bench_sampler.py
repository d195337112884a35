"""Effective samples a second of our own samplers, on the posteriors of bench_peers, which compares them with others'.

As many draws of each; chains start at the teacher and calibration is not counted (its time is a row of its own). No
number is kept unless the means of function_overlap and log likelihood agree.
"""

from collections.abc import Iterable

from common import Row, append, parser_of, print_rows
from own_samplers import SAMPLERS, all_observed, disagreements, sampling_rows
from peer_cases import LARGE_SAMPLING, SAMPLING, Case, chosen

LARGEST_Z = 4.0
"""Of a few means in every case: more than in one comparison."""


def bench(case: Case, names: Iterable[str], draws: int) -> list[Row]:
    seen = all_observed(names, case.problem(), case.chains, draws)
    for name, z in disagreements(seen).items():
        if not z <= LARGEST_Z:
            raise SystemExit(f"a mean of {name} is {z:.1f} standard errors off; nothing is reported")
    return [row for name, found in seen.items() for row in sampling_rows(case, name, found)]


def main() -> None:
    parser = parser_of(__doc__, devices=("cpu",))
    parser.add_argument("--case", default="", metavar="SUBSTRING", help="cases whose name contains this")
    parser.add_argument("--sampler", action="append", choices=SAMPLERS, help="one of the samplers (default: all)")
    parser.add_argument("--large", action="store_true", help="also at input_dim = width = 200")
    parser.add_argument("--chains", type=int, help="other than the cases say")
    parser.add_argument("--draws", type=int, default=200)
    options = parser.parse_args()
    for case in chosen(SAMPLING + LARGE_SAMPLING * options.large, options.case, options.chains):
        print(f"\n{case}", flush=True)
        rows = bench(case, options.sampler or SAMPLERS, options.draws)
        print_rows(rows)
        if not options.dry_run:
            append(rows, options.results)


if __name__ == "__main__":
    main()
