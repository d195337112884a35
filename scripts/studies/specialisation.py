"""Hidden units specialise: as many samples as weights, n = alpha d^2, from the teacher and from the prior.

A committee F(x) = sum_i phi(w_i . x / sqrt(d)) / sqrt(d) of d units, whose phi (tanh 2x without its linear part) has no
Hermite component below the third, is sampled at n = alpha d^2 for every alpha. Chains from the teacher measure the
informed branch, chains from the prior what learning from data alone finds. Both are drawn over the theory of
nishimori.theory.quadratic_samples, with the alpha from which the informed branch exists and the one from which it is
the equilibrium; rings mark points whose starts disagree. That theory has d infinite. At finite d the uninformed branch
learns some of the d^3/6 cubic features of the inputs, as the network of infinite width does: crosses (--wide).

Writes specialisation.csv and specialisation.png. Some minutes on two cores at d = 20; the time grows as d^4.
"""

import argparse
import csv
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

import nishimori as nm
from nishimori.comparison.figures.drawing import COLOURS
from nishimori.comparison.figures.names import SYMBOLS
from nishimori.measurement.kernel_reference import KernelReference
from nishimori.theory.quadratic_samples import QuadraticSamples

OBSERVABLES = ("gibbs_error", "weight_overlap_1")
BRANCH_OF = {"teacher": "informed", "prior": "uninformed"}
LEVEL = 0.01
PATH_LENGTH = 0.8


@dataclass(frozen=True)
class Row:
    """One observable of the chains of one start. `informed` is empty below the spinodal threshold; `wide` is the
    infinitely wide network at the same d; `starts_p_value` judges that the starts have the same Gibbs error."""

    sample_ratio: float
    samples: int
    start: str
    observable: str
    value: float
    standard_error: float
    informed: float | None
    uninformed: float
    wide: float | None
    starts_p_value: float
    acceptance: float

    @property
    def disputed(self) -> bool:
        return not self.starts_p_value > LEVEL


def network_of(dim: int) -> nm.Network:
    """d units on d inputs with readout (1, ..., 1)."""
    return nm.Network(dim, (dim,), "tanh2_nonlinear", readout="fixed")


def sampler_of(model: QuadraticSamples, dim: int, sample_ratio: float) -> nm.HMC:
    """Steps as calibration finds them, without its cost at every point: they follow the largest curvature of the
    specialised posterior, 1 + (1 + sqrt(alpha))^2 E phi'(Z)^2 / Delta (Marchenko and Pastur's edge), and fall as
    (number of weights)^(-1/4)."""
    slope = float(model.kernel(np.ones(1))[1][0])
    curvature = 1 + (1 + math.sqrt(sample_ratio)) ** 2 * slope / model.noise_variance
    step_size = 2.4 / math.sqrt(dim * curvature)
    return nm.HMC(step_size=step_size, num_steps=max(1, round(PATH_LENGTH / step_size)))


def measure(options: argparse.Namespace, sample_ratio: float, progress: Any = None) -> list[Row]:
    """Both starts at n = sample_ratio d^2, beside the theory of both branches."""
    network, channel = network_of(options.dim), nm.GaussianChannel(options.noise_variance)
    model, samples = QuadraticSamples.of_network(network, channel), max(1, round(sample_ratio * options.dim**2))
    problem = nm.matched_teacher(network, channel, samples, options.instances, options.seed, test_samples=500)
    run = nm.sample(
        nm.Posterior(problem, device=options.device),
        sampler_of(model, options.dim, samples / options.dim**2),
        chains=1,
        warmup=options.warmup,
        draws=options.draws,
        start="both",
        seed=options.seed,
        layer_overlaps=("weights",),
        progress=progress,
    )
    informed, uninformed = model.informed(samples / options.dim**2), model.uninformed(samples / options.dim**2)
    differ = next(check for check in run.checks if check.name == "starts_gibbs_error").p_value
    wide = {"gibbs_error": 2 * float(KernelReference(problem).squared_error.mean())} if options.wide else {}
    wide["weight_overlap_1"] = run.estimates["prior_weight_overlap_1"].value
    return [
        Row(
            *(samples / options.dim**2, samples, start, name, estimate.value, estimate.standard_error),
            *(informed.observables[name] if informed else None, uninformed.observables[name], wide.get(name)),
            *(differ, run.acceptance),
        )
        for start in BRANCH_OF
        for name, estimate in run.estimates_of(start).items()
        if name in OBSERVABLES
    ]


def told(rows: Sequence[Row]) -> str:
    """A line a start."""
    lines = []
    for start, branch in BRANCH_OF.items():
        parts = [f"n = {rows[0].samples} = {rows[0].sample_ratio:.3g} d^2, {start:7}"]
        for row in (row for row in rows if row.start == start):
            theory = row.informed if branch == "informed" else row.uninformed
            beside = f"{branch} branch {'none' if theory is None else f'{theory:.4f}'}"
            beside += "" if row.wide is None else f", at this d without specialisation {row.wide:.4f}"
            parts.append(f"{row.observable} {row.value:.4f} +- {row.standard_error:.4f} ({beside})")
        lines.append("  ".join(parts))
    verdict = "the starts disagree" if rows[0].disputed else "the starts agree"
    return "\n".join([*lines, f"    {verdict}, p = {rows[0].starts_p_value:.1e}; acceptance {rows[0].acceptance:.2f}"])


def draw(rows: Sequence[Row], model: QuadraticSamples, title: str, path: Path) -> None:
    """Measured branches over theirs, an observable a panel."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    first, last = model.spinodal_threshold(), model.equilibrium_threshold()
    measured = [row.sample_ratio for row in rows]
    ends = min(measured) / 1.3, 1.3 * max(last.sample_ratio, *measured)
    ratios = np.geomspace(first.sample_ratio * (1 + 1e-6), ends[1], 80)
    branches = [branch for ratio in ratios if (branch := model.informed(float(ratio)))]
    for axes, name in zip(figure.subplots(1, len(OBSERVABLES)), OBSERVABLES, strict=True):
        curve = [branch.sample_ratio for branch in branches], [branch.observables[name] for branch in branches]
        axes.plot(*curve, color=COLOURS[0], label="informed branch, theory")
        level = model.uninformed(1.0).observables[name]
        axes.plot(ends, [level] * 2, color=COLOURS[1], label="uninformed branch, theory")
        for threshold, style, words in ((first, ":", "spinodal"), (last, "--", "equilibrium")):
            axes.axvline(threshold.sample_ratio, color="0.4", linestyle=style, linewidth=1, label=words)
        for number, start in enumerate(BRANCH_OF):
            shown = [row for row in rows if row.observable == name and row.start == start]
            places = [row.sample_ratio for row in shown], [row.value for row in shown]
            style = {"color": COLOURS[number], "fmt": "os"[number], "capsize": 3, "label": f"from the {start}"}
            axes.errorbar(*places, yerr=[row.standard_error for row in shown], **style)
            ringed = [row for row in shown if row.disputed]
            rings = [row.sample_ratio for row in ringed], [row.value for row in ringed]
            words = "starts disagree" if number else None
            axes.plot(*rings, "o", markersize=13, fillstyle="none", color="0.2", label=words)
        wide = [row for row in rows if row.observable == name and row.start == "prior" and row.wide is not None]
        axes.plot([row.sample_ratio for row in wide], [row.wide for row in wide], "kx", label="without specialisation")
        axes.set(xscale="log", xlabel=r"samples per squared dimension  $\alpha = n/d^2$", xlim=ends)
        axes.set_ylabel(SYMBOLS.get(name, r"overlap of hidden units with the teacher's  $q_1$"))
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=200)


def write(rows: Sequence[Row], path: Path) -> None:
    """A line a row, absent values empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(asdict(rows[0])))
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Exits with code 2 on a value out of range."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dim", type=int, default=20, help="inputs and hidden units d (default %(default)s)")
    ratios = [0.05, 0.3, 1.0, 1.6, 2.5, 5.0]
    words = "n / d^2 of every point; 1 / d is n = d (default %(default)s)"
    parser.add_argument("--alpha", type=float, nargs="+", default=ratios, metavar="ALPHA", help=words)
    parser.add_argument("--noise-variance", type=float, default=0.1, help="variance Delta (default %(default)s)")
    parser.add_argument("--instances", type=int, default=4, help="teachers a point (default %(default)s)")
    parser.add_argument("--warmup", type=int, default=100, help="transitions before measuring (default %(default)s)")
    parser.add_argument("--draws", type=int, default=100, help="measured transitions (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default %(default)s)")
    parser.add_argument("--wide", action="store_true", help="also the infinitely wide network at this d")
    parser.add_argument("--out", type=Path, default=Path(), help="folder for figure and table (default: this one)")
    options = parser.parse_args(arguments)
    for name, least in (("dim", 2), ("instances", 2), ("warmup", 1), ("draws", 8)):
        if getattr(options, name) < least:
            parser.error(f"--{name} {getattr(options, name)} is too small: give {least} or more")
    if not all(0 < ratio < math.inf for ratio in (*options.alpha, options.noise_variance)):
        parser.error("--alpha and --noise-variance must be finite and greater than 0: give other values")
    return options


def main() -> None:
    options = options_of()
    options.out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    for ratio in tqdm(sorted(options.alpha), desc="alpha", file=sys.stderr):
        rows += (point := measure(options, ratio))
        tqdm.write(told(point), file=sys.stdout)
        write(rows, options.out / "specialisation.csv")
    model = QuadraticSamples.of(network_of(options.dim).activation, 1, options.noise_variance)
    title = f"d = {options.dim}, noise variance {options.noise_variance:g}, {options.instances} teachers a point"
    draw(rows, model, title, options.out / "specialisation.png")
    print(f"figure: {options.out / 'specialisation.png'}, table: {options.out / 'specialisation.csv'}")


if __name__ == "__main__":
    main()
