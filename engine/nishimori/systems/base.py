"""What an experiment must offer to be run, predicted and compared."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from nishimori.chains.writers import PointWriter
    from nishimori.sampling.audit import Audited


class System(Protocol):
    """`resolve` makes a config of a document without a sweep: a struct of type `schema` with `system.kind` and a `run`
    that has `device`, `blocks` and `error_target`. `papers` are what the system is of. `parameters` name a point,
    `require_runnable` raises BadInput for what the schema cannot see, `run_point` samples the point, publishes its
    files and returns its summary; `run_block`, and before it `calibrate_point` where it `calibrates`, do parts of that
    before, elsewhere. `predict` gives its theory by the names of the estimates, `predict_at` the same between points,
    and `audit_point` computes a random segment of what `run_point` published again (see `point_audit`).

    Importing a system never imports torch; `require_runnable` and what samples do. Predictions raise ValueError, with a
    sentence, where there is no theory.
    """

    @property
    def schema(self) -> type: ...

    @property
    def papers(self) -> tuple[str, ...]: ...

    def resolve(self, document: Mapping[str, Any]) -> Any: ...

    def parameters(self, config: Any) -> dict[str, Any]: ...

    def require_runnable(self, config: Any) -> None: ...

    def predict(self, config: Any) -> dict[str, Any]: ...

    def predict_at(self, parameters: Mapping[str, Any]) -> dict[str, Any]: ...

    def calibrates(self, config: Any) -> bool: ...

    def run_point(self, config: Any, writer: "PointWriter") -> dict[str, Any]: ...

    def calibrate_point(self, config: Any, writer: "PointWriter") -> None: ...

    def run_block(self, config: Any, writer: "PointWriter", number: int) -> None: ...

    def audit_point(self, config: Any, home: Path, seed: int) -> "tuple[Path, Audited] | None": ...
