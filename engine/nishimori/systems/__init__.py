"""Experiments: objects with `parameters`, `run_point` and `predict`, made of the layers below."""

from nishimori.systems.base import System
from nishimori.systems.matched_teacher import MatchedTeacher

SYSTEMS: dict[str, System] = {"matched_teacher": MatchedTeacher()}

__all__ = ["SYSTEMS", "MatchedTeacher", "System"]
