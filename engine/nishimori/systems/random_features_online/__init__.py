"""Online learning of the readout over frozen random features."""

from nishimori.systems.random_features_online.system import KIND, RandomFeaturesOnline

__all__ = ["KIND", "RandomFeaturesOnline"]
