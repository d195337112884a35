"""A small run, in one go and committed segment by segment (see `continued`)."""

from pathlib import Path

import pytest
from continued import Case, journal, segments

from nishimori.sampling import Run


@pytest.fixture(scope="module")
def case() -> Case:
    return Case.of()


@pytest.fixture(scope="module")
def uninterrupted(case: Case) -> Run:
    return case.run()


@pytest.fixture(scope="module")
def finished(case: Case, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("finished")
    case.run(journal(home))
    assert len(segments(home)) > 6
    return home
