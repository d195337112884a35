"""Layer overlaps from an experiment file: in the summary, in the figure and in a run read back."""

import json
from pathlib import Path

from experiments import changed, write
from processes import nishimori

import nishimori as nm


def test_layer_overlaps_are_run_drawn_and_read_back(tmp_path: Path) -> None:
    settings = {"network__input_dim": 6, "observables__layer_overlaps": ["weights", "features", "kernels"]}
    experiment, out = write(tmp_path / "e.toml", changed(**settings, run__draws=10)), tmp_path / "out"
    done = nishimori("run", str(experiment), "--out", str(out), "--json")
    assert done.returncode in (0, 3), done.stderr
    (summary,) = json.loads(done.stdout)["points"]
    names = {"weight_overlap_1", "weight_overlap_2", "feature_overlap_1", "kernel_overlap_1"}
    for prefix in ("", "replica_", "prior_"):
        assert {prefix + name for name in names} <= summary["estimates"].keys()
    loaded = nm.load(out)
    for name in names:
        assert loaded.estimates[name].value == summary["estimates"][name]["value"]
        assert loaded.estimates[f"prior_{name}"].value == summary["estimates"][f"prior_{name}"]["value"]
    assert loaded.analysis.verdict.passed == summary["verdict"]["passed"]
    assert {check.name: check.z for check in loaded.checks if check.name == "coverage"} == {
        "coverage": summary["checks"]["coverage"]["z"]
    }
