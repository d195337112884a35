"""From a config to the network and the channel it describes."""

from nishimori.description.channels import GaussianChannel
from nishimori.description.config import Config
from nishimori.description.experiment import network_sizes
from nishimori.description.network import Network


def network_of(config: Config) -> Network:
    section = config.network
    return Network(section.input_dim, network_sizes(config), section.activation, section.readout)


def channel_of(config: Config) -> GaussianChannel:
    return GaussianChannel(config.channel.noise_variance)
