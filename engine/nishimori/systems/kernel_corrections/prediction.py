"""What theory has for the kernels of a point."""

from dataclasses import dataclass

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
    """`changes` <K^(l)> - E K^(l) to first order; `wide` K_inf^(L); `gain_error` where fourth moments are sampled."""

    network: Network
    inputs: Array
    evidence: Evidence
    wide: Array
    changes: tuple[Array, ...]
    gain_error: float | None

    @classmethod
    def of(
        cls, network: Network, inputs: Array, labels: Array, noise_variance: float, seed: int, sampled: int | None
    ) -> "Predicted":
        """Fourth moments are exact, or averages over so many `sampled` draws. Raises ValueError as
        `kernel_fluctuations` does."""
        weight, phi = network.weight_variances[-1], network.activations[0]
        evidence = Evidence(labels, noise_variance, weight)
        machine = DeepKernelMachine.of(inputs, network.widths, phi, evidence)
        wide = machine.wide_kernels()[-1]
        if sampled is None:
            changes = kernel_changes(kernel_fluctuations(inputs, network.widths, phi, weight), evidence)
            return cls(network, inputs, evidence, wide, changes, None)
        batches = sampled_kernel_changes(inputs, network.widths, phi, evidence, _normals(sampled, len(inputs), seed))
        gains = [network.widths[-1] * evidence_gain(batch[-1], wide, evidence) for batch in batches]
        error = float(np.std(gains, ddof=1) / np.sqrt(len(gains)))
        return cls(network, inputs, evidence, wide, tuple(np.mean(batches, axis=0)), error)

    @property
    def width(self) -> int:
        return self.network.widths[-1]

    @property
    def gain(self) -> float:
        """Times the width."""
        return float(self.gains(np.array(self.changes)))

    def gains(self, changes: Array) -> Array:
        """Of changes [..., layers, samples, samples], times the width, [...]."""
        return self.width * np.sum(self.evidence.pull(self.wide) * changes[..., -1, :, :], axis=(-2, -1))

    def machine_gain(self) -> float | None:
        """Of a deep kernel machine, times the width; None where its kernels are singular."""
        phi = self.network.activations[0]
        try:
            kernels = DeepKernelMachine.of(self.inputs, self.network.widths, phi, self.evidence).maximised()
        except ValueError:
            return None
        return self.width * evidence_gain(kernels[-1] - self.wide, self.wide, self.evidence)


def _normals(draws: int, samples: int, seed: int) -> Array:
    """[draws, samples]."""
    from nishimori.systems.kernel_corrections.data import normals
    from nishimori_kernels.rng import Stream, random_key

    return normals(draws * samples, Stream.KERNEL_WEIGHTS, random_key(seed, "")).reshape(draws, samples)
