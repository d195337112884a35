"""Memory of a run against the number of draws: while it samples, nothing grows but what is recorded, 8 bytes a scalar.

Each length runs in a process of its own; figures are its largest resident set, after the last draw and at the end. What
the analysis takes on top is workspace for the autocorrelation of one observable.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Sequence

import torch
from common import append, parser_of, row_of

import nishimori as nm

LENGTHS = (100, 100_000)
CASE = "input_dim=10 width=10 depth=1 samples=20 instances=1 chains=2"


def sample(draws: int) -> dict[str, float]:
    """Bytes of this process at their highest, after `sampling` and in the `end`, and bytes `recorded`."""
    torch.set_num_threads(1)
    problem = nm.matched_teacher(nm.Network(10, (10,), "tanh"), nm.GaussianChannel(0.1), 20, test_samples=10)
    sampler = nm.HMC(step_size=0.1, num_steps=1)
    peaks = [0.0]

    def progress(phase: str, done: int, total: int, acceptance: float) -> None:
        if done == total:
            peaks[0] = _peak()

    posterior = nm.Posterior(problem, device="cpu")
    run = nm.sample(posterior, sampler, chains=2, warmup=0, draws=draws, start="prior", progress=progress)
    arrays = [*run.record.draws.values(), *run.record.statistics.values(), *run.record.warmup.values()]
    return {"sampling": peaks[0], "end": _peak(), "recorded": float(sum(array.nbytes for array in arrays))}


def _peak() -> float:
    return 1024.0 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def measured(draws: int) -> dict[str, float]:
    """`sample` in a process of its own."""
    order = [sys.executable, __file__, "--draws", str(draws)]
    return json.loads(subprocess.run(order, stdout=subprocess.PIPE, text=True, check=True).stdout)


def growth(lengths: Sequence[int]) -> dict[str, float]:
    """Bytes more of everything in the longest run than in the shortest."""
    first, last = measured(min(lengths)), measured(max(lengths))
    return {name: last[name] - first[name] for name in first}


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--draws", type=int, help="only this length, here, as JSON")
    options = parser.parse_args()
    if options.draws:
        print(json.dumps(sample(options.draws)))
        return
    case = f"{CASE} draws={LENGTHS[0]}..{LENGTHS[-1]}"
    cpu = torch.device("cpu")
    rows = [
        row_of("memory of a run", "nishimori", case, f"growth of {name}", "MB", value / 1e6, cpu)
        for name, value in growth(LENGTHS).items()
    ]
    for row in rows:
        print(row["metric"], row["value"], row["unit"])
    if not options.dry_run:
        append(rows, options.results)


if __name__ == "__main__":
    main()
