"""What figures call observables, parameters and points."""

from collections.abc import Mapping, Sequence
from typing import Any

from nishimori.comparison.series import OF_TEACHER
from nishimori.comparison.tables import VARIANCES, value_text, varying_names

SYMBOLS = {
    "sample_ratio": r"samples per input dimension  $\alpha = n/d$",
    "noise_variance": r"noise variance  $\Delta$",
    "input_dim": r"input dimension  $d$",
    "teacher_noise_variance": r"noise variance of the teacher  $\Delta^*$",
    "bayes_error": r"Bayes error  $\varepsilon$",
    "generalization_error": r"generalization error  $E(y - \langle y \rangle)^2$",
    "gibbs_error": r"Gibbs error  $2\varepsilon$",
    "posterior_mean_error": r"error of the posterior mean  $E(F^* - \langle F \rangle)^2$",
    "posterior_variance": r"posterior variance  $E\langle (F - \langle F \rangle)^2 \rangle$",
    "train_mmse": r"training MMSE",
    "training_loss": "training loss per sample",
    "training_energy": r"training energy  $\langle (y - F)^2 \rangle$",
    "training_log_likelihood": r"training log likelihood  $\langle \log p(y \mid F) \rangle$",
    "classification_error": "classification error",
    "gibbs_classification_error": "Gibbs classification error",
    "overlap": r"overlap  $q$",
    "replica_overlap": r"replica overlap  $q$",
    "function_overlap": r"function overlap  $\eta^2 q$",
    "mutual_information": r"mutual information  $I(\theta^*; D) / n$",
    "mutual_information_per_dim": r"mutual information  $I(\theta^*; D) / d$",
    "log_evidence": r"log evidence  $E \log Z / n$",
    "kernel_bayes_error": r"infinitely wide network: $E(m - F^*)^2$",
    "kernel_distance": r"distance to the infinitely wide network  $E(\langle F \rangle - m)^2$",
    "kernel_overlap": r"infinitely wide network: overlap",
    "kernel_mutual_information": r"infinitely wide network: information / $n$",
    "divergence": r"KL to the infinitely wide network / $n$",
    "width_ratio": r"hidden units per input  $k/d$",
    "time": r"time  (steps / input dimension)",
    "error": r"error  $E(f - y)^2 / 2$",
    "plateau": r"plateau of the error  $\varepsilon^*$",
    "width": r"width  $n$",
    "evidence_gain": r"evidence gained by learned features  $n \, \Delta \log p$  (nats)",
    "evidence_gain_of_means": r"evidence gained, from means over draws  $n \, \Delta \log p$  (nats)",
    "evidence_gain_of_weighed": r"evidence gained, by importance sampling  $n \, \Delta \log p$  (nats)",
    "kernel_change_1": r"change of the kernel of layer 1  $n \, \Delta K^{(1)}_{ab}$",
    "kernel_change_2": r"change of the kernel of layer 2  $n \, \Delta K^{(2)}_{ab}$",
    "prior_divergence": r"divergence from the prior  $n \, \mathrm{KL}$  (nats)",
    "replica_function_overlap": r"replica function overlap  $\eta^2 q$",
    "ensemble_variance": "variance over the ensemble",
    "input_information_lower": r"information about the input  $I(Z;X|D)$, lower bound  (nats)",
    "input_information_upper": r"information about the input  $I(Z;X|D)$, upper bound  (nats)",
    "label_information": r"information about the label  $I(Z;Y)$, lower bound  (nats)",
    "data_information": r"information about the data  $I(Z;D|X)$, upper bound  (nats)",
    "bottleneck": "information bottleneck",
    "path_length": r"path length  $\int |\dot z| \, dt$",
    "path_energy": r"path energy  $\int |\dot z|^2 \, dt$",
    "coverage": "coverage of 95 % intervals",
}
SHORT = {
    "depth": "L",
    "sample_ratio": r"\alpha",
    "noise_variance": r"\Delta",
    "input_dim": "d",
    "width_ratios": "d_l/d",
    "weight_variance": r"\sigma_w^2",
    "bias_variance": r"\sigma_b^2",
    "regularisation": r"\lambda",
    "width_ratio": "k/d",
}
ACTIVATIONS = {"erf_sqrt2": r"erf$(x / \sqrt{2})$", "tanh2_nonlinear": "tanh2, nonlinear part"}


def symbol(observable: str) -> str:
    """What an axis calls an observable."""
    return SYMBOLS.get(observable, observable.replace("_", " "))


def label_text(label: dict[str, Any]) -> str:
    """The legend entry of a series."""
    return ", ".join(dict.fromkeys(_said(name, value) for name, value in label.items())) or "measured"


def _said(name: str, value: Any) -> str:
    if name.startswith(OF_TEACHER):
        return f"teacher {_said(name.removeprefix(OF_TEACHER), value)}"
    if name == "inputs_equivalent":
        return "Gaussian equivalent" if value else "true inputs"
    numbers = value if isinstance(value, list) else [value]
    if not all(isinstance(number, int | float) for number in numbers):
        return ACTIVATIONS.get(value, value) if isinstance(value, str) else value_text(value)
    if name not in SHORT:
        return f"{name.replace('_', ' ')} {value_text(value)}"
    return f"${SHORT[name]} = {', '.join(f'{number:g}' for number in numbers)}$"


def shared_title(summaries: Sequence[Mapping[str, Any]], axis: str, shown: set[str]) -> str:
    """What all points share: neither on the axis nor `shown` in the legend."""
    parameters = summaries[0]["parameters"]
    said = [name for name in parameters if name not in shown and name != axis]
    named = ("activation", "channel", "noise_variance", "input_dim", "sample_ratio", "samples", "depth", *VARIANCES)
    usual = {"weight_variance": 1.0, "bias_variance": 0.0}
    parts = [_said(name, parameters[name]) for name in named if name in said and parameters[name] != usual.get(name)]
    of_teacher = [name for name in parameters if name.startswith(OF_TEACHER)]
    apart = [_said(name, parameters[name]) for name in of_teacher if name in said]
    student = f"student {', '.join(parts)}{'; ' if apart else ''}{', '.join(apart)},\n" if of_teacher else ""
    counts = sorted({summary["instances"] for summary in summaries})
    teachers = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    simulated = "main" in summaries[0]
    ending = f"{teachers} {'instances' if simulated else 'teachers'} a point, bars: one standard error"
    if simulated:
        return "\n".join([", ".join([summaries[0]["system"].replace("_", " "), *parts]), ending])
    return student + ending if student else ", ".join([*parts, ending])


def told_apart(points: Sequence[Mapping[str, Any]]) -> list[str]:
    """Legend entries of points, a series each."""
    names = varying_names(points)
    return [
        label_text({name: point["parameters"][name] for name in names if name in point["parameters"]})
        for point in points
    ]
