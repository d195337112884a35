"""Sizes and noise that the schema of an experiment file cannot check key by key."""

from nishimori.description.config import Config
from nishimori.description.errors import BadInput


def require_noise(config: Config) -> None:
    """Raises BadInput unless the channel has the one of noise_variance and temperature that its kind takes."""
    kind = config.channel.kind
    given = {"noise_variance": config.channel.noise_variance, "temperature": config.channel.temperature}
    wanted, other = ("temperature", "noise_variance") if kind == "logistic" else ("noise_variance", "temperature")
    if given[wanted] is None:
        raise BadInput(f'channel.{wanted} is missing; add it, as channel.kind = "{kind}" takes one')
    if given[other] is not None:
        raise BadInput(f'channel.{other} does not go with channel.kind = "{kind}"; give channel.{wanted} alone')


def network_sizes(config: Config) -> tuple[int, ...]:
    """Hidden widths. Raises BadInput unless exactly one of widths and depth gives them."""
    network = config.network
    if (network.widths is None) == (network.depth is None):
        raise BadInput("network needs either widths or depth; give one of them")
    if network.widths is not None:
        if network.width_ratios is not None:
            raise BadInput("network.width_ratios goes with depth; remove it or replace widths by depth")
        return network.widths
    depth, ratios = network.depth or 0, 1.0 if network.width_ratios is None else network.width_ratios
    by_layer = ratios if isinstance(ratios, tuple) else (ratios,) * depth
    if len(by_layer) != depth:
        raise BadInput(f"network.width_ratios has {len(by_layer)} entries for depth {depth}; give one a hidden layer")
    widths = tuple(round(ratio * network.input_dim) for ratio in by_layer)
    if any(width < 1 for width in widths):
        raise BadInput("network.width_ratios makes a layer without units; raise it or input_dim")
    return widths


def sample_count(config: Config) -> int:
    """Training samples an instance. Raises BadInput unless exactly one of sample_ratio and samples gives one or
    more."""
    data = config.data
    if (data.sample_ratio is None) == (data.samples is None):
        raise BadInput("data needs either sample_ratio or samples; give one of them")
    if data.samples is not None:
        return data.samples
    ratio = data.sample_ratio or 0.0
    samples = round(ratio * config.network.input_dim)
    if samples < 1:
        raise BadInput(
            f"data.sample_ratio = {ratio:g} gives zero samples at network.input_dim = "
            f"{config.network.input_dim}; raise one of them"
        )
    return samples


def require_weights(config: Config) -> None:
    """Raises BadInput where a fixed readout leaves no weight to draw."""
    if config.network.readout == "fixed" and not network_sizes(config):
        raise BadInput('network.readout = "fixed" leaves a network without hidden layers no weights; add a layer')
