"""A run as an xarray DataTree, in the groups and dimension names that ArviZ expects."""

from typing import TYPE_CHECKING, Any

import numpy as np

from nishimori.measurement.observers import is_single

if TYPE_CHECKING:
    from xarray import DataTree

    from nishimori.sampling.run import Run

SAMPLE_STATISTICS = {
    "acceptance": "acceptance_rate",
    "energy_error": "energy_error",
    "divergent": "diverging",
    "accepted": "accepted",
}
"""Our name -> ArviZ's."""


def to_datatree(run: "Run") -> "DataTree":
    """Groups `posterior` (observables by chain, draw and, with several instances, instance), `pairs` (two-replica
    observables by pair), `sample_stats` (of measured transitions) and `constant_data` (step sizes, starts).

    Raises ImportError where xarray is not installed.
    """
    try:
        from xarray import Dataset, DataTree
    except ImportError:
        raise ImportError("to_datatree needs xarray; pip install 'nishimori[analysis]'") from None

    single, chains = is_single(run.target), len(run.plan.chains)
    posterior, pairs = {}, {}
    for name, values in run.record.draws.items():
        home, second = (posterior, "chain") if values.shape[1] == chains else (pairs, "pair")
        home[name] = _variable(values, name, second, single)
    schedule = run.record.schedule
    measured = slice(schedule.warmup + schedule.thin - 1, None, schedule.thin)
    statistics = {
        theirs: _variable(run.record.statistics[ours][..., measured], theirs, "chain", single)
        for ours, theirs in SAMPLE_STATISTICS.items()
    }
    constants = {
        "step_size": ("instance", np.array(run.calibration.step_size)),
        "num_steps": ((), run.calibration.num_steps),
        "start": ("chain", np.array(run.plan.starts)),
    }
    coordinates = {"chain": list(run.plan.chains), "instance": list(run.target.instances)}
    sampled = {"chain": coordinates["chain"]} if single else coordinates
    groups = {
        "posterior": Dataset(posterior, coords=sampled),
        "sample_stats": Dataset(statistics, coords=sampled),
        "constant_data": Dataset(constants, coords=coordinates),
    }
    if pairs:
        groups["pairs"] = Dataset(pairs)
    return DataTree.from_dict(groups)


def _variable(values: Any, name: str, second: str, single: bool) -> tuple[tuple[str, ...], Any]:
    """[instances, chains or pairs, draws, ...] as (dimensions, values) with chain and draw first."""
    inner = tuple(f"{name}_dim_{axis}" for axis in range(values.ndim - 3))
    if single:
        return (second, "draw", *inner), values[0]
    return (second, "draw", "instance", *inner), np.moveaxis(values, 0, 2)
