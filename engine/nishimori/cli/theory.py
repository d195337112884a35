"""`nishimori theory`: the equivalent linear model's predictions, without sampling anything."""

import json
from typing import Literal

from nishimori.cli.codes import DONE
from nishimori.comparison.tables import table
from nishimori.description import Channel, LogisticChannel, Network
from nishimori.description.channels import channel_named
from nishimori.description.errors import BadInput
from nishimori.theory import Prediction, predict

MEANINGS = {
    "sigma": "variances of the pre-activations of layers 1 to L and of the output",
    "eta": "signal of the equivalent linear model",
    "gamma": "its effective noise variance (plateau of the Bayes error)",
    "overlap": "q, effective linear weights of sample and teacher",
    "function_overlap": "E F F* on fresh inputs",
    "bayes_error": "E (F* - <F>)^2 on fresh inputs",
    "generalization_error": "E (Y - <Y>)^2, label noise included",
    "gibbs_error": "E <(F* - F)^2> on fresh inputs",
    "train_mmse": "E (F* - <F>)^2 on the training inputs",
    "mutual_information": "I(weights; data) / samples, in nats",
    "mutual_information_per_dim": "I(weights; data) / input_dim, in nats",
    "log_evidence": "E log Z / samples, in nats",
    "basis": "what the limits rest on: theorem or conjecture",
    "classification_error": "probability that the sign of <Y> is not the label",
    "gibbs_classification_error": "the same for a label drawn by one posterior sample",
    "bias_variance": "variance of an output common to all inputs, counted as known",
    "residual": "violation of the overlap's equation, quadrature included",
}


def theory(
    activation: tuple[str, ...],
    depth: int,
    sample_ratio: float,
    noise_variance: float | None = None,
    channel: Literal["gaussian", "probit", "logistic", "tanh", "relu"] = "gaussian",
    temperature: float | None = None,
    weight_variance: tuple[float, ...] = (1.0,),
    bias_variance: float = 0.0,
    json: bool = False,
) -> int:
    """Predict errors, overlap and mutual information of a Bayes-optimal deep network.

    Example: nishimori theory --activation tanh --depth 2 --sample-ratio 2 --noise-variance 0.1

    Classes without noise: --channel probit --noise-variance 0. The row "basis" says whether the limits are proved.

    Args:
        activation: identity, tanh, tanh2 (tanh 2x), tanh2_nonlinear (tanh 2x without its linear part), erf, erf_sqrt2
            (erf of x over root 2), sin, sign or relu; one for all hidden layers, or one each. relu, not odd, with the
            gaussian channel alone and by conjecture.
        depth: number of hidden layers; 0 is the linear model.
        sample_ratio: training samples per input dimension, alpha = n / d.
        noise_variance: variance of the label noise, Delta; 0 is for probit alone, and logistic takes a temperature.
        channel: how labels are made from the latent output F. gaussian: F + noise; probit: the sign of F + noise;
            logistic: 1 with probability 1 / (1 + exp(-F / temperature)), else -1; tanh, relu: that function of F, +
            noise.
        temperature: of the logistic channel.
        weight_variance: prior variance of all weights, or one of each hidden layer and of the readout.
        bias_variance: prior variance of the biases, 0 for none; others with the gaussian channel alone and by
            conjecture.
        json: print one JSON object and nothing else.
    """
    network = _network(activation, depth, weight_variance, bias_variance)
    try:
        prediction = predict(network, _channel(channel, noise_variance, temperature), sample_ratio, conjecture=True)
    except ValueError as refusal:
        raise BadInput(str(refusal)) from None
    print(_json(prediction) if json else _table(prediction))
    return DONE


def _network(activation: tuple[str, ...], depth: int, weight_variance: tuple[float, ...], bias: float) -> Network:
    if depth < 0:
        raise BadInput(f"--depth {depth}: the number of hidden layers cannot be negative; give 0 or more")
    names = activation[0] if len(activation) == 1 else activation
    variances = weight_variance[0] if len(weight_variance) == 1 else weight_variance
    try:
        return Network(1, (1,) * depth, names, bias_variance=bias, weight_variance=variances)
    except ValueError as refusal:
        raise BadInput(str(refusal)) from None


def _channel(name: str, noise_variance: float | None, temperature: float | None) -> Channel:
    if name == "logistic":
        if temperature is None or noise_variance is not None:
            raise BadInput("--channel logistic takes --temperature and no --noise-variance; give that alone")
        return LogisticChannel(temperature)
    if noise_variance is None or temperature is not None:
        raise BadInput(f"--channel {name} takes --noise-variance and no --temperature; give that alone")
    return channel_named(name, noise_variance)


def _json(prediction: Prediction) -> str:
    return json.dumps(prediction.to_dict(), allow_nan=False)


def _table(prediction: Prediction) -> str:
    values = prediction.to_dict()
    rows = [[name, _text(values[name]), meaning] for name, meaning in MEANINGS.items() if name in values]
    return table(["quantity", "value", "meaning"], rows)


def _text(value: float | str | list[float]) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return " ".join(f"{entry:.6g}" for entry in value)
    return f"{value:.10g}"
