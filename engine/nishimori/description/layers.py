"""What [network] says of its layers: their sizes, and what there is one of each."""

import msgspec

from nishimori.description.config import Config
from nishimori.description.errors import BadInput
from nishimori.description.network_fields import one_or_each


def network_sizes(config: Config) -> tuple[int, ...]:
    """Hidden widths. Raises BadInput unless exactly one of widths and depth gives them."""
    network = config.network
    if (network.widths is None) == (network.depth is None):
        raise BadInput("network needs either widths or depth; give one of them")
    if network.widths is not None:
        if network.width_ratios is not None:
            raise BadInput("network.width_ratios goes with depth; remove it or replace widths by depth")
        return network.widths
    depth, ratios = network.depth or 0, 1.0 if network.width_ratios is None else network.width_ratios
    by_layer = ratios if isinstance(ratios, tuple) else (ratios,) * depth
    if len(by_layer) != depth:
        raise BadInput(f"network.width_ratios has {len(by_layer)} entries for depth {depth}; give one a hidden layer")
    widths = tuple(round(ratio * network.input_dim) for ratio in by_layer)
    if any(width < 1 for width in widths):
        raise BadInput("network.width_ratios makes a layer without units; raise it or input_dim")
    return widths


def with_layers_said_once(config: Config) -> Config:
    """The same config, with one activation and one weight variance where all layers have the same: one network has one
    identity. Raises BadInput where a list does not have one entry a layer."""
    network, depth = config.network, len(network_sizes(config))
    activation, weights = network.activation, network.weight_variance
    if isinstance(activation, tuple):
        if len(activation) != depth or not activation:
            raise BadInput(
                f"network.activation has {len(activation)} entries for {depth} hidden layers; give one a hidden layer, "
                "or a single name"
            )
        activation = one_or_each(activation)
    if isinstance(weights, tuple):
        if len(weights) != depth + 1:
            raise BadInput(
                f"network.weight_variance has {len(weights)} entries for {depth} hidden layers; give {depth + 1}, one "
                "a hidden layer and one of the readout, or a single number"
            )
        weights = one_or_each(weights)
    said = msgspec.structs.replace(network, activation=activation, weight_variance=weights)
    return msgspec.structs.replace(config, network=said)


def require_integrable_readout(config: Config, key: str, remedy: str) -> None:
    """Raises BadInput, which names `key` and ends in `remedy`, unless there is a Gaussian readout above a hidden layer
    and no biases, so that it can be integrated out."""
    network = config.network
    if network.readout == "fixed":
        what = 'network.readout = "fixed"'
    elif not network_sizes(config):
        what = "a network without hidden layers"
    elif network.bias_variance:
        what = f"network.bias_variance = {network.bias_variance:g}: readouts are integrated out without biases"
    else:
        return
    raise BadInput(f'{key} = "collapsed" does not go with {what}; use "{remedy}"')
