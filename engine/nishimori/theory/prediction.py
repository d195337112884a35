"""What the theory says of a matched teacher, by the names the measurements have."""

import dataclasses
from dataclasses import dataclass


@dataclass(frozen=True)
class Prediction:
    """Limits of the matched-teacher observables as input dimension, widths and samples grow in proportion.

    F is the latent output, F* the teacher's, <.> the posterior mean, Y a label, D the data.

    sigma: variances of the layers, 0..L; sigma_L is that of F.
    eta, gamma: gain and noise variance of the equivalent linear model.
    overlap: E[v.v*] / E|v*|^2 of the effective linear weights, in [0, 1).
    function_overlap: E F F* on a fresh input: sigma_L - bayes_error.
    bayes_error: E (F* - <F>)^2 on a fresh input; label noise excluded.
    generalization_error: E (Y - E[Y|D])^2 on a fresh input; label noise included (arXiv 2505.03577, eq. 8).
    gibbs_error: E <(F* - F)^2> on a fresh input, twice bayes_error.
    train_mmse: E (F* - <F>)^2 on a training input.
    mutual_information: I(theta*; D) / n.
    mutual_information_per_dim: I(theta*; D) / d.
    log_evidence: E log Z / n.
    basis: "theorem" where the limit is proved, "conjecture" where it rests on the replica method or on simulation.

    None where they have no meaning, and then absent from the dictionary:

    classification_error: probability that the sign of E[Y|D] is not a fresh label, label noise included.
    gibbs_classification_error: the same for a label drawn by one posterior sample, its own noise included.
    bias_variance: variance over teachers of an output that is common to all inputs; it is learnt from o(n) samples and
        counted as known in everything above (biases, activations that are not odd).
    residual: what the equation of the overlap is violated by, under a quadrature twice as fine where it is not
        adaptive.
    """

    sigma: tuple[float, ...]
    eta: float
    gamma: float
    overlap: float
    function_overlap: float
    bayes_error: float
    generalization_error: float
    gibbs_error: float
    train_mmse: float
    mutual_information: float
    mutual_information_per_dim: float
    log_evidence: float
    basis: str = "theorem"
    classification_error: float | None = None
    gibbs_classification_error: float | None = None
    bias_variance: float | None = None
    residual: float | None = None

    def to_dict(self) -> dict[str, float | str | list[float]]:
        """The fields by name, ready for JSON; `sigma` becomes a list, and what is None is left out."""
        present = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        return {**present, "sigma": list(self.sigma)}
