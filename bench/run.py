"""Time operations: all providers by turns in one run, after the operation's tests and a comparison of the results.

`--against REF` times our own providers of this checkout and of another commit, by turns in two processes.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence

import torch
from against import ratios, versions_timed
from common import Row, append, interleaved, parser_of, timing_rows
from operation import Call, Operation, Provider, disagreement, runnable
from registry import REGISTRY
from verify import failure

from nishimori.models.device import resolve_device


def timed_rows(
    operation: Operation, case: object, calls: Mapping[Provider, Call], repeats: int, device: torch.device
) -> list[Row]:
    times = interleaved(calls, repeats, device)
    rows: list[Row] = []
    for provider, seconds in times.items():
        named, work = (operation.name, provider.name, str(case)), operation.work(case)
        rows += timing_rows(*named, seconds, work, device, provider.precision, operation.unit)
    return rows


def report(rows: Sequence[Row], baseline: str) -> None:
    """Print the rows of one case, each with the time of `baseline` over its own."""
    times = {_label(row): row for row in rows if row["metric"] == "time"}
    rates = {_label(row): row for row in rows if row["metric"] == "rate"}
    print(rows[0]["case"])
    for label, row in times.items():
        low, middle, high = (float(row[field]) for field in ("quantile_20", "value", "quantile_80"))
        share = f"{float(times[baseline]['value']) / middle:.2f} x" if baseline in times else ""
        rate = f"{float(rates[label]['value']):8.1f} {rates[label]['unit']}"
        print(f"{label:>32} {middle:9.3f} ms ({low:.3f} to {high:.3f}) {rate} {share}", flush=True)


def _label(row: Row) -> str:
    return row["provider"] if row["precision"] == "fp32" else f"{row['provider']} {row['precision']}"


def run(operation: Operation, options: argparse.Namespace) -> str:
    """Print and keep the numbers of an operation; or, a sentence, why there are none."""
    device = resolve_device(options.device)
    print(f"\n{operation.name}", flush=True)
    wrong = failure(operation, device)
    if wrong:
        return wrong
    for case in operation.cases_on(device):
        if options.against:
            rows, wrong = versions_timed(operation, case, options.against, options.repeats, device)
        else:
            calls = runnable(operation, case, device)
            wrong = disagreement(operation, case, calls)
            rows = [] if wrong else timed_rows(operation, case, calls, options.repeats, device)
        if wrong:
            return wrong
        report(rows, operation.baseline)
        if options.against:
            print(ratios(rows, options.against))
        if not options.dry_run:
            append(rows, options.results)
    return ""


def listed(registry: Mapping[str, Operation]) -> str:
    lines = []
    for operation in registry.values():
        lines += [operation.name, f"    {', '.join(provider.label for provider in operation.providers)}"]
        lines += [f"    {case}" for case in operation.cases]
        lines += [f"    {case} (CUDA)" for case in operation.cuda_cases]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None, registry: Mapping[str, Operation] = REGISTRY) -> int:
    """1 where a number had to be withheld."""
    parser = parser_of(__doc__)
    parser.add_argument("operations", nargs="*", metavar="OPERATION", help="by name (default: all)")
    parser.add_argument("--against", metavar="REF", help="a commit to compare our own providers with")
    parser.add_argument("--list", action="store_true", help="operations, providers and cases, and nothing else")
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args(arguments)
    unknown = [name for name in options.operations if name not in registry]
    if unknown:
        parser.error(f"operation {unknown[0]!r} is not known; use {', '.join(map(repr, registry))}")
    if options.list:
        print(listed(registry))
        return 0
    withheld = [run(registry[name], options) for name in options.operations or registry]
    for sentence in filter(None, withheld):
        print(sentence, file=sys.stderr)
    return 1 if any(withheld) else 0


if __name__ == "__main__":
    sys.exit(main())
