"""Online learning of two-layer networks on structured inputs."""

from nishimori.systems.hidden_manifold_online.system import HiddenManifoldOnline

__all__ = ["HiddenManifoldOnline"]
