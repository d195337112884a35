"""Against BlackJAX, NumPyro, Pyro and posteriors on the same posterior, data and start points, in one run; one process
works at a time.

`trajectories`: transitions of ten gradients with the same step size, ours and theirs, by turns; the figure is gradients
a second of all chains, and beside it what our coarse forces lose of acceptance once calibrated. `sampling`: effective
samples a second of function_overlap and of the log likelihood, each with its own calibration, which is not counted (its
time is a row of its own). First the peers' log densities must be ours, and afterwards their means: a sampler with a
Metropolis test that fails withholds all numbers of the case, one without its own. `bench/peers/setup` makes the
environments.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from common import Row, append, parser_of, print_rows, row_of
from own_samplers import SAMPLERS, Seen, all_observed, disagreements, report, sampling_rows, silent
from peer_cases import LARGE_SAMPLING, SAMPLING, TRAJECTORIES, Case, chosen
from peer_process import NAMES, Peer, TooLong, peers_of

import nishimori as nm
from nishimori.models.randomness import Randomness
from nishimori.sampling import CALIBRATION_CHAINS, calibration_of
from nishimori.sampling.precision import with_precision

LARGEST_Z = 3.0
NUM_STEPS, TURNS, COUNT = 10, 7, 3
UNADJUSTED = "(unadjusted)"
Named = tuple[str, str]
"""Provider and precision."""


def bench_trajectories(case: Case, options: argparse.Namespace) -> list[Row]:
    target = nm.Posterior(case.problem(), device="cpu")
    start = target.initial_position(case.chains, "prior", 0).to_edge()[0].numpy()
    step_size = 0.1 / case.depth
    calls: dict[Named, Callable[[], float]] = {}
    for precision in target.precisions():
        calls["nishimori", precision] = _own_transitions(target.at_precision(precision), case.chains, step_size)
    with peers_of(target, start, options.peer, options.time_limit) as workers:
        for worker in workers.values():
            if worker.trajectories:
                calls[worker.provider(worker.trajectories), "fp32"] = _their_transitions(worker, step_size)
        seconds = _by_turns(calls)
    gradients = case.chains * COUNT * NUM_STEPS
    rows = [_rate_row(case, *named, gradients / np.array(spent)) for named, spent in seconds.items()]
    return rows + _loss_rows(case)


def _loss_rows(case: Case) -> list[Row]:
    """What our precisions lose of acceptance, as a calibrated run measures it; quantiles are a standard error off."""
    auto = nm.Posterior(case.problem(), "auto", "cpu")
    record = calibration_of(auto, nm.HMC(), seed=0, progress=silent)
    record = with_precision(auto, nm.HMC(), record, 0, "", case.chains, CALIBRATION_CHAINS, silent)
    named, cpu = f"{case} num_steps={record.num_steps}", torch.device("cpu")
    return [
        row_of(
            *("trajectories", "nishimori", named, "loss_of_acceptance", "1"),
            each.loss_of_acceptance,
            cpu,
            (each.loss_of_acceptance - each.standard_error, each.loss_of_acceptance + each.standard_error),
            each.precision,
        )
        for each in record.precisions
    ]


def _own_transitions(target: nm.Posterior, chains: int, step_size: float) -> Callable[[], float]:
    randomness = Randomness.of(1, "", target.instances, range(chains))
    sizes = torch.full((1, 1), step_size, dtype=torch.float64)
    sampler = nm.HMC(step_size=step_size, num_steps=NUM_STEPS, jitter=0.0)
    kernel = sampler.kernel(target, sizes, NUM_STEPS, randomness)
    state, step = kernel.init(target.initial_position(chains, "prior", 0)), 0

    def run() -> float:
        """Of COUNT transitions, after as many that are not timed, as theirs are."""
        nonlocal state, step
        started = 0.0
        for number in range(2 * COUNT):
            if number == COUNT:
                started = time.perf_counter()
            state, _ = kernel.step(state, step)
            step += 1
        return time.perf_counter() - started

    return run


def _their_transitions(worker: Peer, step_size: float) -> Callable[[], float]:
    order = {"step_size": step_size, "num_steps": NUM_STEPS, "count": COUNT}
    return lambda: worker.order("trajectories", **order)["seconds"]


def _by_turns(calls: dict[Named, Callable[[], float]]) -> dict[Named, list[float]]:
    """Seconds of TURNS calls after one that does not count; who is too slow is left out."""
    seconds: dict[Named, list[float]] = {name: [] for name in calls}
    for turn in range(TURNS + 1):
        for name in list(seconds):
            try:
                spent = calls[name]()
            except TooLong as sentence:
                print(f"    {sentence}", flush=True)
                del seconds[name]
                continue
            if turn > 0:
                seconds[name].append(spent)
    return seconds


def _rate_row(case: Case, name: str, precision: str, rates: np.ndarray) -> Row:
    low, middle, high = np.quantile(rates, [0.2, 0.5, 0.8])
    named, device = f"{case} num_steps={NUM_STEPS}", torch.device("cpu")
    return row_of("trajectories", name, named, "gradients_per_second", "1/s", middle, device, (low, high), precision)


def bench_sampling(case: Case, options: argparse.Namespace) -> list[Row]:
    """Chains start at the teacher, for all."""
    problem = case.problem()
    target = nm.Posterior(problem, device="cpu")
    teacher = target.initial_position(case.chains, "teacher", 0).to_edge()[0].numpy()
    seen = all_observed(options.sampler or SAMPLERS, problem, case.chains, options.draws)
    for peer in options.peer:
        with peers_of(target, teacher, [peer], options.time_limit) as workers:
            for worker in workers.values():
                seen |= _sampled(worker, options)
    return [row for name in _agreeing(seen) for row in sampling_rows(case, name, seen[name])]


def _sampled(worker: Peer, options: argparse.Namespace) -> dict[str, Seen]:
    """What the samplers of a peer that were in time have seen."""
    seen = {}
    for sampler in worker.samplers:
        with tempfile.TemporaryDirectory() as folder:
            out = str(Path(folder) / "seen.npy")
            try:
                facts = worker.order("sample", sampler=sampler, warmup=options.warmup, draws=options.draws, out=out)
            except TooLong as sentence:
                print(f"    {sentence}", flush=True)
                continue
            means = np.load(out, allow_pickle=False)
        found = Seen(means, np.zeros_like(means), facts["warmup_seconds"], facts["seconds"], facts["gradients"])
        seen[worker.provider(sampler)] = found
        report(worker.provider(sampler), found)
    return seen


def _agreeing(seen: dict[str, Seen]) -> list[str]:
    """Samplers whose means are those of `nm.HMC()`; SystemExit where one should be exact and is not."""
    far = {name: z for name, z in disagreements(seen).items() if not z <= LARGEST_Z}
    for name, z in far.items():
        if UNADJUSTED not in name:
            raise SystemExit(f"a mean of {name} is {z:.1f} standard errors off; nothing is reported")
        print(f"    {name}: a mean is {z:.1f} standard errors off; no row is written for it")
    return [name for name in seen if name not in far]


BENCHES = {"trajectories": bench_trajectories, "sampling": bench_sampling}


def options_of() -> argparse.Namespace:
    parser = parser_of(__doc__, devices=("cpu",))
    parser.add_argument("--only", choices=BENCHES)
    parser.add_argument("--case", default="", metavar="SUBSTRING", help="cases whose name contains this")
    parser.add_argument("--large", action="store_true", help="sample at input_dim = width = 200 too")
    parser.add_argument("--peer", action="append", choices=NAMES, help="one of the libraries (default: all)")
    parser.add_argument("--sampler", action="append", choices=SAMPLERS, help="one of ours, for sampling (default: all)")
    parser.add_argument("--chains", type=int, help="other than the cases say")
    parser.add_argument("--draws", type=int, default=200, help="of every sampler and chain (default: %(default)s)")
    parser.add_argument("--warmup", type=int, default=200, help="transitions of theirs (default: %(default)s)")
    parser.add_argument("--time-limit", type=float, default=1800.0, help="seconds an order may take a peer")
    options = parser.parse_args()
    options.peer = options.peer or list(NAMES)
    return options


def main() -> None:
    options = options_of()
    cases = {"trajectories": TRAJECTORIES, "sampling": SAMPLING + LARGE_SAMPLING * options.large}
    for kind in [options.only] if options.only else BENCHES:
        for case in chosen(cases[kind], options.case, options.chains):
            print(f"\n{kind}: {case}", flush=True)
            rows = BENCHES[kind](case, options)
            print_rows(rows)
            if not options.dry_run:
                append(rows, options.results)


if __name__ == "__main__":
    main()
