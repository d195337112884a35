"""`nishimori run --device cuda` without a GPU: command line, dispatch, graphs and staging as on one; only what runs a
launch is Triton's interpreter."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from experiments import changed, write
from fake_cuda import READS_A_VALUE, Graph, install
from processes import ENVIRONMENT
from torch.utils._python_dispatch import TorchDispatchMode

from nishimori.cli import main
from nishimori_kernels.dispatch import interpreted

pytestmark = [
    pytest.mark.triton,
    pytest.mark.skipif(not interpreted(), reason="stands for a GPU in Triton's interpreter; set TRITON_INTERPRET=1"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),  # numpy's, of NaN and infinity in the interpreter
]


@pytest.fixture(autouse=True)
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)


def experiment(folder: Path, **settings: Any) -> Path:
    """Two transitions of warm-up and six draws of a network of 4 inputs and 4 units."""
    small = {
        "network__input_dim": 4,
        "data__sample_ratio": 2.0,
        "data__instances": 1,
        "data__test_samples": 5,
        "sampler__step_size": 0.1,
        "sampler__num_steps": 2,
        "run__warmup": 2,
        "run__draws": 6,
    }
    return write(folder / "experiment.toml", changed(**(small | settings)))


def draws_of(out: Path) -> dict[str, np.ndarray]:
    (segment,) = out.glob("points/*/segments/*.h5")
    with h5py.File(segment) as file:
        names: list[str] = []
        file.visit(names.append)
        return {name: np.asarray(file[name]) for name in names if name.startswith(("draws/", "statistics/"))}


def on_the_cpu(path: Path, out: Path) -> dict[str, np.ndarray]:
    """The same run by Numba and torch, in a process of its own."""
    environment = {name: value for name, value in ENVIRONMENT.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "nishimori.cli", "run", str(path), "--out", str(out), "--device", "cpu"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode in (0, 3), done.stderr
    return draws_of(out)


GENERAL = {
    "network__depth": 2,
    "network__activation": ["tanh", "erf"],
    "network__bias_variance": 0.3,
    "network__weight_variance": [1.5, 0.8, 1.2],
}


@pytest.mark.parametrize(
    ("integrator", "channel", "network"),
    [
        ("leapfrog", {"noise_variance": 0.1}, {}),
        ("minimum_norm_rotation", {"noise_variance": 0.1}, {}),
        ("leapfrog", {"noise_variance": 0.1}, GENERAL),
        ("leapfrog", {"kind": "probit", "noise_variance": 0.1}, {}),
        pytest.param("leapfrog", {"kind": "logistic", "temperature": 0.2}, {}, marks=pytest.mark.validate),
        pytest.param("leapfrog", {"kind": "relu", "noise_variance": 0.1}, {}, marks=pytest.mark.validate),
    ],
    ids=str,
)
def test_the_whole_command_gives_what_the_cpu_gives(
    integrator: str, channel: dict[str, Any], network: dict[str, Any], tmp_path: Path
):
    path = experiment(tmp_path, sampler__integrator=integrator, channel=channel, **network)
    assert main(["run", str(path), "--out", str(tmp_path / "out"), "--device", "cuda"]) in (0, 3)
    assert Graph.replays > 16, "transitions are replayed"
    manifest = json.loads((tmp_path / "out" / "run.json").read_text())
    assert manifest["experiment"]["run"]["device"] == "cuda" and len(manifest["kernel_configs"]) == 12
    found, expected = draws_of(tmp_path / "out"), on_the_cpu(path, tmp_path / "cpu")
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-3, atol=1e-4, err_msg=name)
    np.testing.assert_array_equal(found["statistics/num_steps"], expected["statistics/num_steps"])


@pytest.mark.parametrize("precision", ["tf32", "fp16", "bf16x3"])
def test_coarse_forces_go_the_same_way(precision: str, tmp_path: Path):
    path = experiment(tmp_path, run__precision=precision, network__depth=2)
    assert main(["run", str(path), "--out", str(tmp_path / "out"), "--device", "cuda"]) in (0, 3)
    assert np.isfinite(draws_of(tmp_path / "out")["statistics/energy_error"]).all()


class ValuesRead(TorchDispatchMode):
    """Counts what would make the host wait for the GPU."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        ValuesRead.count += func is READS_A_VALUE
        return func(*args, **(kwargs or {}))


LONG = [pytest.param(kind, marks=pytest.mark.validate) for kind in ("probit", "logistic", "tanh")]


@pytest.mark.parametrize("kind", ["gaussian", *LONG])
def test_more_transitions_read_no_more_values(kind: str):
    import nishimori as nm
    from nishimori.description.channels import channel_named

    network, channel = nm.Network(3, (3,), "tanh"), channel_named(kind, 0.1)
    target = nm.Posterior(nm.matched_teacher(network, channel, 4, test_samples=2), device="cuda")
    read = []
    for draws in (10, 20):
        record = nm.CalibrationRecord((0,), (0.1,), 1)
        with ValuesRead():
            before = ValuesRead.count
            nm.sample(target, nm.HMC(), chains=1, warmup=0, draws=draws, calibration=record)
            read.append(ValuesRead.count - before)
    assert read[0] == read[1]
