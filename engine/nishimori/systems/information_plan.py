"""What measuring the mutual information of a point will take. Importing this never imports torch."""

from typing import TYPE_CHECKING

import msgspec

from nishimori.description.config import Config

if TYPE_CHECKING:
    from nishimori.models.problem import Problem
    from nishimori.sampling.pace import Pace


def information_seconds(config: Config, problem: "Problem", pace: "Pace") -> float:
    """Rough: gradients counted, times one of them timed."""
    from nishimori.description import GaussianChannel
    from nishimori.sampling.auto import seconds_per_gradient
    from nishimori.sampling.build import target_named
    from nishimori.sampling.information_cost import gradients_of_information

    section, chains = config.information, 2 * (config.information.chains or 1)
    assert section.method is not None
    name = "collapsed" if section.method == "collapsed" else "plain"
    gradient = seconds_per_gradient({name: target_named(config, name, problem)}, chains)[name] / chains
    counts = information_counts(config)
    control, instances = isinstance(problem.channel, GaussianChannel), len(problem.instances)
    sizes = problem.samples, problem.network.input_dim, instances
    return gradient * gradients_of_information(section.method, counts, control, *sizes, pace.step_size)


def information_bytes(config: Config, problem: "Problem", itemsize: int) -> int:
    """Of one instance; a readout that is integrated out is counted, too."""
    from nishimori.description import GaussianChannel
    from nishimori.sampling.information_cost import bytes_of_information

    method, control = config.information.method, isinstance(problem.channel, GaussianChannel)
    if method is None:
        return 0
    sizes = problem.samples, config.data.test_samples, problem.network.num_parameters * itemsize
    return bytes_of_information(method, information_counts(config), control, *sizes)


def information_counts(config: Config) -> dict[str, int]:
    """The settings of the method, but its name."""
    section = msgspec.structs.asdict(config.information)
    return {key: value for key, value in section.items() if isinstance(value, int)}
