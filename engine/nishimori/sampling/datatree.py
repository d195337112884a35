"""A run as an xarray DataTree, in the groups and dimension names that ArviZ expects."""

from typing import TYPE_CHECKING

from nishimori.measurement.observers import is_single
from nishimori.sampling.groups import Group, Sampled

if TYPE_CHECKING:
    from xarray import Dataset, DataTree

    from nishimori.sampling.run import Run


def to_datatree(run: "Run") -> "DataTree":
    """The groups of `Sampled.groups`: `posterior`, `sample_stats`, `constant_data` and, with two-replica observables,
    `pairs`.

    Raises ImportError where xarray is not installed.
    """
    try:
        from xarray import DataTree
    except ImportError:
        raise ImportError("to_datatree needs xarray; pip install 'nishimori[analysis]'") from None

    record, instances = run.record, tuple(run.target.instances)
    sampled = Sampled(
        record.draws, record.statistics, record.schedule, run.plan, run.calibration, instances, is_single(run.target)
    )
    return DataTree.from_dict({name: _dataset(group) for name, group in sampled.groups().items()})


def _dataset(group: Group) -> "Dataset":
    from xarray import Dataset

    variables = {name: (variable.dimensions, variable.values) for name, variable in group.variables.items()}
    return Dataset(variables, coords=group.coordinates, attrs=group.attributes)
