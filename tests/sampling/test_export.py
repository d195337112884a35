"""`nishimori export`: the file is the run, every axis is named, and nothing half-written is left."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import h5py
import msgspec
import numpy as np
import pytest
from experiments import changed, write

import nishimori as nm
from nishimori.cli import main
from nishimori.description.config import Config
from nishimori.description.identity import identity
from nishimori.sampling import export as writing
from nishimori.sampling.groups import Group, Variable

EXPERIMENT = changed(
    network__input_dim=6,
    data__instances=3,
    data__test_samples=5,
    sampler__num_steps=4,
    sampler__step_size=0.1,
    run__keep="position",
    run__draws=12,
    run__warmup=4,
    run__thin=2,
)
XARRAY_OPENS_HDF5 = find_spec("h5netcdf") is not None or find_spec("netCDF4") is not None


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("export")
    assert main(["run", str(write(home / "e.toml", EXPERIMENT)), "--out", str(home / "run")]) in (0, 3)
    return home / "run"


@pytest.fixture(scope="module")
def exported(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("files") / "deeper" / "samples.h5"
    assert main(["export", str(finished), str(path)]) == 0
    return path


def datasets(path: Path) -> dict[str, tuple[tuple[str, ...], np.ndarray, dict[str, str]]]:
    """Name -> dimensions, values and attributes of every variable that is no coordinate; the scales are checked."""
    found = {}
    with h5py.File(path, "r") as file:
        for group, home in ((group, file[group]) for group in file):
            assert isinstance(home, h5py.Group)
            for name, dataset in home.items():
                if dataset.is_scale:
                    assert dataset.ndim == 1 and dataset.attrs["NAME"] == np.bytes_(name)
                    continue
                scales = [list(dimension.values()) for dimension in dataset.dims]
                assert all(len(attached) == 1 for attached in scales), name
                assert tuple(len(attached[0]) for attached in scales) == dataset.shape
                assert all(attached[0].parent == home for attached in scales)
                names = tuple(attached[0].name.rpartition("/")[2] for attached in scales)
                text = dataset.dtype.kind == "O"
                found[f"{group}/{name}"] = names, (dataset.asstr() if text else dataset)[()], dict(dataset.attrs)
    return found


def the_point(run: Path) -> Path:
    (home,) = run.glob("points/*")
    return home


def test_the_file_holds_what_the_datatree_of_the_run_holds(finished: Path, exported: Path):
    found, tree = datasets(exported), nm.load(finished).to_datatree()
    names = {f"{group}/{name}" for group, node in tree.children.items() for name in node.data_vars}
    assert names == {name for name in found if not name.startswith(("estimates/", "theory/"))}
    for name in names:
        dimensions, values, attributes = found[name]
        expected = tree[name]
        assert dimensions == expected.dims
        np.testing.assert_array_equal(values, expected.to_numpy())
        assert (attributes.get("dtype") == "bool") == (expected.dtype == bool)
    assert found["posterior/position"][0] == ("chain", "draw", "instance", "position_dim_0")
    members = [found[f"constant_data/{name}_chain"][1].tolist() for name in ("first", "second")]
    assert members == [[0], [1]]


def test_arviz_can_take_groups_of_draws_as_a_whole(exported: Path):
    sampled = {"posterior": ("chain", "draw"), "sample_stats": ("chain", "draw"), "pairs": ("pair", "draw")}
    found = [(name.partition("/")[0], dimensions[:2]) for name, (dimensions, _, _) in datasets(exported).items()]
    assert {group for group, _ in found} > sampled.keys()
    assert all(dimensions == sampled[group] for group, dimensions in found if group in sampled)


def test_statistics_are_those_of_the_transitions_that_were_drawn(finished: Path, exported: Path):
    every = nm.load(finished).statistics["energy_error"]
    drawn = datasets(exported)["sample_stats/energy_error"][1]
    np.testing.assert_array_equal(drawn, np.moveaxis(every[:, :, [4 + 2 * draw + 1 for draw in range(12)]], 0, 2))


def test_estimates_theory_and_provenance_come_along(finished: Path, exported: Path):
    found, home = datasets(exported), the_point(finished)
    summary = json.loads((home / "summary.json").read_text(encoding="utf-8"))
    for name, estimate in summary["estimates"].items():
        np.testing.assert_array_equal(found[f"estimates/{name}"][1], [estimate["value"], estimate["standard_error"]])
    for name, value in summary["theory"].items():
        if name != "basis":
            np.testing.assert_array_equal(found[f"theory/{name}"][1], value)
    with h5py.File(exported, "r") as file:
        assert file["theory"].attrs["basis"] == summary["theory"]["basis"]
        assert identity(msgspec.json.decode(str(file.attrs["config"]), type=Config)) == home.name == file.attrs["id"]
        assert {"nishimori", "torch"} <= json.loads(str(file.attrs["versions"])).keys()
        assert json.loads(str(file.attrs["verdict"])) == summary["verdict"]


def test_a_point_by_itself_is_exported_without_the_versions(finished: Path, tmp_path: Path):
    alone = tmp_path / the_point(finished).name
    shutil.copytree(the_point(finished), alone)
    assert main(["export", str(alone), str(tmp_path / "s.h5")]) == 0
    with h5py.File(tmp_path / "s.h5", "r") as file:
        assert "versions" not in file.attrs and "config" in file.attrs


@pytest.mark.skipif(not XARRAY_OPENS_HDF5, reason="xarray reads HDF5 through h5netcdf or netCDF4; install one of them")
def test_xarray_opens_it(finished: Path, exported: Path):
    import xarray

    tree, expected = xarray.open_datatree(exported), nm.load(finished).to_datatree()
    for name in expected.children:
        xarray.testing.assert_identical(tree[name].to_dataset().load(), expected[name].to_dataset())


def test_long_texts_and_names_of_all_alphabets_fit(tmp_path: Path):
    text = "Δ" * 100_000
    group = Group.of({"word": Variable(("layer",), np.array(["é", "Δ"]))}, {}, told=text)
    writing.write_groups(tmp_path / "a.h5", {"theory": group}, {"config": text})
    with h5py.File(tmp_path / "a.h5", "r") as file:
        assert file.attrs["config"] == file["theory"].attrs["told"] == text
    assert datasets(tmp_path / "a.h5")["theory/word"][1].tolist() == ["é", "Δ"]


def test_a_file_is_replaced_on_request_alone(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "s.h5"
    path.write_text("mine", encoding="utf-8")
    assert main(["export", str(finished), str(path)]) == 2
    assert "--force" in capsys.readouterr().err and path.read_text(encoding="utf-8") == "mine"
    assert main(["export", str(finished), str(path), "--force"]) == 0
    assert "posterior/overlap" in datasets(path)


def test_a_failure_on_the_way_leaves_nothing(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def full(home: h5py.Group, group: Group) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(writing, "_write", full)
    assert main(["export", str(finished), str(tmp_path / "s.h5")]) == 2
    assert "no space left" in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda run: shutil.rmtree(run / "points"), ("holds no run", "--out")),
        (lambda run: (the_point(run) / "summary.json").unlink(), ("not finished", "same command")),
        (lambda run: shutil.copytree(the_point(run), run / "points" / "b"), ("2 points", "--point")),
        (lambda run: next(run.glob("points/*/segments/*")).write_bytes(b"x"), ("cannot be read", "restore")),
        (lambda run: next(run.glob("points/*/calibration.json")).unlink(), ("calibration.json is missing", "run")),
        (lambda run: the_point(run).rename(run / "points" / "other"), ("is that of point", "as it was written")),
    ],
)
def test_what_is_no_finished_point_is_refused(finished: Path, tmp_path: Path, capsys, spoil, words):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    spoil(run)
    assert main(["export", str(run), str(tmp_path / "s.h5")]) == 2
    message = capsys.readouterr().err
    assert all(word in message for word in words), message
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_points_are_named_and_targets_can_be_written(finished: Path, tmp_path: Path, capsys):
    name, target = the_point(finished).name, str(tmp_path / "s.h5")
    assert main(["export", str(finished), target, "--point", "0" * 12]) == 2
    assert name in capsys.readouterr().err
    assert main(["export", str(finished), target, "--point", name]) == 0
    assert main(["export", str(the_point(finished)), target, "--force", "--point", name]) == 0
    assert main(["export", str(finished), str(tmp_path)]) == 2
    assert "is a directory" in capsys.readouterr().err
    assert main(["export", str(finished), str(Path(target) / "below.h5")]) == 2
    assert "cannot be written" in capsys.readouterr().err
