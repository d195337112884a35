"""Effective samples per gradient and per second: samplers of the same posterior, taking turns in one process.

Effective samples are the fewest of three observables, each of a full draw of the network's weights: test error,
training energy and a fixed random projection of all weights; their number is the variance over one network over the
squared Monte Carlo error. Where the readout is integrated out it is drawn for every draw, once or several times, and
the time that takes counts. A gradient is an evaluation of energy, gradient or both, for one chain. Chains
start at the teacher, an exact draw of the posterior, and every sampler is calibrated as `nm.sample` calibrates it. No
number is kept unless all samplers agree on the means of test error and training energy.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import Row, append, parser_of, read, row_of
from mixing_chains import CHAINS, OBSERVABLES, MixingChains, NetworkTarget, largest_disagreement
from mixing_figure import draw

import nishimori as nm
from nishimori.samplers.base import Sampler

OPERATION = "mixing"
INSTANCES, TEST_SAMPLES = 4, 200
SLICE_SECONDS = 0.5
LARGEST_Z, FEWEST_EFFECTIVE, LARGEST_R_HAT, LEAST_ACCEPTANCE = 6.0, 100.0, 1.1, 0.01


@dataclass(frozen=True)
class Case:
    input_dim: int
    width: int
    samples: int
    noise_variance: float
    activation: str = "erf_sqrt2"

    def __str__(self) -> str:
        sizes = f"input_dim={self.input_dim} width={self.width} depth=1 samples={self.samples}"
        law = f"noise_variance={self.noise_variance} activation={self.activation}"
        return f"{sizes} {law} instances={INSTANCES} chains={CHAINS}"

    def problem(self) -> nm.Problem:
        network = nm.Network(self.input_dim, (self.width,), self.activation)
        channel = nm.GaussianChannel(self.noise_variance)
        return nm.matched_teacher(network, channel, self.samples, INSTANCES, test_samples=TEST_SAMPLES)


@dataclass(frozen=True)
class Method:
    """`target(problem, device=...)` is what `sampler` samples."""

    target: Callable[..., NetworkTarget]
    sampler: Sampler


def several_readouts(problem: nm.Problem, device: str) -> NetworkTarget:
    return nm.CollapsedPosterior(problem, device=device, readouts=READOUTS)


CASES = {
    "width-128": Case(10, 128, 32, 0.01),
    "width-512": Case(10, 512, 32, 0.01),
    "width-2048": Case(10, 2048, 32, 0.01),
    "square-200-0.1": Case(200, 200, 400, 0.1, "tanh"),
    "square-200": Case(200, 200, 400, 0.01, "tanh"),
    "square-100": Case(100, 100, 200, 0.01),
    "wide-400": Case(100, 400, 200, 0.01),
}
READOUTS = 8
"""Drawn for every draw of the hidden layers by the methods whose name says so."""
METHODS: dict[str, Method] = {
    "plain leapfrog": Method(nm.Posterior, nm.HMC()),
    "plain rotation": Method(nm.Posterior, nm.HMC("rotation")),
    "plain Langevin": Method(nm.Posterior, nm.UnderdampedLangevin()),
    "plain MCLMC": Method(nm.Posterior, nm.MCLMC()),
    "collapsed leapfrog": Method(nm.CollapsedPosterior, nm.HMC()),
    "collapsed rotation": Method(nm.CollapsedPosterior, nm.HMC("rotation")),
    "collapsed Langevin": Method(nm.CollapsedPosterior, nm.UnderdampedLangevin(integrator="rotation")),
    "collapsed MCLMC": Method(nm.CollapsedPosterior, nm.MCLMC()),
    "collapsed PCN": Method(nm.CollapsedPosterior, nm.PCN()),
    "collapsed over-relaxed": Method(nm.CollapsedPosterior, nm.PCN(step_size=0.9, over_relaxed=True)),
    f"collapsed rotation x{READOUTS}": Method(several_readouts, nm.HMC("rotation", path_length=2.2)),
    f"collapsed over-relaxed x{READOUTS}": Method(several_readouts, nm.PCN(step_size=0.3, over_relaxed=True)),
}
BASELINE = "plain leapfrog"
FIGURES = ("ess_per_gradient", "ess_per_second")


def measure(case: Case, methods: Sequence[str], seconds: float, device: str) -> dict[str, MixingChains]:
    """All methods for `seconds` each, in slices by turns; those whose chains were too short to judge are left out.

    Raises SystemExit where the others disagree.
    """
    problem, running = case.problem(), {}
    for name in methods:
        started, method = time.perf_counter(), METHODS[name]
        running[name] = MixingChains(method.target(problem, device=device), method.sampler)
        print(f"{name:>26}: calibrated in {time.perf_counter() - started:.1f} s", flush=True)
    for _ in range(max(5, round(seconds / SLICE_SECONDS))):
        for chains in running.values():
            chains.run(SLICE_SECONDS)
    long_enough = {name: chains for name, chains in running.items() if _can_be_judged(name, chains)}
    z, where = largest_disagreement(long_enough)
    print(f"largest disagreement of a mean: |z| = {z:.1f}, {where}")
    if z > LARGEST_Z:
        raise SystemExit(f"{where} differs from the other samplers by {z:.1f} standard errors: no number is reported")
    return long_enough


def _can_be_judged(name: str, chains: MixingChains) -> bool:
    found = chains.convergences().values()
    size, r_hat = np.min([one.effective_sample_size for one in found]), np.max([one.r_hat for one in found])
    if size >= FEWEST_EFFECTIVE and r_hat <= LARGEST_R_HAT and chains.acceptance() > LEAST_ACCEPTANCE:
        return True
    print(f"{name:>26}: left out, {size:.0f} effective samples at R-hat {r_hat:.2f}; give more --seconds")
    return False


def rows_of(case: Case, name: str, chains: MixingChains) -> list[Row]:
    """What is kept of a method."""
    by_observable, (rate, low, high) = chains.per_gradient(), chains.gradients_per_second()
    least, record, device = min(by_observable.values()), chains.calibration, chains.target.device

    def row(metric: str, unit: str, value: float, quantiles: tuple[float, float] | None = None) -> Row:
        return row_of(OPERATION, name, str(case), metric, unit, value, device, quantiles)

    return [
        row("ess_per_gradient", "1/gradient", least),
        row("ess_per_second", "1/s", least * rate, (least * low, least * high)),
        *(row(f"ess_per_gradient of {each}", "1/gradient", by_observable[each]) for each in OBSERVABLES),
        row("gradients_per_second", "1/s", rate, (low, high)),
        row("step_size", "1", sum(record.step_size) / len(record.step_size)),
        row("num_steps", "1", record.num_steps),
        row("acceptance", "1", chains.acceptance()),
    ]


def table(rows: Sequence[Row]) -> str:
    """One line a method, with its gains over the baseline."""
    values: dict[str, dict[str, float]] = {}
    for row in rows:
        values.setdefault(row["provider"], {})[row["metric"]] = float(row["value"])
    base = values.get(BASELINE)
    columns = (("", 26), ("step", 8), ("steps", 6), ("accept", 7), ("/1000 grad.", 12), ("gain", 7), ("/second", 10))
    lines = ["".join(f"{title:>{width}}" for title, width in columns) + "   gain   test, training, projection"]
    for name, value in values.items():
        each = ", ".join(f"{1e3 * value[f'ess_per_gradient of {one}']:.3g}" for one in OBSERVABLES)
        settings = f"{name:>26}{value['step_size']:8.4f}{value['num_steps']:6.0f}{value['acceptance']:7.3f}"
        gradient, second = (f"{value[metric] / base[metric]:7.1f}" if base else " " * 7 for metric in FIGURES)
        per_gradient, per_second = 1e3 * value[FIGURES[0]], value[FIGURES[1]]
        lines.append(f"{settings}{per_gradient:12.4g}{gradient}{per_second:10.4g}{second}   {each}")
    return "\n".join(lines)


def options_of() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--case", action="append", choices=CASES, help="one of the cases (default: all)")
    parser.add_argument("--method", action="append", choices=METHODS, help="one of the methods (default: all)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of sampling, a method and case")
    parser.add_argument("--figure", type=Path, help="draw this figure of all results")
    parser.add_argument("--figure-only", action="store_true", help="of the results there are: measure nothing")
    return parser.parse_args()


def main() -> None:
    options = options_of()
    fresh: list[Row] = []
    for name in [] if options.figure_only else options.case or CASES:
        print(f"\n{name}: {CASES[name]}")
        running = measure(CASES[name], options.method or list(METHODS), options.seconds, options.device)
        rows = [row for method, chains in running.items() for row in rows_of(CASES[name], method, chains)]
        print(table(rows), flush=True)
        fresh += rows
        if not options.dry_run:
            append(rows, options.results)
    if options.figure:
        kept = read(options.results) if options.results.exists() else []
        draw([row for row in [*kept, *fresh] if row["operation"] == OPERATION], options.figure)


if __name__ == "__main__":
    main()
