"""Against BlackJAX and NumPyro on the same posterior, data and start points, in one run; one process works at a time.

`trajectories`: HMC transitions of ten leapfrog steps with the same step size, ours and BlackJAX's, by turns; the figure
is gradients a second of all chains. `sampling`: effective samples a second of function_overlap and of the log
likelihood, each with its own calibration, which is not counted (its time is a row of its own). First the peers' log
densities must be ours, and afterwards their means. `bench/peers/setup` makes the environments.
"""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Row, append, parser_of, row_of

import nishimori as nm
from nishimori.measurement.convergence import convergence
from nishimori.models.randomness import Randomness
from nishimori.sampling import calibration_of

PEERS = Path(__file__).with_name("peers")
POINTS, LARGEST_DIFFERENCE, LARGEST_Z = 20, 1e-5, 3.0
NUM_STEPS, TURNS = 10, 7
OBSERVABLES = ("function_overlap", "log_likelihood")


@dataclass(frozen=True)
class Case:
    dim: int
    samples: int
    depth: int
    noise_variance: float
    chains: int

    def __str__(self) -> str:
        sizes = f"input_dim={self.dim} width={self.dim} depth={self.depth} samples={self.samples}"
        return f"{sizes} noise_variance={self.noise_variance} chains={self.chains}"

    def problem(self) -> nm.Problem:
        network = nm.Network(self.dim, (self.dim,) * self.depth, "tanh")
        return nm.matched_teacher(network, nm.GaussianChannel(self.noise_variance), self.samples, test_samples=200)


TRAJECTORIES = (
    Case(100, 200, 1, 0.1, 64),
    Case(100, 200, 3, 0.1, 64),
    Case(400, 800, 1, 0.1, 8),
    Case(400, 800, 3, 0.1, 8),
)
SAMPLING = tuple(Case(100, 200, depth, noise, 8) for depth in (1, 3) for noise in (0.1, 0.01))


class Peer:
    """A worker process in the environment of `name`."""

    def __init__(self, name: str, problem: Path) -> None:
        python = PEERS / f".venv-{name}" / "bin" / "python"
        if not python.exists():
            raise SystemExit(f"{python} is not there: run bench/peers/setup first")
        self._process = subprocess.Popen(
            [python, PEERS / "worker.py", name, problem], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.version = self._answer()["version"]

    def order(self, kind: str, **details: Any) -> dict[str, Any]:
        assert self._process.stdin
        print(json.dumps({"order": kind, **details}), file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a peer's process ended; what it said is above")
        return json.loads(line)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def peers_of(target: nm.Posterior, start: np.ndarray, names: Sequence[str]) -> Iterator[dict[str, Peer]]:
    """Workers on the problem of `target` whose chains begin at `start` [chains, num_parameters].

    First their log densities at prior draws must differ like ours.
    """
    problem, channel = target.problem, target.problem.channel
    teacher, points = problem.known_teacher(), target.initial_position(POINTS, "prior", 1)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        path = Path(folder) / "problem.npz"
        np.savez(
            path,
            inputs=problem.inputs[0],
            labels=problem.labels[0],
            test_inputs=teacher.test_inputs[0],
            test_latent=teacher.test_latent[0],
            widths=problem.network.widths,
            noise_variance=channel.noise_variance,
            activation=problem.network.activation.name,
            start=start,
            points=points.to_edge()[0],
        )
        workers = {name: Peer(name, path) for name in names}
        for worker in workers.values():
            stack.callback(worker.close)
        ours = -target.energy(points).numpy()[0]
        for name, worker in workers.items():
            theirs = np.array(worker.order("log_density")["values"])
            apart = np.abs(np.diff(theirs) - np.diff(ours)) / np.abs(ours).max()
            if apart.max() > LARGEST_DIFFERENCE:
                raise SystemExit(f"{name}: differences of log densities are {apart.max():.1e} off; nothing is reported")
        yield workers


def bench_trajectories(case: Case) -> list[Row]:
    target = nm.Posterior(case.problem(), device="cpu")
    position, chains = target.initial_position(case.chains, "prior", 0), case.chains
    step_size = 0.1 / case.depth
    with peers_of(target, position.to_edge()[0].numpy(), ("blackjax",)) as workers:
        randomness = Randomness.of(1, "", target.instances, range(chains))
        sizes = torch.full((1, 1), step_size, dtype=torch.float64)
        kernel = nm.HMC(step_size=step_size, num_steps=NUM_STEPS, jitter=0.0).kernel(
            target, sizes, NUM_STEPS, randomness
        )
        state, count, seconds = kernel.init(position), 3, {}
        for turn in range(TURNS):
            started = time.perf_counter()
            for step in range(count):
                state, _ = kernel.step(state, turn * count + step)
            seconds.setdefault("nishimori", []).append(time.perf_counter() - started)
            answer = workers["blackjax"].order("trajectories", step_size=step_size, num_steps=NUM_STEPS, count=count)
            seconds.setdefault("blackjax", []).append(answer["seconds"])
        rows = []
        for name, spent in seconds.items():
            rates = chains * count * NUM_STEPS / np.array(spent)
            low, middle, high = np.quantile(rates, [0.2, 0.5, 0.8])
            provider = workers[name].version if name in workers else name
            named = f"{case} num_steps={NUM_STEPS}"
            rows.append(
                row_of(
                    "trajectories", provider, named, "gradients_per_second", "1/s", middle, target.device, (low, high)
                )
            )
    return rows


def bench_sampling(case: Case, draws: int) -> list[Row]:
    """Chains start at the teacher, for all."""
    target = nm.Posterior(case.problem(), device="cpu")
    teacher = target.initial_position(case.chains, "teacher", 0).to_edge()[0].numpy()
    seen, facts = {"nishimori": (result := ours(target, case.chains, draws))[0]}, {"nishimori": result[1]}
    with peers_of(target, teacher, ("blackjax", "numpyro")) as workers, tempfile.TemporaryDirectory() as folder:
        for name, worker in workers.items():
            out = str(Path(folder) / f"{name}.npy")
            label = worker.version
            facts[label] = worker.order("sample", warmup=200, draws=draws, out=out)
            seen[label] = np.load(out, allow_pickle=False)
    _require_the_same_means(seen)
    rows = []
    for name, values in seen.items():
        fact = facts[name]
        for observable, traces in zip(OBSERVABLES, values, strict=True):
            size = convergence(traces[None]).effective_sample_size
            rows.append(_row(case, name, f"ess_per_second of {observable}", "1/s", size / fact["seconds"]))
        rows.append(_row(case, name, "gradients_per_draw", "1", fact["gradients"] / values.shape[-1]))
        rows.append(_row(case, name, "warmup", "s", fact["warmup_seconds"]))
    return rows


def _row(case: Case, name: str, metric: str, unit: str, value: float) -> Row:
    return row_of("sampling", name, str(case), metric, unit, value, torch.device("cpu"))


def ours(target: nm.Posterior, chains: int, draws: int) -> tuple[np.ndarray, dict[str, float]]:
    """Observables [2, chains, draws] of `nm.HMC()` as it comes, observed as the peers' are."""
    started = time.perf_counter()
    record = calibration_of(target, sampler := nm.HMC(), seed=0, progress=lambda *_: None)
    warmup = time.perf_counter() - started
    randomness = Randomness.of(2, "", target.instances, range(chains))
    kernel = sampler.kernel(target, record.step_size_of(target.instances), record.num_steps, randomness)
    state = kernel.init(target.initial_position(chains, "teacher", 0))
    test, noise = target.problem.known_teacher().test_latent, target.problem.channel.noise_variance
    labels, seen, gradients = target.problem.labels, [], 0
    started = time.perf_counter()
    for step in range(draws):
        state, info = kernel.step(state, step)
        gradients += info.num_steps
        overlap = (target.latent(state.position, "test")[0].double() * test[0]).mean(-1)
        misfit = (target.latent(state.position, "train")[0].double() - labels[0]).square().sum(-1)
        seen.append(torch.stack([overlap, -misfit / (2 * noise)]))
    seconds = time.perf_counter() - started
    facts = {"warmup_seconds": warmup, "seconds": seconds, "gradients": gradients}
    return torch.stack(seen, -1).numpy(), facts


def _require_the_same_means(seen: dict[str, np.ndarray]) -> None:
    names = list(seen)
    for place, observable in enumerate(OBSERVABLES):
        found = {name: convergence(values[place][None]) for name, values in seen.items()}
        for name in names[1:]:
            gap = seen[name][place].mean() - seen[names[0]][place].mean()
            error = np.sqrt(found[name].monte_carlo_variance[0] + found[names[0]].monte_carlo_variance[0])
            print(f"    {observable}: {name} is {gap / error:+.1f} standard errors from ours")
            if abs(gap) > LARGEST_Z * error:
                raise SystemExit(
                    f"{observable} of {name} is {gap / error:.1f} standard errors off; nothing is reported"
                )


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--only", choices=("trajectories", "sampling"))
    parser.add_argument("--draws", type=int, default=200)
    options = parser.parse_args()
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    jobs = [("trajectories", case) for case in TRAJECTORIES] + [("sampling", case) for case in SAMPLING]
    for kind, case in jobs:
        if options.only not in (None, kind):
            continue
        print(f"\n{kind}: {case}", flush=True)
        rows = bench_trajectories(case) if kind == "trajectories" else bench_sampling(case, options.draws)
        for row in rows:
            print(
                f"    {row['provider']:>32} {row['metric']:>36} {float(row['value']):10.4g} {row['unit']}", flush=True
            )
        if not options.dry_run:
            append(rows, options.results)


if __name__ == "__main__":
    main()
