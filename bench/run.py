"""Time operations: all providers by turns in one run, after the operation's tests and a comparison of the results.

`--against REF` times our own providers of this checkout and of another commit, by turns in two processes. `--suite gpu`
takes all steps that a GPU is measured by, in their order.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence

from against import ratios, versions_timed
from common import append, parser_of
from measured import measured, report
from operation import Operation
from registry import REGISTRY
from suite import Suite, run_suite
from suites import SUITES
from verify import failure

from nishimori.models.device import resolve_device


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
            rows, wrong = measured(operation, case, options.repeats, device)
        if wrong:
            return wrong
        report(rows, operation.baseline)
        if options.against:
            print(ratios(rows, options.against))
        if not options.dry_run:
            append(rows, options.results)
    return ""


def listed(registry: Mapping[str, Operation], suites: Mapping[str, Suite]) -> str:
    lines = []
    for operation in registry.values():
        lines += [operation.name, f"    {', '.join(provider.label for provider in operation.providers)}"]
        lines += [f"    {case}" for case in operation.cases]
        lines += [f"    {case} (CUDA)" for case in operation.cuda_cases]
    for name, suite in suites.items():
        lines += [f"--suite {name} (CUDA)", *(f"    {step.name}: {step.said}" for step in suite.steps)]
    return "\n".join(lines)


def main(
    arguments: Sequence[str] | None = None,
    registry: Mapping[str, Operation] = REGISTRY,
    suites: Mapping[str, Suite] = SUITES,
) -> int:
    """1 where a number had to be withheld, 2 where a suite has no device to run on."""
    parser = parser_of(__doc__)
    parser.add_argument(
        "operations", nargs="*", metavar="NAME", help="operations, or steps of the suite (default: all)"
    )
    parser.add_argument("--against", metavar="REF", help="a commit to compare our own providers with")
    parser.add_argument("--suite", choices=suites, help="steps in their order, and the goals of their numbers")
    parser.add_argument("--list", action="store_true", help="operations, providers, cases and suites, and nothing else")
    parser.add_argument("--repeats", type=int, default=15)
    options = parser.parse_args(arguments)
    known = [step.name for step in suites[options.suite].steps] if options.suite else list(registry)
    unknown = [name for name in options.operations if name not in known]
    if unknown:
        kind = "step" if options.suite else "operation"
        parser.error(f"{kind} {unknown[0]!r} is not known; use {', '.join(map(repr, known))}")
    if options.list:
        print(listed(registry, suites))
        return 0
    if options.suite:
        return run_suite(options.suite, suites[options.suite], options)
    withheld = [run(registry[name], options) for name in options.operations or registry]
    for sentence in filter(None, withheld):
        print(sentence, file=sys.stderr)
    return 1 if any(withheld) else 0


if __name__ == "__main__":
    sys.exit(main())
