"""How many bytes the chains of a network take on a device: near enough to say how many of them fit."""

from dataclasses import dataclass

from nishimori.models.collapsed import CollapsedPosterior
from nishimori.models.posterior import Posterior
from nishimori.models.repriorised import RepriorisedPosterior
from nishimori_kernels.energy.batched import lifted_of

VECTORS = 6
"""Position, gradient and momentum of a state and of its proposal; squares of an observation take no more."""
OBSERVED = 16
"""Float64 numbers a test input: the sums of predictions, by batch, and what an observation makes of them."""
FORMAT_BYTES = {"bf16": 2, "fp16": 2, "tf32": 4, "bf16x3": 4}
"""Of an operand of a force's products."""
DOUBLE = 8


@dataclass(frozen=True)
class Footprint:
    """Bytes: `data` for any number of chains; `vectors`, laid out like positions, and `activations` for one chain of
    every instance."""

    data: int
    vectors: int
    activations: int

    @property
    def one_chain(self) -> int:
        return self.vectors + self.activations

    def of(self, chains: int) -> int:
        return self.data + chains * self.one_chain

    def chains_within(self, available: int) -> int:
        """The most that fit into so many bytes."""
        return max(0, (available - self.data) // self.one_chain)


def footprint(target: Posterior | CollapsedPosterior | RepriorisedPosterior) -> Footprint:
    """Of a run on a GPU, where all chains go through the layers together."""
    posterior, instances = target.posterior, len(target.instances)
    problem, size = posterior.problem, posterior.dtype.itemsize
    network, samples, tests = problem.network, problem.samples, _test_rows(posterior)
    data = (samples + tests) * network.input_dim + samples
    activations = samples * _train(posterior) + tests * _test(posterior) + _rounded(posterior)
    if not isinstance(target, Posterior):
        activations += _readouts(target, samples, tests)
    vectors = VECTORS * size * network.num_parameters
    return Footprint(instances * size * data, instances * vectors, instances * activations)


def _test_rows(posterior: Posterior) -> int:
    inputs = posterior.problem.test_inputs
    return 0 if inputs is None else inputs.shape[1]


def _train(posterior: Posterior) -> int:
    """Bytes a training input, of one chain: forward and back, output, residual and its squares."""
    widths, size = posterior.problem.network.widths, posterior.dtype.itemsize
    outputs = 2 * size + 2 * DOUBLE
    if posterior.precision in FORMAT_BYTES:
        coarse = _lifted(posterior) + sum(widths[:-1])
        return outputs + size * _lifted(posterior) + FORMAT_BYTES[posterior.precision] * coarse
    top = sum(width for width, kernel in zip(widths[-1:], posterior.kernels[-1:], strict=True) if not kernel.in_place)
    return outputs + size * (_lifted(posterior) + sum(widths[:-1]) + top)


def _test(posterior: Posterior) -> int:
    """Bytes a test input, of one chain: forward, output, and what is observed."""
    size = posterior.dtype.itemsize
    return size * (_lifted(posterior) + 1) + OBSERVED * DOUBLE


def _lifted(posterior: Posterior) -> int:
    """Numbers an input that a forward pass leaves."""
    return lifted_of(posterior.problem.network.widths, posterior.kernels)


def _rounded(posterior: Posterior) -> int:
    """Bytes of the weights in the format of a coarse force, and of its gradient in it."""
    return 2 * FORMAT_BYTES.get(posterior.precision, 0) * posterior.problem.network.num_parameters


def _readouts(target: CollapsedPosterior | RepriorisedPosterior, samples: int, tests: int) -> int:
    """Bytes of one chain where the readout is integrated out or its coordinates are changed: a second forward pass for
    observables, hidden layers in double precision and a gradient of theirs, the Gram matrix, its factor, and as much
    workspace."""
    widths, size = target.problem.network.widths, target.dtype.itemsize
    width, again = widths[-1], size * _lifted(target.posterior)
    narrow = samples if isinstance(target, CollapsedPosterior) and target.form == "kernel" else width
    doubled = width * (samples * (size + DOUBLE) + tests * 2 * DOUBLE)
    return again * (samples + tests) + doubled + 4 * DOUBLE * narrow**2
