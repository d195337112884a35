import dataclasses
import math

import numpy as np
import pytest

from nishimori.description import ACTIVATIONS, Activation, GaussianChannel, Network


def test_shapes_and_counts():
    network = Network(input_dim=7, widths=(5, 3), activation="erf")
    assert network.depth == 2
    assert network.layer_shapes == [(5, 7), (3, 5)]
    assert network.block_shapes == ((5, 7), (3, 5), (3,))
    assert network.num_parameters == 35 + 15 + 3
    assert network.block_names == ("W1", "W2", "a")


def test_depth_zero_is_the_linear_model():
    network = Network(input_dim=7)
    assert (network.depth, network.layer_shapes, network.num_parameters) == (0, [], 7)
    assert network.block_names == ("a",)


def test_a_fixed_readout_is_no_parameter():
    network = Network(input_dim=7, widths=(5, 3), readout="fixed")
    assert network.layer_shapes == [(5, 7), (3, 5)]
    assert network.block_shapes == ((5, 7), (3, 5))
    assert network.num_parameters == 35 + 15
    assert network.block_names == ("W1", "W2")
    assert network != Network(input_dim=7, widths=(5, 3))


def test_sizes_are_normalised():
    network = Network(np.int64(4), [np.int32(3), 2])  # pyright: ignore[reportArgumentType]
    assert network == Network(4, (3, 2))
    assert network.widths == (3, 2)
    assert {type(size) for size in (network.input_dim, *network.widths)} == {int}


def test_names_and_activations_give_equal_networks():
    named, given = Network(4, (3,), "sin"), Network(4, (3,), ACTIVATIONS["sin"])
    assert named == given
    assert hash(named) == hash(given)
    assert named.activation is ACTIVATIONS["sin"]
    assert named != Network(4, (3,), "tanh")


def test_repr_rebuilds_the_network():
    network = Network(4, (3, 2), "tanh2")
    assert repr(network) == "Network(input_dim=4, widths=(3, 2), activation='tanh2', readout='gaussian')"
    assert eval(repr(network)) == network


def test_repr_does_not_pass_a_user_activation_for_a_registered_one():
    own = Activation(np.sinh, np.cosh, "tanh", odd=True)
    assert "activation=Activation(name='tanh'" in repr(Network(4, (3,), own))


def test_frozen_and_replaceable():
    network = Network(4, (3,), "erf")
    with pytest.raises(dataclasses.FrozenInstanceError):
        network.input_dim = 5  # pyright: ignore[reportAttributeAccessIssue]
    assert dataclasses.replace(network, input_dim=5) == Network(5, (3,), "erf")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"input_dim": 0}, "input_dim must be a positive integer, got 0: give"),
        ({"input_dim": 2.0}, "input_dim must be a positive integer, got 2.0"),
        ({"input_dim": True}, "input_dim must be a positive integer, got True"),
        ({"input_dim": 4, "widths": (3, -1)}, r"widths\[1\] must be a positive integer, got -1"),
        ({"input_dim": 4, "widths": 200}, r"widths must hold one .* got 200: write widths=\(200,\)"),
        ({"input_dim": 4, "widths": "33"}, "widths must hold one positive integer for each hidden layer"),
        ({"input_dim": 4, "activation": "tanhh"}, "did you mean 'tanh'"),
        ({"input_dim": 4, "activation": np.tanh}, "activation must be a name or an Activation"),
        (
            {"input_dim": 4, "widths": (3,), "readout": "fixd"},
            "readout 'fixd' is unknown: choose one of gaussian, fixed",
        ),
        ({"input_dim": 4, "readout": "fixed"}, "'fixed' leaves .* without hidden layers no weights: use .*'gaussian'"),
    ],
)
def test_refusals_name_the_field_and_the_remedy(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        Network(**arguments)


@pytest.mark.parametrize("value", [0, -0.1, math.nan, math.inf, True, "0.1", None])
def test_noise_variance_must_be_a_positive_variance(value):
    with pytest.raises(ValueError, match="noise_variance must be a finite variance greater than 0.*: give"):
        GaussianChannel(value)


def test_channel_normalises_its_variance():
    channel = GaussianChannel(np.float32(0.5))  # pyright: ignore[reportArgumentType]
    assert channel == GaussianChannel(0.5)
    assert type(channel.noise_variance) is float


def test_log_likelihood_is_a_normalised_log_density():
    channel, latent = GaussianChannel(0.3), np.array([[-1.0], [0.4]])
    labels = np.linspace(-9, 9, 4001)
    log_density = channel.log_likelihood(labels, latent)
    assert log_density.shape == (2, 4001)
    density = np.exp(log_density)
    np.testing.assert_allclose(np.trapezoid(density, labels), 1, rtol=1e-12)
    np.testing.assert_allclose(np.trapezoid(density * labels, labels), latent[:, 0], rtol=1e-12)
    np.testing.assert_allclose(np.trapezoid(density * (labels - latent) ** 2, labels), 0.3, rtol=1e-12)
