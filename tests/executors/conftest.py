"""The grid that every engine is held to."""

from pathlib import Path

import pytest
from grids import POINTS, digests, run


@pytest.fixture(scope="session")
def one_by_one(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests by point, of the grid done one after the other in one process."""
    home: Path = tmp_path_factory.mktemp("one")
    done = run(home)
    assert done.returncode in (0, 3), done.stderr
    found = digests(home)
    assert len(found) == POINTS
    return found
