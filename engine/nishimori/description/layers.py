"""What [network] says of its layers: what there is one of each, and whether the top one can be integrated out."""

import msgspec

from nishimori.description.config import Config
from nishimori.description.errors import BadInput
from nishimori.description.network_fields import one_or_each
from nishimori.description.sizes import network_sizes


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
