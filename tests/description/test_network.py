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


def test_activations_are_one_or_one_a_layer():
    mixed = Network(4, (3, 2), ["tanh", ACTIVATIONS["erf"]])
    assert [one.name for one in mixed.activations] == ["tanh", "erf"]
    assert mixed.activation_names == ["tanh", "erf"] and not mixed.plain
    assert Network(4, (3, 2), ("erf", "erf")) == Network(4, (3, 2), "erf")
    assert Network(4, (3, 2), "erf").activation_names == "erf" and Network(4, (3, 2), "erf").plain
    assert Network(4).activations == ()


def test_biases_are_blocks_after_the_weights():
    network = Network(7, (5, 3), bias_variance=0.5)
    assert network.block_names == ("W1", "W2", "a", "b1", "b2", "b")
    assert network.block_shapes == ((5, 7), (3, 5), (3,), (5,), (3,), (1,))
    assert network.num_parameters == 35 + 15 + 3 + 5 + 3 + 1
    assert network.weight_names == ("W1", "W2", "a") and not network.plain
    fixed = Network(7, (5, 3), readout="fixed", bias_variance=0.5)
    assert fixed.block_names == ("W1", "W2", "b1", "b2", "b")
    assert Network(7, bias_variance=0.5).block_shapes == ((7,), (1,))


def test_weight_variances_are_one_or_one_a_layer():
    network = Network(7, (5, 3), weight_variance=[2, 0.5, 3.0])
    assert network.weight_variances == network.weight_variance == (2.0, 0.5, 3.0)
    assert network.effective_variance == 3.0 and not network.plain
    assert Network(7, (5, 3), weight_variance=(2.0, 2.0, 2.0)) == Network(7, (5, 3), weight_variance=2)
    assert Network(7, weight_variance=2.0).weight_variances == (2.0,)
    assert Network(7, (5,), weight_variance=(1, 1.0)) == Network(7, (5,))


def test_repr_rebuilds_a_network_with_everything():
    network = Network(4, (3, 2), ("sin", "relu"), "fixed", 0.25, (1.0, 2.0, 0.5))
    assert eval(repr(network)) == network
    assert dataclasses.replace(network, input_dim=5).bias_variance == 0.25


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"widths": (3, 2), "activation": ("tanh",)},
            "activation has 1 entries for 2 hidden layers: give one a hidden",
        ),
        ({"widths": (), "activation": ()}, "activation has 0 entries for 0 hidden layers: give .* or a single one"),
        ({"widths": (3, 2), "activation": ("tanh", "ref")}, "activation 'ref' is unknown"),
        ({"bias_variance": -0.1}, "bias_variance must be a finite variance of at least 0, got -0.1: give 0 for no"),
        ({"bias_variance": True}, "bias_variance must be a finite variance"),
        ({"bias_variance": "0.1"}, "bias_variance must be a finite variance"),
        ({"weight_variance": 0}, "weight_variance must be a finite variance greater than 0, got 0: give a positive"),
        ({"weight_variance": math.inf}, "weight_variance must be a finite variance greater than 0, got inf"),
        (
            {"widths": (3,), "weight_variance": (1, -2)},
            r"weight_variance\[1\] must be .* got -2: give a positive number",
        ),
        (
            {"widths": (3,), "weight_variance": (2, 1, 1)},
            "has 3 entries for 1 hidden layers: give 2, one a hidden layer",
        ),
        ({"weight_variance": "2"}, "weight_variance must be a finite variance greater than 0, got '2'"),
    ],
)
def test_refusals_of_layers_name_the_field_and_the_remedy(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        Network(4, **arguments)


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
