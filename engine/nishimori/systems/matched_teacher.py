"""The matched teacher: a deep network learns from a network of its own kind, and its posterior is Bayes-optimal; and,
for contrast, from one that [teacher] makes another."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from nishimori import theory
from nishimori.comparison.align import z_scores
from nishimori.comparison.series import value_of
from nishimori.comparison.summaries import SCHEMA
from nishimori.description import Network
from nishimori.description.build import channel_of, network_of
from nishimori.description.channels import Channel, channel_named
from nishimori.description.config import Config, to_plain
from nishimori.description.errors import BadInput
from nishimori.description.experiment import resolved
from nishimori.description.identity import identity
from nishimori.description.inputs import input_parameters, inputs_named
from nishimori.description.sizes import sample_count
from nishimori.models.named_moments import spectrum_named
from nishimori.systems.batches import Outcome, sampled
from nishimori.systems.branches import branch_estimates, disagreement, sized
from nishimori.systems.mismatch import names_teacher, predict_apart, with_teacher_parameters
from nishimori.systems.point_audit import audit_point
from nishimori.systems.point_blocks import moved_block
from nishimori.systems.point_information import summary_of
from nishimori.systems.point_sampling import calibrated, checks_in_experiment, sample_point
from nishimori.theory.branches import branch_predictions, specialises

if TYPE_CHECKING:
    from nishimori.chains.writers import PointWriter
    from nishimori.measurement.error_bars import Estimate
    from nishimori.sampling.audit import Audited

DIGESTED = ("draws", "statistics", "moments")
"""With the final state, what a summary's digest covers: nothing that depends on how the run was cut into files."""


class MatchedTeacher:
    """Teacher and student share architecture, prior and channel (arXiv 2505.03577)."""

    schema = Config
    papers = ("arXiv 2505.03577", "arXiv 2307.05635")

    def resolve(self, document: Mapping[str, Any]) -> Config:
        return resolved(document)

    def parameters(self, config: Config) -> dict[str, Any]:
        """What names a point in tables, joins and figures; sample_ratio is the realised n / d. Readout and
        channel are named where they are not Gaussian, variances of weights and biases where they are not 1 and 0, and
        activations are a list where layers differ; the noise variance of the logistic channel is that of the
        noise inside, (pi temperature)^2 / 3. What the teacher has on its own is named teacher_<parameter>."""
        return with_teacher_parameters(config, self._own_parameters)

    def _own_parameters(self, config: Config) -> dict[str, Any]:
        network, kind = network_of(config), config.channel.kind
        return {
            "activation": network.activation_names,
            "depth": network.depth,
            "width_ratios": [width / network.input_dim for width in network.widths],
            "input_dim": network.input_dim,
            "sample_ratio": sample_count(config) / network.input_dim,
            "noise_variance": channel_of(config).noise_variance,
            **({} if kind == "gaussian" else {"channel": kind}),
            **({} if network.readout == "gaussian" else {"readout": network.readout}),
            **({} if network.weight_variance == 1 else {"weight_variance": network.weight_variance}),
            **({} if network.bias_variance == 0 else {"bias_variance": network.bias_variance}),
            **input_parameters(config.data.inputs),
        }

    def predict(self, config: Config) -> dict[str, Any]:
        """Theory by the names the estimates have: the equivalent linear model, by conjecture where no theorem covers
        it, or both branches of a network whose hidden units specialise (`theory.branches`)."""
        return self.predict_at(self.parameters(config))

    def predict_at(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The same for any parameters, between the points too; but for branches, sizes enter through their ratios
        alone. Of a student that differs from its teacher, a conjecture (see `nishimori.theory.mismatch`)."""
        if names_teacher(parameters):
            _require_independent(parameters, "a student unlike its teacher")
            return predict_apart(parameters, self._predict_matched, described)
        return self._predict_matched(parameters)

    def _predict_matched(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        network, channel = described(parameters)
        if specialises(network):
            _require_independent(parameters, "branches")
            return branch_predictions(sized(network, parameters), channel, parameters["sample_ratio"])
        spectrum = spectrum_named(inputs_named(parameters), parameters["input_dim"])
        prediction = theory.predict(
            network, channel, parameters["sample_ratio"], conjecture=True, input_spectrum=spectrum
        ).to_dict()
        same = {"replica_overlap": "overlap", "replica_function_overlap": "function_overlap"}
        return {**prediction, **{name: prediction[of] for name, of in same.items()}}

    def require_runnable(self, config: Config) -> None:
        """Raises BadInput for a sampler that cannot be built, and a device or precision that is not there."""
        from nishimori.models.device import resolve_device
        from nishimori.sampling.build import require_precision, sampler_of

        try:
            resolve_device(config.run.device)
        except ValueError as refusal:
            raise BadInput(str(refusal)) from None
        if config.sampler.kind != "auto":
            sampler_of(config)
        require_precision(config)

    def calibrates(self, config: Config) -> bool:
        """Every point is."""
        del config
        return True

    def run_point(self, config: Config, writer: "PointWriter") -> dict[str, Any]:
        """Sample a point, publish its files and return its summary."""
        from nishimori.chains.segments import digest
        from nishimori.sampling.states import STATE

        started = time.monotonic()
        writer.publish_config(to_plain(config))
        outcome = sampled(config, writer, sample_point, checks_in_experiment(config, writer))
        segment = outcome.parts.segment
        summary = {
            **self._summary(config, outcome),
            "digest": digest({**{group: segment[group] for group in DIGESTED}, STATE: outcome.parts.state[STATE]}),
            "device": str(outcome.run.target.device),
            "seconds": round(time.monotonic() - started, 3),
        }
        writer.publish_summary(summary)
        return summary

    def calibrate_point(self, config: Config, writer: "PointWriter") -> None:
        """Publish the calibration record of a point, unless it is there."""
        from nishimori.sampling.build import problem_of

        calibrated(config, problem_of(config, identity(config)), writer)

    def run_block(self, config: Config, writer: "PointWriter", number: int) -> None:
        """Sample one block of a point that is calibrated, and publish its segments and states."""
        record = writer.calibration()
        if record is None:
            raise BadInput(f"{writer.directory} is not calibrated; give the run the same command again")
        moved_block(config, writer, record, number)

    def audit_point(self, config: Config, home: Path, seed: int) -> "tuple[Path, Audited] | None":
        """A random committed segment, computed again."""
        self.require_runnable(config)
        return audit_point(config, home, seed)

    def _summary(self, config: Config, outcome: Outcome) -> dict[str, Any]:
        run, information = outcome.run, outcome.information
        predicted, refusal = self._theory(config)
        branches = branch_estimates(run, predicted or {})
        estimates = _plain({**outcome.estimates, **branches})
        failures = [
            *disagreement(run, predicted or {}, branches),
            *run.verdict.failures,
            *(information.alarms if information else ()),
            *outcome.shortfalls,
        ]
        instances = len(run.target.instances)
        return {
            "schema": SCHEMA,
            "id": identity(config),
            "system": config.system.kind,
            "parameters": self.parameters(config),
            "instances": instances,
            "estimates": estimates,
            "theory": predicted,
            **({"theory_refusal": refusal} if refusal else {}),
            "z_scores": z_scores(estimates, predicted or {}, instances),
            "checks": {check.name: asdict(check) for check in run.checks},
            "verdict": {
                "passed": run.verdict.passed and not failures,
                "failures": failures,
                "criteria": [asdict(criterion) for criterion in run.verdict.criteria],
            },
            "diagnostics": {name: value for name, value in run.diagnostics().items() if name != "verdict"},
            **({"information": summary_of(information)} if information else {}),
            "calibration": {
                "num_steps": run.calibration.num_steps,
                "path_length": run.calibration.path_length,
                "realised_path_length": run.realised_path_length,
                "choices": [msgspec.structs.asdict(choice) for choice in run.calibration.choices],
                "precisions": [msgspec.structs.asdict(choice) for choice in run.calibration.precisions],
            },
        }

    def _theory(self, config: Config) -> tuple[dict[str, Any] | None, str]:
        try:
            return self.predict(config), ""
        except ValueError as refusal:
            return None, str(refusal)


def _require_independent(parameters: Mapping[str, Any], what: str) -> None:
    if "inputs" in parameters:
        raise ValueError(f"theory of {what} is known for independent inputs alone")


def described(parameters: Mapping[str, Any]) -> tuple[Network, Channel]:
    """Network and channel of these parameters; the widths are ratios times a scale."""
    named = {name: value_of(parameters, name) for name in ("readout", "weight_variance", "bias_variance")}
    network = Network(1, (1,) * parameters["depth"], parameters["activation"], **named)
    return network, channel_named(parameters.get("channel", "gaussian"), parameters["noise_variance"])


def _plain(estimates: "Mapping[str, Estimate]") -> dict[str, dict[str, float]]:
    return {
        name: {"value": estimate.value, "standard_error": estimate.standard_error}
        for name, estimate in estimates.items()
    }
