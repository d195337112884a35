"""What theory has for the kernels of a point."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nishimori.description import Network
from nishimori.theory.deep_kernel_machine import DeepKernelMachine
from nishimori.theory.kernel_corrections import (
    Evidence,
    evidence_gain,
    kernel_changes,
    kernel_fluctuations,
    sampled_kernel_changes,
)

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Predicted:
    """Of a network on `inputs` [samples, input_dim]. Fourth moments are exact, or averages over so many `sampled` draws
    of the `seed`."""

    network: Network
    inputs: Array
    evidence: Evidence
    seed: int
    sampled: int | None = None

    @property
    def width(self) -> int:
        return self.network.widths[-1]

    @cached_property
    def machine(self) -> DeepKernelMachine:
        return DeepKernelMachine.of(self.inputs, self.network.widths, self.network.activations[0], self.evidence)

    @cached_property
    def wide(self) -> Array:
        """K_inf^(L)."""
        return self.machine.wide_kernels()[-1]

    @cached_property
    def estimates(self) -> Array:
        """<K^(l)> - E K^(l) to first order, [estimates, layers, samples, samples]: one, or several where fourth
        moments are sampled. Raises ValueError as `kernel_fluctuations` does."""
        widths, phi = self.network.widths, self.network.activations[0]
        if self.sampled is not None:
            drawn = _normals(self.sampled, len(self.inputs), self.seed)
            return sampled_kernel_changes(self.inputs, widths, phi, self.evidence, drawn)
        fluctuations = kernel_fluctuations(self.inputs, widths, phi, self.evidence.weight_variance)
        return np.array([kernel_changes(fluctuations, self.evidence)])

    @property
    def changes(self) -> Array:
        """Their mean, [layers, samples, samples]."""
        return self.estimates.mean(axis=0)

    @property
    def gain(self) -> float:
        """Evidence gain times the width."""
        return float(self.gains(self.changes))

    @property
    def gain_error(self) -> float | None:
        """Its standard error; None where nothing is sampled."""
        if self.sampled is None:
            return None
        return float(np.std(self.gains(self.estimates), ddof=1) / np.sqrt(len(self.estimates)))

    def gains(self, changes: Array) -> Array:
        """Of changes [..., layers, samples, samples], times the width, [...]."""
        return self.width * np.sum(self.evidence.pull(self.wide) * changes[..., -1, :, :], axis=(-2, -1))

    def machine_gain(self) -> float:
        """Of a deep kernel machine, times the width. Raises ValueError as `DeepKernelMachine.maximised` does."""
        change = self.machine.maximised()[-1] - self.wide
        return self.width * evidence_gain(change, self.wide, self.evidence)


def _normals(draws: int, samples: int, seed: int) -> Array:
    """[draws, samples]."""
    from nishimori.systems.kernel_corrections.data import normals
    from nishimori_kernels.rng import Stream, random_key

    return normals(draws * samples, Stream.KERNEL_WEIGHTS, random_key(seed, "")).reshape(draws, samples)
