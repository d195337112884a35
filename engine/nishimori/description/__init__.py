"""What is studied, in numbers and names alone: networks, activations, channels. numpy and scipy only."""

from nishimori.description.activations import ACTIVATIONS, Activation, activation
from nishimori.description.channels import GaussianChannel
from nishimori.description.network import Network

__all__ = ["ACTIVATIONS", "Activation", "GaussianChannel", "Network", "activation"]
