"""What an experiment must offer to be run, predicted and compared."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from nishimori.description.config import Config

if TYPE_CHECKING:
    from nishimori.chains.writers import PointWriter


class System(Protocol):
    """`parameters` name a point, `run_point` samples it, publishes its files and returns its summary, `predict` gives
    its theory by the names of the estimates, `predict_at` the same between points.

    Importing a system never imports torch; only `run_point` does. Predictions raise ValueError, with a sentence, where
    there is no theory.
    """

    def parameters(self, config: Config) -> dict[str, Any]: ...

    def predict(self, config: Config) -> dict[str, Any]: ...

    def predict_at(self, parameters: Mapping[str, Any]) -> dict[str, Any]: ...

    def run_point(self, config: Config, writer: "PointWriter") -> dict[str, Any]: ...
