"""Which card each process takes. No GPU is at hand: how many there are is made up here, and only here."""

from __future__ import annotations

import pytest
import torch

from cxr_lightning.evaluation.asking import Manner, _devices

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("environment", "workers", "expected"),
    [
        ({}, None, ["cuda:0", "cuda:1", "cuda:2", "cuda:3"]),
        ({}, 2, ["cuda:0", "cuda:1"]),
        ({"SLURM_LOCALID": "0", "SLURM_STEP_TASKS_PER_NODE": "1(x4)"}, None, [f"cuda:{card}" for card in range(4)]),
        ({"SLURM_LOCALID": "3", "SLURM_STEP_TASKS_PER_NODE": "4(x2)"}, None, ["cuda:3"]),
        ({"LOCAL_RANK": "2", "LOCAL_WORLD_SIZE": "4"}, None, ["cuda:2"]),
    ],
)
def test_every_card_has_a_process(monkeypatch, environment, workers, expected):
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert _devices(Manner(workers=workers), batches=100) == expected
    assert len(_devices(Manner(workers=workers), batches=1)) == 1
    assert _devices(Manner(device="cpu", workers=3), batches=9) == ["cpu"] * 3
