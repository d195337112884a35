"""The posterior of the hidden layers alone: the Gaussian readout is integrated out exactly."""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from nishimori.description import GaussianChannel
from nishimori.models.device import resolve_precision
from nishimori.models.layout import Layout, Position, chain_dot
from nishimori.models.posterior import Posterior
from nishimori.models.problem import Problem
from nishimori.models.randomness import Randomness
from nishimori_kernels.readout.kernel_form import KernelForm
from nishimori_kernels.readout.labelled import Labelled
from nishimori_kernels.readout.weight_form import WeightForm
from nishimori_kernels.rng.streams import Stream

FORMS = {"weight": WeightForm, "kernel": KernelForm}


class CollapsedPosterior:
    """U(W) = |W|^2 / 2 + nlml(W), for every chain of every instance; positions are W_1, ..., W_L.

    nlml(W) = logdet(K + noise_variance I) / 2 + y^T (K + noise_variance I)^{-1} y / 2 + samples log(2 pi) / 2 with
    K = Psi Psi^T, Psi = sqrt(s_a / d_L) h_L^T on the training inputs, s_a the weight variance of the readout. This is
    the posterior's marginal law of W, and given W the readout is Gaussian: `complete` draws it, `predictions` average
    over it. In the coordinates (W, phi) of Hron, Novak, Pennington, Sohl-Dickstein 2022 (arXiv 2206.07673), readout =
    mu + Sigma^{1/2} phi, phi is N(0, I) and independent of W, so that only W is left to sample.

    `precision` is that of positions, forces and products, "fp32" or "fp64" (products are float64 too where the noise
    variance does not stand far above their rounding); sums of products, factorisations and energies are float64.
    `device` and `rows_in_all` as in `Posterior`. `form` "weight" factorises d_L x d_L matrices, "kernel" samples x
    samples ones, "auto" the smaller. A run averages observables over `readouts` readouts, drawn for every draw of W:
    error bars shrink where they are the readout's, as in wide layers. Where a factorisation fails (NaN weights), the
    energy of that chain alone is NaN.

    Raises ValueError for a readout that is not Gaussian, no hidden layer, biases, another channel, an unknown form, or
    a number of readouts that is none.
    """

    gaussian_prior = True

    def __init__(
        self,
        problem: Problem,
        precision: str = "fp32",
        device: str = "auto",
        form: Literal["auto", "weight", "kernel"] = "auto",
        readouts: int = 1,
        *,
        rows_in_all: int | None = None,
    ) -> None:
        require_gaussian_readout(problem)
        _require_gaussian_channel(problem)
        if form not in ("auto", *FORMS):
            raise ValueError(f"form {form!r} is not known; use auto, weight or kernel")
        if type(readouts) is not int or readouts < 1:
            raise ValueError(f"readouts must be a whole number from 1 on, got {readouts!r}")
        resolve_precision(precision)
        self.problem, self.readouts = problem, readouts
        self.posterior = Posterior(problem, precision, device, rows_in_all=rows_in_all)
        """The posterior of all weights that `complete` samples."""
        self.dtype, self.device, self.instances = self.posterior.dtype, self.posterior.device, problem.instances
        self.width = problem.network.widths[-1]
        self.num_parameters = problem.network.num_parameters - self.width
        self.form = ("weight" if self.width <= problem.samples else "kernel") if form == "auto" else form
        self._labelled: dict[int, Labelled] = {}

    def layout(self, chains: int) -> Layout:
        return Layout(len(self.instances), chains, self.problem.network.block_shapes[:-1])

    def _hidden(self, position: Position, inputs: str = "train") -> Tensor:
        return self.posterior.network(inputs, position.layout.chains).forward_hidden(position.blocks)

    def _readout(self, position: Position) -> WeightForm | KernelForm:
        """The readout's law given W."""
        chains = position.layout.chains
        if chains not in self._labelled:
            labels, noise = self.problem.labels.to(self.device), self.problem.channel.noise_variance
            variances = self.problem.network.weight_variances
            self._labelled[chains] = Labelled.of(labels, noise, chains, self.width, self.dtype, variances)
        return FORMS[self.form].of(self._labelled[chains], self._hidden(position))

    def nlml(self, position: Position) -> Tensor:
        """-log p(labels | W), [instances, chains], float64."""
        return self._readout(position).negative_log_evidence()

    def energy(self, position: Position) -> Tensor:
        """U, [instances, chains], float64."""
        return self.nlml(position) + chain_dot(position, position) / 2

    def gradient(self, position: Position, out: Position | None = None) -> Position:
        """dU/dW, laid out like the position; written to `out` where given."""
        return self._pulled_back(self._readout(position), position, out)

    def energy_and_gradient(self, position: Position, out: Position | None = None) -> tuple[Tensor, Position]:
        """Both, from one forward pass and one factorisation."""
        readout = self._readout(position)
        gradient = self._pulled_back(readout, position, out)
        return readout.negative_log_evidence() + chain_dot(position, position) / 2, gradient

    def _pulled_back(self, readout: WeightForm | KernelForm, position: Position, out: Position | None) -> Position:
        network = self.posterior.network("train", position.layout.chains)
        readout.gradient(out=network.top_gradient)
        gradient = position.empty_like() if out is None else out
        network.pull_back_hidden(position.blocks, network.top_gradient, position.blocks, gradient.blocks)
        return gradient

    def complete(
        self, position: Position, randomness: Randomness, step: int, stream: Stream = Stream.READOUT
    ) -> Position:
        """All weights of the network: W and a readout drawn from its exact law given W and the labels.

        With W from this target the result is a draw from `posterior`. The draw is addressed by (stream, step, instance,
        chain); element = index of the readout's weight, then, in the kernel form, samples more.
        """
        return next(self.completions(position, randomness, step, 1, stream))

    def completions(
        self, position: Position, randomness: Randomness, step: int, count: int, stream: Stream = Stream.READOUT
    ) -> Iterator[Position]:
        """`count` times `complete`: independent readouts given the same W, from one factorisation. Elements run on from
        readout to readout, so that the first is that of `complete`."""
        readout, chains = self._readout(position), position.layout.chains
        layout = Layout(len(self.instances), chains, ((count, readout.num_normals),))
        normals = randomness.fill_normals(layout.empty(torch.float64, self.device), stream, step)
        for drawn in readout.draw(normals.blocks[0]).unbind(2):
            weights = self.problem.layout(chains).empty(self.dtype, self.device)
            for block, values in zip(weights.blocks, (*position.blocks, drawn), strict=True):
                block.copy_(values)
            yield weights

    def predictions(self, position: Position, inputs: str = "train") -> tuple[Tensor, Tensor]:
        """Mean and variance of F over the readout given W, [instances, chains, rows], on the "train" or "test" inputs.

        Averages of these over W are those of F with less noise (Rao and Blackwell).
        """
        readout = self._readout(position)
        return readout.predict(readout.hidden if inputs == "train" else self._hidden(position, inputs))

    def initial_position(self, chains: int | tuple[int, ...], start: str, seed: int, point: str = "") -> Position:
        """The hidden layers of `Posterior.initial_position`: the teacher's, or prior draws."""
        weights = self.posterior.initial_position(chains, start, seed, point)
        layout = self.layout(weights.layout.chains)
        count = layout.instances * layout.chains * layout.num_parameters
        return Position(weights.flat[:count], layout)


def require_gaussian_readout(problem: Problem) -> None:
    """ValueError unless the readout is a sampled Gaussian one, above a hidden layer, and there are no biases."""
    if problem.network.readout != "gaussian":
        raise ValueError(
            f"readout {problem.network.readout!r} is not Gaussian and can be neither integrated out nor repriorised; "
            "use Posterior"
        )
    if problem.network.depth == 0:
        raise ValueError("a network without hidden layers is its readout: nothing remains to sample; use Posterior")
    if problem.network.bias_variance:
        raise ValueError(
            f"a network with bias_variance {problem.network.bias_variance:g} has a bias beside its readout, and can be "
            "neither integrated out nor repriorised; use Posterior"
        )


def _require_gaussian_channel(problem: Problem) -> None:
    if not isinstance(problem.channel, GaussianChannel):
        raise ValueError(
            "the readout is integrated out exactly for the Gaussian channel alone; use RepriorisedPosterior with this "
            "channel's log likelihood"
        )
