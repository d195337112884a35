"""Online learning of the readout over frozen random features."""

from nishimori.systems.random_features_online.system import RandomFeaturesOnline

__all__ = ["RandomFeaturesOnline"]
