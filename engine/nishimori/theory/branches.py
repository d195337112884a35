"""Networks whose hidden units specialise at n ~ d^2, by the names of the estimates and at sample_ratio = n / d.

`quadratic_samples` has the theory and alpha = n / d^2.
"""

import math
from functools import cache

from nishimori.description import Activation, Channel, Network
from nishimori.theory.quadratic_samples import QuadraticSamples

BRANCHES = {"teacher": "informed", "prior": "uninformed"}
"""By the start of a chain, the branch it stays in where both are metastable."""

_TOLERANCE = 1e-10


def specialises(network: Network) -> bool:
    """Whether the readout is fixed, there are no biases, and one activation of unit input variance has no linear part:
    n ~ d samples teach such a network nothing."""
    activation = network.activation
    return (
        network.plain
        and network.readout == "fixed"
        and not isinstance(activation, tuple)
        and _no_linear_part(activation)
    )


def branch_predictions(network: Network, channel: Channel, sample_ratio: float) -> dict[str, float | str]:
    """Limits at n = sample_ratio d: of the branch in equilibrium by plain names, of both by informed_* and
    uninformed_*; there is nothing informed below the spinodal threshold.

    Names are those of `Branch.observables`, and mutual_information_per_dim = I / d, log_evidence = E log Z / n in nats.
    The size enters: alpha = sample_ratio / input_dim. Far below n ~ d^2 bayes_error is that without data. `basis` is
    "conjecture". Raises ValueError where `QuadraticSamples.of_network` does, and unless sample_ratio is positive.
    """
    if not (math.isfinite(sample_ratio) and sample_ratio > 0):
        raise ValueError(f"sample_ratio must be finite and greater than 0, got {sample_ratio}: give n/d")
    model = _model(network, channel)
    ratio = sample_ratio / network.input_dim
    informed, uninformed = model.informed(ratio), model.uninformed(ratio)
    found = {"uninformed": uninformed, **({"informed": informed} if informed else {})}
    equilibrium = max(found.values(), key=lambda branch: branch.potential)
    named = {f"{name}_{key}": value for name, branch in found.items() for key, value in branch.observables.items()}
    information = equilibrium.observables["mutual_information"]
    return {
        **equilibrium.observables,
        "mutual_information_per_dim": sample_ratio * information,
        "log_evidence": -0.5 * math.log(2 * math.pi * math.e * equilibrium.noise_variance) - information,
        **named,
        "basis": "conjecture",
    }


@cache
def _model(network: Network, channel: Channel) -> QuadraticSamples:
    return QuadraticSamples.of_network(network, channel)


@cache
def _no_linear_part(activation: Activation) -> bool:
    return abs(activation.mean_derivative(1.0)) < _TOLERANCE
