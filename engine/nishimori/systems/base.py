"""What an experiment must offer to be run, predicted and compared."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nishimori.description.config import Config

if TYPE_CHECKING:
    from nishimori.chains.writers import PointWriter
    from nishimori.sampling.audit import Audited


class System(Protocol):
    """`parameters` name a point, `require_runnable` raises BadInput for what the schema cannot see, `run_point` samples
    the point, publishes its files and returns its summary, `predict` gives its theory by the names of the estimates,
    `predict_at` the same between points, `audit_point` computes a random segment of what `run_point` published again
    (see `point_audit`).

    Importing a system never imports torch; only `require_runnable`, `run_point` and `audit_point` do. Predictions raise
    ValueError, with a sentence, where there is no theory.
    """

    def parameters(self, config: Config) -> dict[str, Any]: ...

    def require_runnable(self, config: Config) -> None: ...

    def predict(self, config: Config) -> dict[str, Any]: ...

    def predict_at(self, parameters: Mapping[str, Any]) -> dict[str, Any]: ...

    def run_point(self, config: Config, writer: "PointWriter") -> dict[str, Any]: ...

    def audit_point(self, config: Config, home: Path, seed: int) -> "tuple[Path, Audited] | None": ...
