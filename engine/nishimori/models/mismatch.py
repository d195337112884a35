"""`mismatched_teacher`: data of a teacher that is another than its student believes."""

from collections.abc import Sequence
from dataclasses import replace

from nishimori.description import Channel, Network, OutputChannel
from nishimori.models.inputs import InputGenerator
from nishimori.models.problem import Problem, matched_teacher


def mismatched_teacher(
    network: Network,
    channel: Channel,
    samples: int,
    instances: int | Sequence[int] = 1,
    seed: int = 0,
    test_samples: int = 1000,
    point: str = "",
    *,
    teacher_network: Network | None = None,
    teacher_channel: Channel | None = None,
    inputs: InputGenerator | None = None,
) -> Problem:
    """A problem whose student is `network`, `channel` and whose data are those of `matched_teacher` with
    `teacher_network`, `teacher_channel`, from the same random numbers; what is not named is the student's.

    The teacher may have other widths, another depth, activation or readout, and another amount of noise. Its posterior
    is not Bayes-optimal then: chains cannot start at the teacher, the Nishimori identities do not hold and are not
    checked, and E (F* - <F>)^2 is called posterior_mean_error (see `measurement.mismatched`). With a teacher like the
    student the problem is a matched one in all respects, and has a posterior_mean_error too.

    Raises ValueError where the teacher's inputs have another dimension, its channel is of another kind, or where
    `matched_teacher` does for it.
    """
    theirs = teacher_network or network, teacher_channel or channel
    _require_same_data(network, channel, *theirs)
    drawn = matched_teacher(*theirs, samples, instances, seed, test_samples, point, inputs=inputs)
    assert drawn.teacher is not None
    teacher = replace(drawn.teacher, network=theirs[0], channel=theirs[1])
    rows = {"test_inputs": drawn.test_inputs, "instances": drawn.instances}
    return Problem(network, channel, drawn.inputs, drawn.labels, teacher=teacher, **rows)


def _require_same_data(network: Network, channel: Channel, their_network: Network, their_channel: Channel) -> None:
    if network.input_dim != their_network.input_dim:
        raise ValueError(
            f"teacher_network has input_dim {their_network.input_dim} and the student {network.input_dim}: "
            "both see the same inputs, give them the same input_dim"
        )
    if _kind(channel) != _kind(their_channel):
        raise ValueError(
            f"teacher_channel {their_channel!r} is of another kind than the student's {channel!r}: "
            "give both the same kind of channel"
        )


def _kind(channel: Channel) -> tuple[object, ...]:
    return (type(channel), *([channel.function] if isinstance(channel, OutputChannel) else []))
