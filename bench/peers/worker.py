"""A peer, waiting: reads one JSON order a line, answers with one JSON line. Runs in the peer's own environment.

    worker.py PEER PROBLEM.npz

It begins by naming its samplers; those in "trajectories" take the second order. Orders: {"order": "log_density"} of the
points; {"order": "trajectories", "step_size", "num_steps", "count"} for the seconds of `count` transitions of all
chains, `num_steps` gradients each; {"order": "gradients", "count"}, which BlackJAX alone takes, for those of `count`
gradients of all chains; {"order": "sample", "sampler", "warmup", "draws", "out"} for the seconds of warm-up and of
sampling and the gradients of a chain, with observables [2, chains, draws] saved to `out`. What has to be compiled is
compiled before the clock starts.

A peer is a module PEER_peer with VERSION, SAMPLERS, TRAJECTORIES (a sampler or None) and a class Peer(path) with these
orders as methods.
"""

import importlib
import json
import sys


def main() -> None:
    name, path = sys.argv[1:]
    module = importlib.import_module(f"{name}_peer")
    peer = module.Peer(path)
    facts = {"version": module.VERSION, "samplers": module.SAMPLERS, "trajectories": module.TRAJECTORIES}
    print(json.dumps(facts), flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps(getattr(peer, order.pop("order"))(**order)), flush=True)


if __name__ == "__main__":
    main()
