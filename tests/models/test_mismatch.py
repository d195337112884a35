"""Data of mismatched teachers: those of the teacher, bit by bit, under the student's name."""

from typing import Any

import pytest
import torch

import nishimori as nm

STUDENT = nm.Network(6, (5,), "erf"), nm.GaussianChannel(0.4)
SIZES: dict[str, Any] = {"samples": 7, "instances": 3, "seed": 2, "test_samples": 4, "point": "here"}
TEACHERS: dict[str, dict[str, Any]] = {
    "activation": {"teacher_network": nm.Network(6, (5,), "tanh2")},
    "widths": {"teacher_network": nm.Network(6, (9, 4), "erf")},
    "readout": {"teacher_network": nm.Network(6, (5,), "erf", readout="fixed")},
    "noise_variance": {"teacher_channel": nm.GaussianChannel(0.1)},
}


@pytest.mark.parametrize("differing", TEACHERS)
def test_the_data_are_those_of_the_teacher(differing: str) -> None:
    named = {"teacher_network": STUDENT[0], "teacher_channel": STUDENT[1], **TEACHERS[differing]}
    problem = nm.mismatched_teacher(*STUDENT, **SIZES, **TEACHERS[differing])
    drawn = nm.matched_teacher(named["teacher_network"], named["teacher_channel"], **SIZES)
    assert problem.teacher is not None and drawn.teacher is not None and problem.test_inputs is not None
    assert (problem.network, problem.channel) == STUDENT
    assert problem.mismatch == (differing,)
    assert drawn.mismatch == ()
    for ours, theirs in (
        (problem.inputs, drawn.inputs),
        (problem.labels, drawn.labels),
        (problem.test_inputs, drawn.test_inputs),
        (problem.teacher.test_latent, drawn.teacher.test_latent),
        (problem.teacher.weights.flat, drawn.teacher.weights.flat),
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_a_teacher_like_the_student_is_matched() -> None:
    problem = nm.mismatched_teacher(*STUDENT, **SIZES, teacher_channel=nm.GaussianChannel(0.4))
    matched = nm.matched_teacher(*STUDENT, **SIZES)
    assert problem.mismatch == ()
    start, expected = (nm.Posterior(one, device="cpu").initial_position(1, "teacher", 0) for one in (problem, matched))
    torch.testing.assert_close(start.flat, expected.flat, rtol=0, atol=0)


@pytest.mark.parametrize("target", [nm.Posterior, nm.CollapsedPosterior])
def test_chains_cannot_start_at_another_teacher(target: Any) -> None:
    posterior = target(nm.mismatched_teacher(*STUDENT, **SIZES, **TEACHERS["widths"]), device="cpu")
    with pytest.raises(ValueError, match="differ in widths.*start='prior'"):
        posterior.initial_position(2, "teacher", 0)
    assert posterior.initial_position(2, "prior", 0).layout.chains == 2


def test_the_student_must_see_the_same_data() -> None:
    with pytest.raises(ValueError, match="teacher_network has input_dim 7 and the student 6.*give them the same"):
        nm.mismatched_teacher(*STUDENT, **SIZES, teacher_network=nm.Network(7, (5,), "erf"))
    with pytest.raises(ValueError, match="teacher_channel.*another kind.*give both the same kind"):
        nm.mismatched_teacher(*STUDENT, **SIZES, teacher_channel=nm.ProbitChannel(0.1))
    with pytest.raises(ValueError, match="teacher_channel.*another kind.*give both the same kind"):
        of_output = nm.OutputChannel("tanh", 0.1), nm.OutputChannel("relu", 0.1)
        nm.mismatched_teacher(STUDENT[0], of_output[0], **SIZES, teacher_channel=of_output[1])
