"""What is studied, in numbers and names alone: networks, activations, channels. numpy and scipy only."""

from nishimori.description.activations import ACTIVATIONS, Activation, activation
from nishimori.description.channels import Channel, GaussianChannel, LogisticChannel, OutputChannel, ProbitChannel
from nishimori.description.network import Network
from nishimori.description.output_functions import OUTPUT_FUNCTIONS, OutputFunction

__all__ = [
    "ACTIVATIONS",
    "OUTPUT_FUNCTIONS",
    "Activation",
    "Channel",
    "GaussianChannel",
    "LogisticChannel",
    "Network",
    "OutputChannel",
    "OutputFunction",
    "ProbitChannel",
    "activation",
]
