"""Both branches by the names of estimates, at n = sample_ratio d."""

import math

import pytest

from nishimori.description import GaussianChannel, Network, ProbitChannel
from nishimori.theory.branches import branch_predictions, specialises
from nishimori.theory.quadratic_samples import QuadraticSamples

NOISE = GaussianChannel(0.1)
DIM = 20


def network(depth: int = 1, activation: str = "tanh2_nonlinear", readout: str = "fixed") -> Network:
    return Network(DIM, (DIM,) * depth, activation, readout)


def test_only_a_fixed_readout_and_no_linear_part_specialise():
    assert specialises(network())
    assert not specialises(network(activation="tanh2"))
    assert not specialises(network(readout="gaussian"))


@pytest.mark.parametrize("depth", [1, 2])
def test_the_branch_in_equilibrium_goes_by_plain_names(depth):
    model = QuadraticSamples.of_network(network(depth), NOISE)
    begins, wins = model.spinodal_threshold().sample_ratio, model.equilibrium_threshold().sample_ratio
    for ratio, ahead in ((0.5 * begins, None), (0.5 * (begins + wins), "uninformed"), (1.1 * wins, "informed")):
        found, informed = branch_predictions(network(depth), NOISE, ratio * DIM), model.informed(ratio)
        assert ("informed_bayes_error" in found) is (ahead is not None)
        assert found["bayes_error"] == found[f"{ahead or 'uninformed'}_bayes_error"]
        assert found["mutual_information"] == found[f"{ahead or 'uninformed'}_mutual_information"]
        if informed:
            assert found["informed_bayes_error"] == pytest.approx(informed.mmse, rel=1e-12)
            lower = min(found["informed_mutual_information"], found["uninformed_mutual_information"])
            assert found["mutual_information"] == lower


def test_few_samples_teach_nothing():
    """The plateau: bayes_error 1 and I/n = log(1 + 1/Delta)/2, whatever n ~ d."""
    for sample_ratio in (0.5, 4.0):
        found = branch_predictions(network(), NOISE, sample_ratio)
        assert (found["bayes_error"], found["uninformed_bayes_error"]) == (1, 1)
        assert found["mutual_information"] == pytest.approx(math.log(11) / 2, rel=1e-12)
        assert found["mutual_information_per_dim"] == pytest.approx(sample_ratio * math.log(11) / 2, rel=1e-12)
        assert found["log_evidence"] == pytest.approx(-math.log(2 * math.pi * math.e * 1.1) / 2, rel=1e-12)
        assert found["basis"] == "conjecture"


def test_other_networks_channels_and_ratios_are_refused():
    with pytest.raises(ValueError, match="as wide as input_dim"):
        branch_predictions(Network(DIM, (2 * DIM,), "tanh2_nonlinear", "fixed"), NOISE, 1.0)
    with pytest.raises(ValueError, match="use GaussianChannel"):
        branch_predictions(network(), ProbitChannel(0.1), 1.0)
    with pytest.raises(ValueError, match="give n/d"):
        branch_predictions(network(), NOISE, 0.0)
