"""The mutual information beside a run: its file, its estimates, its figure."""

import json
from pathlib import Path

import pytest
from experiments import changed, write
from processes import nishimori

from nishimori.description.information import information_defaults

FEW = {
    "collapsed": {"rungs": 4},
    "immse": {"nodes": 3, "warmup": 10, "draws": 12},
}


@pytest.mark.parametrize("method", FEW)
def test_a_run_measures_records_and_draws_it(method: str, tmp_path: Path) -> None:
    settings = {f"information__{key}": value for key, value in FEW[method].items()}
    experiment = write(tmp_path / "a.toml", changed(information__method=method, **settings))
    out = tmp_path / "out"
    done = nishimori("run", str(experiment), "--out", str(out))
    assert done.returncode in (0, 3), done.stderr
    assert "mutual_information against theory over 1 points" in done.stdout
    (path,) = out.glob("points/*/summary.json")
    summary, recorded = json.loads(path.read_text()), json.loads((path.parent / "information.json").read_text())
    assert recorded["method"] == method
    assert recorded["settings"] == {**information_defaults(method), **FEW[method]}
    if method == "immse":
        assert len(recorded["integrand"]["nodes"]) == 3 and recorded["evidence"] is None
    else:
        assert recorded["integrand"] is None and len(recorded["evidence"]["lower"]) == summary["instances"]
    estimate = summary["estimates"]["mutual_information"]
    assert estimate["value"] == pytest.approx(recorded["controlled"]["middle"]["value"])
    assert estimate["standard_error"] >= recorded["controlled"]["middle"]["standard_error"] > 0
    assert summary["estimates"]["mutual_information_per_dim"]["value"] == pytest.approx(estimate["value"])
    assert summary["estimates"]["mutual_information"].keys() == {"value", "standard_error"}
    assert {"mutual_information", "mutual_information_per_dim", "log_evidence"} <= summary["z_scores"].keys()
    assert summary["information"]["method"] == method
    assert set(summary["information"]["alarms"]) <= set(summary["verdict"]["failures"])
    drawn = nishimori("overlay", str(out), "--observable", "mutual_information", "--json")
    assert drawn.returncode == 0, drawn.stderr
    (row,) = json.loads(drawn.stdout)["points"]
    assert row["value"] == estimate["value"] and row["prediction"] == summary["theory"]["mutual_information"]
