"""A hostile session: float64 by default, NaN in every uninitialised tensor, long tests on request only."""

import os
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest
from processes import ENVIRONMENT, ROOT, nishimori


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--validate", action="store_true", help="also run the long statistical validation tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    skips = []
    if not config.getoption("--validate"):
        skips.append(("validate", pytest.mark.skip(reason="long statistical validation; run with --validate")))
    if any("gpu" in item.keywords for item in items) and not _cuda_is_available():
        skips.append(("gpu", pytest.mark.skip(reason="torch.cuda.is_available() is False; run on a CUDA machine")))
    for item in items:
        for keyword, skip in skips:
            if item.get_closest_marker(keyword):
                item.add_marker(skip)


def _cuda_is_available() -> bool:
    if find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Problems of tests are small: threads would wait for one another, above all beside other work."""
    if find_spec("torch") is None or find_spec("numba") is None:
        return
    import numba
    import torch

    # Numba's first call sets the OpenMP that torch shares to all cores: torch comes second.
    numba.set_num_threads(1)
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def hostile_torch() -> None:
    """Where torch is installed; the theory needs none."""
    if find_spec("torch") is None:
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else deterministic products are refused on CUDA
    import torch

    torch.set_default_dtype(torch.float64)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True  # pyright: ignore[reportAttributeAccessIssue]


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that scripts/quickstart leaves; run once a session, as a newcomer would."""
    out = tmp_path_factory.mktemp("quickstart") / "run"
    done = subprocess.run([str(ROOT / "scripts" / "quickstart"), str(out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"The figure is at {out}/overlay.png" in done.stdout
    return out


@pytest.fixture(scope="session")
def selftest() -> subprocess.CompletedProcess[str]:
    """`nishimori selftest`, all laws, on the CPU; run once a session."""
    return nishimori("selftest", env=ENVIRONMENT | {"CUDA_VISIBLE_DEVICES": ""})
