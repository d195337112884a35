"""From a config to the network and the channel it describes."""

from nishimori.description.channels import Channel, LogisticChannel, channel_named
from nishimori.description.config import Config
from nishimori.description.errors import BadInput
from nishimori.description.network import Network
from nishimori.description.sizes import network_sizes


def network_of(config: Config) -> Network:
    section = config.network
    return Network(
        section.input_dim,
        network_sizes(config),
        section.activation,
        section.readout,
        section.bias_variance,
        section.weight_variance,
    )


def channel_of(config: Config) -> Channel:
    section = config.channel
    if section.temperature is not None:
        return LogisticChannel(section.temperature)
    if section.noise_variance is None:
        raise BadInput("channel.noise_variance is missing; add it")
    return channel_named(section.kind, section.noise_variance)
