"""What a valid config leaves unsaid, said; and keys that do not go together, refused."""

import msgspec

from nishimori.description.blocks import blocks_of
from nishimori.description.config import Config, sampler_defaults
from nishimori.description.errors import BadInput
from nishimori.description.inputs import GAUSSIAN, with_input_defaults
from nishimori.description.layers import require_integrable_readout
from nishimori.description.sizes import network_sizes, require_noise, require_weights, sample_count
from nishimori.description.validation import known_kinds

OPTIONAL_SAMPLER_KEYS = (
    "integrator",
    "target",
    "readouts",
    "step_size",
    "num_steps",
    "path_length",
    "target_acceptance",
    "jitter",
    "friction",
    "adjusted",
    "over_relaxed",
    "inverse_temperatures",
)

MOST_BATCHES = 64


def with_sampler_defaults(config: Config) -> Config:
    """What the sampler's kind leaves unsaid, said. Raises BadInput for a key that this kind does not take."""
    section, defaults = config.sampler, sampler_defaults(config.sampler.kind)
    for key in OPTIONAL_SAMPLER_KEYS:
        if key not in defaults and getattr(section, key) is not None:
            raise BadInput(
                f'sampler.{key} does not go with sampler.kind = "{section.kind}"; remove it, or set sampler.kind to '
                f"one of {', '.join(kind for kind in known_kinds() if key in sampler_defaults(kind))}"
            )
    unsaid = {key: value for key, value in defaults.items() if getattr(section, key) is None and value is not None}
    return msgspec.structs.replace(config, sampler=msgspec.structs.replace(section, **unsaid))


def with_inputs(config: Config) -> Config:
    """What [data] leaves unsaid of structured inputs, said."""
    inputs = with_input_defaults(config.data.inputs, config.network.input_dim, "data.inputs")
    return msgspec.structs.replace(config, data=msgspec.structs.replace(config.data, inputs=inputs))


def with_batches(config: Config) -> Config:
    """With an error target, how many batches at most. Raises BadInput for that number alone, and an empty target."""
    run = config.run
    if run.error_target is None:
        if run.most_batches is not None:
            raise BadInput("run.most_batches goes with run.error_target; set that, or remove run.most_batches")
        return config
    if not run.error_target:
        raise BadInput("run.error_target names no estimate; write { bayes_error = 0.01 } for one per cent")
    if "mutual_information" in run.error_target and config.information.method is None:
        raise BadInput("run.error_target names mutual_information, which is not measured; set information.method")
    if config.data.instances < 2:
        raise BadInput("run.error_target needs data.instances = 2 or more: error bars are those over instances")
    most = MOST_BATCHES if run.most_batches is None else run.most_batches
    return msgspec.structs.replace(config, run=msgspec.structs.replace(run, most_batches=most))


def require_sense(config: Config) -> None:
    network_sizes(config)
    sample_count(config)
    blocks_of(config)
    require_noise(config)
    _require_controllable(config)
    sampler = config.sampler
    if sampler.num_steps is not None and sampler.path_length is not None:
        raise BadInput("sampler.num_steps and sampler.path_length are both given; keep one of them")
    kinds = config.observables.layer_overlaps
    if len(set(kinds)) < len(kinds):
        raise BadInput(f"observables.layer_overlaps = {list(kinds)} names one twice; keep each once")
    require_weights(config)
    for key, value, remedy in (
        ("sampler.target", sampler.target, "plain"),
        ("information.method", config.information.method, "ais"),
    ):
        if value == "collapsed":
            require_integrable_readout(config, key, remedy)
    if sampler.target == "collapsed" and config.channel.kind != "gaussian":
        raise BadInput(
            f'sampler.target = "collapsed" does not go with channel.kind = "{config.channel.kind}": the readout is '
            'integrated out for Gaussian noise alone; use "plain"'
        )
    if config.information.method in ("collapsed", "immse") and config.channel.kind != "gaussian":
        raise BadInput(
            f'information.method = "{config.information.method}" does not go with channel.kind = '
            f'"{config.channel.kind}": it rests on Gaussian noise; use "ais" or "chain_rule"'
        )
    if sampler.target == "plain" and sampler.readouts != 1:
        raise BadInput('sampler.readouts goes with sampler.target = "collapsed"; set that, or remove sampler.readouts')


def _require_controllable(config: Config) -> None:
    if config.control.data_sets is None:
        return
    if config.data.inputs != GAUSSIAN and config.control.data_sets:
        raise BadInput("control.data_sets draws data sets with independent inputs; set it to 0, or remove data.inputs")
    if config.channel.kind != "gaussian":
        raise BadInput(
            f'control.data_sets does not go with channel.kind = "{config.channel.kind}": the infinitely wide network '
            "is solved exactly for Gaussian noise alone; remove it"
        )
    if config.sampler.start == "teacher" or (config.sampler.start == "prior" and config.sampler.chains == 1):
        raise BadInput(
            'control.data_sets needs two independent chains; set sampler.start to "both", or to "prior" with two '
            "chains or more"
        )
