"""The feature kernels of finite Bayesian networks beside infinitely wide ones."""

from nishimori.systems.kernel_corrections.system import KernelCorrections

__all__ = ["KernelCorrections"]
