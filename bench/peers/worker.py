"""A peer, waiting: reads one JSON order a line, answers with one JSON line. Runs in the peer's own environment.

    worker.py PEER PROBLEM.npz

Orders: {"order": "log_density"} of the points; {"order": "trajectories", "step_size", "num_steps", "count"} for
the seconds of `count` HMC transitions of all chains (blackjax alone); {"order": "sample", "warmup", "draws", "out"} for
the seconds of warm-up and of sampling, with observables [2, chains, draws] saved to `out`. What has to be compiled is
compiled before the clock starts.
"""

import importlib
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
from posterior import load, log_density


def main() -> None:
    name, path = sys.argv[1:]
    problem = load(path)
    with np.load(path, allow_pickle=False) as file:
        start, points = (jnp.asarray(file[each], jnp.float32) for each in ("start", "points"))
    module = importlib.import_module(f"{name}_peer")
    peer = module.Peer(problem, start)
    print(json.dumps({"version": f"{name} {module.VERSION}, jax {jax.__version__}"}), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        kind = order.pop("order")
        if kind == "log_density":
            values = jax.vmap(lambda position: log_density(problem, position))(points)
            answer = {"values": np.asarray(values, np.float64).tolist()}
        else:
            answer = getattr(peer, kind)(**order)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
