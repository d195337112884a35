"""Matching hidden units: against all signed permutations of small networks, and of copies whose units were shuffled."""

import itertools
import math

import numpy as np
import pytest

from nishimori.measurement.matching import Alignment, align, aligned, free_signs

GENERATOR = np.random.default_rng(11)


def network(*widths: int, readout: bool = True) -> list[np.ndarray]:
    """Independent standard normal weights; widths from the inputs on."""
    layers = [GENERATOR.standard_normal((d, below)) for below, d in itertools.pairwise(widths)]
    return [*layers, *([GENERATOR.standard_normal(widths[-1])] if readout else [])]


def shuffled(weights: list[np.ndarray], flips: list[bool]) -> list[np.ndarray]:
    return align(weights, [random_alignment(len(weights[layer]), flip) for layer, flip in enumerate(flips)])


def random_alignment(width: int, flip: bool) -> Alignment:
    signs = GENERATOR.choice([-1.0, 1.0], width) if flip else np.ones(width)
    return Alignment(GENERATOR.permutation(width), signs)


def product(first: list[np.ndarray], second: list[np.ndarray]) -> float:
    return sum(float((a * b).sum()) for a, b in zip(first, second, strict=True))


def outputs(weights: list[np.ndarray], inputs: np.ndarray) -> np.ndarray:
    hidden = inputs
    for layer in weights[:-1]:
        hidden = np.tanh(hidden @ layer.T / math.sqrt(layer.shape[1]))
    return hidden @ weights[-1] / math.sqrt(len(weights[-1]))


@pytest.mark.parametrize(("odd", "fixed"), [(True, False), (False, False), (True, True)])
def test_a_shuffled_copy_is_put_in_order(odd: bool, fixed: bool) -> None:
    weights = network(6, 7, 5, 4, readout=not fixed)
    flips = free_signs([odd] * 3, fixed)
    assert flips == [odd, odd, odd and not fixed]
    copy = shuffled(weights, flips)
    assert product(weights, copy) < 0.9 * product(weights, weights)
    for a, b in zip(weights, align(copy, aligned(weights, copy, flips)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_aligned_networks_compute_the_same_function() -> None:
    first, second, inputs = network(3, 4, 5), network(3, 4, 5), GENERATOR.standard_normal((9, 3))
    moved = align(second, aligned(first, second, [True, True]))
    np.testing.assert_allclose(outputs(moved, inputs), outputs(second, inputs), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("flip", [True, False])
def test_one_hidden_layer_is_matched_to_the_global_maximum(flip: bool) -> None:
    """By trial of all 4! 2^4 signed permutations."""
    for _ in range(5):
        first, second = network(3, 4), network(3, 4)
        signs = list(itertools.product([1.0, -1.0], repeat=4)) if flip else [(1.0,) * 4]
        best = max(
            product(first, align(second, [Alignment(np.array(order), np.array(sign))]))
            for order in itertools.permutations(range(4))
            for sign in signs
        )
        found = product(first, align(second, aligned(first, second, [flip])))
        assert found == pytest.approx(best, rel=1e-12)


def test_overlaps_do_not_depend_on_how_units_are_numbered() -> None:
    """Of one hidden layer, whose matching is unique; deeper ones are shuffled in the layer that is matched first."""
    first, second = network(5, 6), network(5, 6)
    expected = product(first, align(second, aligned(first, second, [True])))
    for a, b in ((shuffled(first, [True]), second), (first, shuffled(second, [True]))):
        assert product(a, align(b, aligned(a, b, [True]))) == pytest.approx(expected, rel=1e-12)


def test_matching_deeper_networks_improves_on_no_matching_and_is_invariant() -> None:
    """Every start of the ascent is made of the weights alone, and so does not depend on the numbering."""
    first, second = network(5, 6, 4, 3), network(5, 6, 4, 3)
    flips = [True, True, True]
    expected = product(first, align(second, aligned(first, second, flips)))
    assert expected > product(first, second)
    for _ in range(5):
        a, b = shuffled(first, flips), shuffled(second, flips)
        assert product(a, align(b, aligned(a, b, flips))) == pytest.approx(expected, rel=1e-10)


def test_chance_is_that_of_the_largest_of_many_normals() -> None:
    """Of independent units in d dimensions, the best of 2 d signed partners has overlap sqrt(2 log(2 d) / d) to leading
    order, which the maximum of normals approaches from below, as log log d / log d: matching cannot exceed it."""
    d, values = 100, []
    for _ in range(4):
        first, second = network(d, d, readout=False), network(d, d, readout=False)
        moved = align(second, aligned(first, second, [True]))
        values.append(float((first[0] * moved[0]).mean()))
    asymptotic = math.sqrt(2 * math.log(2 * d) / d)
    greatest = [np.abs(GENERATOR.standard_normal((d, d))).max(axis=1).mean() / math.sqrt(d) for _ in range(20)]
    assert 0.75 * asymptotic < np.mean(values) < np.mean(greatest) < asymptotic
