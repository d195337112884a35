"""Peers answer or are ended in time, effective samples are counted right, and the figures draw."""

import sys
from pathlib import Path

import numpy as np
import peer_process
import pytest
import scaling_figure
import torch
from common import Row, append, latest, read, row_of
from own_samplers import effective_samples
from peer_process import Peer, TooLong
from peers_figure import draw, table

CPU = torch.device("cpu")
CASE = "input_dim=10 width=10 depth=1 samples=20 noise_variance=0.1 chains=8"
WORKER = """
import json, sys, time
print(json.dumps({"version": "peer 1.0, python 3", "samplers": ["HMC"], "trajectories": None}), flush=True)
for line in sys.stdin:
    if json.loads(line)["order"] == "sample":
        time.sleep(60)
    print(json.dumps({"values": [1.0]}), flush=True)
"""


@pytest.fixture
def slow_peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Samples for a minute, where two seconds are allowed."""
    binaries = tmp_path / ".venv-slow" / "bin"
    binaries.mkdir(parents=True)
    (binaries / "python").symlink_to(sys.executable)
    (tmp_path / "worker.py").write_text(WORKER, encoding="utf-8")
    monkeypatch.setattr(peer_process, "PEERS", tmp_path)
    peer = Peer("slow", tmp_path / "problem.npz", time_limit=2.0)
    yield peer
    peer.close()


def test_a_peer_that_takes_too_long_is_ended_and_begins_afresh(slow_peer: Peer):
    assert slow_peer.provider("HMC") == "peer 1.0 HMC, python 3"
    assert slow_peer.order("log_density") == {"values": [1.0]}
    with pytest.raises(TooLong, match="slow HMC: not done within 2 s"):
        slow_peer.order("sample", sampler="HMC")
    assert slow_peer.order("log_density") == {"values": [1.0]}


def test_independent_draws_are_all_effective():
    draws = np.random.default_rng(0).normal(size=(4, 1000))
    assert effective_samples(draws) == pytest.approx(4000, rel=0.1)


def test_the_variance_within_a_draw_counts():
    draws = np.random.default_rng(1).normal(size=(4, 1000))
    assert effective_samples(draws, np.full_like(draws, 3.0)) == pytest.approx(4 * effective_samples(draws), rel=0.05)


def peer_rows(value: float) -> list[Row]:
    providers = ("nishimori", "peer 1.0 HMC, python 3")
    rows = [row_of("trajectories", name, CASE, "gradients_per_second", "1/s", value, CPU) for name in providers]
    for each in ("function_overlap", "log_likelihood"):
        rows += [row_of("sampling", name, CASE, f"ess_per_second of {each}", "1/s", value, CPU) for name in providers]
    return rows


def test_later_rows_win_in_the_figure_of_peers_and_its_table(tmp_path: Path):
    results, figure = tmp_path / "results.csv", tmp_path / "figure.png"
    append(peer_rows(123.0), results)
    append(peer_rows(456.0), results)
    rows = read(results)
    assert latest(rows) == rows[6:]
    text = table(rows)
    assert "456" in text and "123" not in text
    assert text.count("| peer 1.0 HMC, python 3, fp32 | 456 |") == 3
    draw(rows, figure)
    assert figure.stat().st_size > 0


def test_a_figure_of_peers_without_rows_is_refused(tmp_path: Path):
    with pytest.raises(SystemExit, match="run it first"):
        draw([], tmp_path / "figure.png")


def test_the_figure_of_scaling_draws_lines_and_limits(tmp_path: Path):
    def gradient(dim: int, chains: int) -> Row:
        case = f"input_dim={dim} width={dim} depth=1 samples={2 * dim} chains={chains}"
        return row_of("gradient scaling", "nishimori", case, "time", "ms", 1e-6 * chains * dim**3, CPU)

    rows = [gradient(dim, 8) for dim in (10, 20, 40, 80)] + [gradient(10, chains) for chains in (1, 2, 4)]
    rows += [
        row_of("matrix product", "torch.mm", "size=2048", "rate", "GFLOP/s", 100.0, CPU),
        row_of("memory copy", "torch copy", "bytes=536870912", "rate", "GB/s", 10.0, CPU),
    ]
    assert scaling_figure.limit(rows, "matrix product") == 100.0
    assert scaling_figure.limit(rows, "matrix product", "bf16") is None
    figure = tmp_path / "figure.png"
    scaling_figure.draw(rows, figure)
    assert figure.stat().st_size > 0
    scaling_figure.draw(rows[:4], figure)  # neither limits nor a second number of chains


def test_the_exponent_of_a_power_law():
    x = [1.0, 2.0, 4.0, 8.0]
    assert scaling_figure.exponent(x, [3 * each**1.5 for each in x]) == pytest.approx(1.5)
