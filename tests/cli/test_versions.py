"""What run.json says a run was made with."""

import torch

from nishimori.cli.versions import versions
from nishimori.models import device
from nishimori_kernels.energy.configs import table_hash


def test_the_table_of_kernel_configurations_is_named_on_cuda_alone(monkeypatch):
    assert "kernel_configs" not in versions("cpu")
    monkeypatch.setattr(device, "resolve_device", lambda _: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    found = versions("cuda")
    assert found["kernel_configs"] == table_hash() and found["device"]["name"] == "a GPU"
