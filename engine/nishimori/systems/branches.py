"""Estimates of the chains of each start, where they stay in different branches. Importing this never imports torch."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nishimori.description import Network
from nishimori.theory.branches import BRANCHES

if TYPE_CHECKING:
    from nishimori.measurement.error_bars import Estimate
    from nishimori.sampling import Run

LEVEL = 0.001
"""Of the probability of a difference between the starts, where theory expects one."""


def sized(network: Network, parameters: Mapping[str, Any]) -> Network:
    """The network with the sizes that a point's parameters give it."""
    dim = parameters["input_dim"]
    widths = [round(ratio * dim) for ratio in parameters["width_ratios"]]
    return Network(dim, widths, network.activation, network.readout)


def branch_estimates(run: "Run", predicted: Mapping[str, Any]) -> "dict[str, Estimate]":
    """Estimates of the teacher's chains as informed_*, of those from the prior as uninformed_*.

    Only with both starts, and where theory has branches or the verdict says that the starts disagree. The Bayes error
    of a branch is half its Gibbs error, by the Nishimori identity of the weights in that branch.
    """
    differ = any(one.subject.startswith("starts_") and not one.passed for one in run.verdict.criteria)
    if not set(BRANCHES) <= set(run.plan.starts) or not (differ or "uninformed_bayes_error" in predicted):
        return {}
    found = {}
    for start, branch in BRANCHES.items():
        estimates = run.estimates_of(start)
        estimates["bayes_error"] = estimates["gibbs_error"].scaled(0.5)
        found |= {f"{branch}_{name}": estimate for name, estimate in estimates.items()}
    return found


def disagreement(run: "Run", predicted: Mapping[str, Any], found: "Mapping[str, Estimate]") -> list[str]:
    """A sentence for the verdict where theory has two branches, and the Gibbs errors of the two starts, `found` by
    `branch_estimates`, differ at the level of a false alarm."""
    p_values = [check.p_value for check in run.checks if check.name == "starts_gibbs_error"]
    if not found or "informed_bayes_error" not in predicted or not min(p_values, default=1.0) < LEVEL:
        return []
    informed, uninformed = (found[f"{branch}_gibbs_error"].value for branch in BRANCHES.values())
    sentence = (
        f"chains from the teacher and from the prior stay in different branches (Gibbs error {informed:.3g} and "
        f"{uninformed:.3g}, p = {min(p_values):.1e}); read the estimates informed_* and uninformed_*, or set "
        'sampler.kind = "replica_exchange"'
    )
    return [sentence]
