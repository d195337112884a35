"""One version of the product, waiting: the engine and kernels are those of PYTHONPATH, the benchmarks its neighbours.

    version_worker.py OPERATION CASE DEVICE

Answers with one JSON line each: first the labels of our providers that run, then for every label read the seconds of
one call.
"""

import json
import sys

import torch
from common import timed
from operation import Call
from registry import REGISTRY


def calls_of(name: str, case: int, device: torch.device) -> dict[str, Call]:
    """Those that this version has; it says on standard error why it lacks another."""
    operation, calls = REGISTRY[name], {}
    for provider in operation.providers:
        if not provider.ours:
            continue
        try:
            call = provider.make(operation.cases[case], device)
            call()
            calls[provider.label] = call
        except (ValueError, TypeError, AttributeError) as error:
            print(f"{provider.label} does not run in this version: {error}", file=sys.stderr)
    return calls


def main() -> None:
    name, case, kind = sys.argv[1:]
    device = torch.device(kind)
    calls = calls_of(name, int(case), device)
    print(json.dumps(list(calls)), flush=True)
    for line in sys.stdin:
        call = calls[line.rstrip("\n")]
        call()  # wakes threads and fills caches that the other version has used meanwhile
        print(json.dumps(timed(call, device)), flush=True)


if __name__ == "__main__":
    main()
