"""From an experiment's keys to the objects they name."""

from experiments import changed

from nishimori.description.experiment import expand
from nishimori.models.collapsed import CollapsedPosterior
from nishimori.samplers.pcn import PCN
from nishimori.sampling.build import problem_of, sampler_of, target_of


def test_over_relaxation_and_readouts_reach_what_is_sampled() -> None:
    keys = {"kind": "pcn", "step_size": 0.4, "over_relaxed": True, "target": "collapsed", "readouts": 3}
    (point,) = expand(changed(**{f"sampler__{key}": value for key, value in keys.items()})).points
    target = target_of(point.config, problem_of(point.config, point.identity))
    assert isinstance(target, CollapsedPosterior) and target.readouts == 3
    assert sampler_of(point.config) == PCN(step_size=0.4, over_relaxed=True)
