"""The curve of a run survives a kill, and says the rate that each step used."""

from __future__ import annotations

import json
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from cxr_lightning.training.curve import MetricsError, kept_lines
from cxr_lightning.training.monitor import Monitor

pytestmark = pytest.mark.quick
BATCH = {"tokens": 4, "positions": 4, "samples": 1, "truncated": 0, "supervised_in_step": 2}


class Stream(DataLoader):
    waited = 0.0


class Slope(pl.LightningModule):
    """One weight under a rate that falls with each step; it remembers the rates it was moved by."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.used: list[float] = []

    def training_step(self, batch: Any, number: int) -> Any:
        loss = self.weight.sum()
        return {"loss": loss, "loss_sum": loss.detach()}

    def on_before_optimizer_step(self, optimizer: Any) -> None:
        self.used.append(optimizer.param_groups[0]["lr"])

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
        schedule = LambdaLR(optimizer, lambda step: 1 / (step + 1))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def train(run: Any, steps: int) -> Slope:
    module = Slope()
    pl.Trainer(
        max_steps=steps,
        accumulate_grad_batches=2,
        log_every_n_steps=1,
        accelerator="cpu",
        callbacks=[Monitor(str(run))],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(module, Stream([BATCH] * 2 * steps, batch_size=None))
    return module


def logged(run: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_the_logged_rate_is_the_one_that_the_step_used(tmp_path):
    module = train(tmp_path, 3)
    assert [line["train/lr"] for line in logged(tmp_path)] == module.used == [1, 1 / 2, 1 / 3]


@pytest.mark.parametrize("half", ['{"step": 12, "train/lo', '{"step"', "\0\0\0\0", "[1]"])
def test_a_half_written_last_line_does_not_stop_a_resume(tmp_path, half):
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"step": 0}\n{"step": 10}\n{"step": 11}\n' + half)
    assert kept_lines(file, 10) == ['{"step": 0}', '{"step": 10}']
    train(tmp_path, 2)
    assert [line["step"] for line in logged(tmp_path)] == [0, 1, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def test_a_whole_last_line_without_its_line_break_is_kept(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"step": 2}')
    assert kept_lines(tmp_path / "metrics.jsonl", 2) == ['{"step": 1}', '{"step": 2}']


def test_a_damaged_line_elsewhere_is_named_and_nothing_is_lost(tmp_path):
    file = tmp_path / "metrics.jsonl"
    text = '{"step": 0}\n\n{"step": 1, "tra\n{"step": 2}\n'
    file.write_text(text)
    with pytest.raises(MetricsError, match=r"metrics\.jsonl, line 3: .*delete that line"):
        train(tmp_path, 1)
    assert file.read_text() == text
