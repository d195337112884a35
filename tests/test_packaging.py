"""The wheel and the sdist: what they hold, and that an installed copy works away from the checkout."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("engine", "kernels")
PACKAGES = {"nishimori": ROOT / "engine/nishimori", "nishimori_kernels": ROOT / "kernels/nishimori_kernels"}


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """Standard output of a command that must succeed."""
    without = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(command, cwd=cwd, env=without | environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked."""
    built = tmp_path_factory.mktemp("sdist")
    program = "import sys; from hatchling.build import build_sdist; build_sdist(sys.argv[1])"
    run(sys.executable, "-c", program, built, cwd=ROOT)
    (archive,) = built.glob("nishimori-*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(built, filter="data")
    return built / archive.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the sdist as an installer would."""
    built = tmp_path_factory.mktemp("wheel")
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir")
    run(sys.executable, "-m", "pip", "wheel", *options, built, sdist, cwd=built)
    (file,) = built.glob("nishimori-*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Executables of a fresh environment: the wheel in it and, behind it, this environment's packages."""
    root = tmp_path_factory.mktemp("environment")
    venv.create(root, with_pip=False)
    binaries = root / "bin"
    options = ("--quiet", "--no-deps", "--no-index")
    run(sys.executable, "-m", "pip", "--python", binaries / "python", "install", *options, wheel, cwd=root)
    site = run(binaries / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=root)
    # A plain line adds the folder, not the .pth files in it: an editable install there stays out of sight.
    Path(site.strip(), "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return binaries


def sources_of(package: Path) -> set[str]:
    kept = (path for path in package.rglob("*") if path.suffix in {".py", ".md", ".json"})
    return {path.relative_to(package.parent).as_posix() for path in kept}


def test_the_wheel_holds_the_two_packages_and_nothing_else(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    for package in PACKAGES.values():
        assert sources_of(package) <= names
    readmes = {path.relative_to(ROOT / "kernels").as_posix() for path in (ROOT / "kernels").rglob("README.md")}
    assert readmes and readmes <= names
    assert not [name for name in names if name.endswith(".pyc")]


def test_the_wheel_has_the_entry_point_and_the_licence(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        texts = {Path(name).name: archive.read(name).decode() for name in archive.namelist() if ".dist-info/" in name}
    assert "nishimori = nishimori.cli:main" in texts["entry_points.txt"]
    assert "Apache License" in texts["LICENSE"]
    assert "License-Expression: Apache-2.0" in texts["METADATA"]


def test_the_sdist_holds_what_a_build_and_a_test_need(sdist: Path):
    needed = ("pyproject.toml", "constraints.txt", "README.md", "LICENSE", "tests", "scripts/test", *SOURCES)
    assert [name for name in needed if not (sdist / name).exists()] == []
    assert not (sdist / ".venv").exists()


def test_neither_source_root_is_a_package():
    assert [source for source in SOURCES if (ROOT / source / "__init__.py").exists()] == []


def test_an_installed_copy_works_from_another_directory(installed: Path, tmp_path: Path):
    program = "import nishimori, nishimori_kernels; print(nishimori.__file__); print(nishimori_kernels.__file__)"
    files = run(installed / "python", "-c", program, cwd=tmp_path).split()
    assert len(files) == 2
    assert all(Path(file).is_relative_to(installed.parent) for file in files)
    assert "overlay" in run(installed / "nishimori", "--help", cwd=tmp_path)


def test_the_source_roots_work_with_pythonpath_alone(tmp_path: Path):
    program = "import nishimori, nishimori_kernels; print(nishimori.__file__); print(nishimori_kernels.__file__)"
    path = os.pathsep.join(str(ROOT / source) for source in SOURCES)
    files = run(sys.executable, "-c", program, cwd=tmp_path, PYTHONPATH=path).split()
    assert [Path(file).parent for file in files] == list(PACKAGES.values())
    assert "overlay" in run(sys.executable, "-m", "nishimori.cli", "--help", cwd=tmp_path, PYTHONPATH=path)
