"""Half an hour of sampling that commits all the time: memory stays, files are as many as predicted, and a commit costs
little."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from experiments import changed, write
from processes import ENVIRONMENT

import nishimori as nm
from nishimori.chains.progress import silent
from nishimori.sampling.byte_counts import states_kept

MINUTES, WARM = 30, 5
LARGEST_SLOPE = 1.0
"""MiB an hour."""


def resident(pid: int) -> float:
    """MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@pytest.mark.validate
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc tells resident memory; run on Linux")
def test_memory_and_files_of_half_an_hour(tmp_path: Path) -> None:
    settings = {"run__warmup": 10, "run__draws": 2_000_000, "run__segment_seconds": 0.2, "data__instances": 2}
    experiment, out = write(tmp_path / "e.toml", changed(**settings)), tmp_path / "run"
    command = [sys.executable, "-m", "nishimori.cli", "run", str(experiment), "--out", str(out)]
    limit = ["--wall-time", str(60 * MINUTES)]
    process = subprocess.Popen(
        [*command, *limit],
        env=ENVIRONMENT | dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"),
        stderr=subprocess.DEVNULL,
    )
    started, seen = time.monotonic(), []
    while process.poll() is None:
        time.sleep(5)
        seconds = time.monotonic() - started
        if process.poll() is None and seconds > 60 * WARM:
            seen.append((seconds / 3600, resident(process.pid)))
    assert process.returncode == 75
    slope = np.polyfit([hour for hour, _ in seen], [size for _, size in seen], 1)[0]
    segments = list(out.glob("points/*/segments/*"))
    states = list(out.glob("points/*/states/*"))
    print(f"{len(segments)} segments, {len(states)} states, {slope:.2f} MiB an hour")
    assert slope < LARGEST_SLOPE
    assert len(segments) > 60 * MINUTES and len(states) == states_kept(len(segments))


@pytest.mark.validate
def test_a_commit_every_ten_seconds_costs_less_than_a_hundredth(tmp_path: Path) -> None:
    """In processor time of all threads, at d = 200 with 32 chains: 64 commits against one."""
    network = nm.Network(200, (200, 200), "tanh")
    problem = nm.matched_teacher(network, nm.GaussianChannel(0.1), 400, 8, test_samples=1000)
    sampler = nm.HMC("rotation", step_size=0.05, num_steps=1)
    settings: dict[str, Any] = {"chains": 2, "warmup": 4, "draws": 60, "progress": silent}
    calibration = nm.sample(problem, sampler, **settings).calibration

    def spent(seconds: float, name: str) -> float:
        begun = time.process_time()
        home = {"directory": tmp_path / name, "segment_seconds": seconds}
        nm.sample(problem, sampler, **settings, calibration=calibration, **home)
        return time.process_time() - begun

    each = np.median([spent(0.0, f"all {n}") - spent(1e9, f"one {n}") for n in range(3)]) / 63
    print(f"{each * 1000:.0f} ms a commit")
    assert each < 0.01 * 10
