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
from cxr_lightning.training.memory import memory
from cxr_lightning.training.monitor import Monitor, rates
from cxr_lightning.training.peak import known, measured
from cxr_lightning.training.profiling import Profiling
from cxr_lightning.training.window import LossSums, Window, set_names

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


def test_sums_by_set_stay_on_the_device_until_they_are_read():
    sums = LossSums(3, torch.device("cpu"))
    batch = {"supervised": [2, 1, 3], "sources": [2, 0, 2], "inputs": {}}
    each_S = torch.tensor([1.0, 2.0, 5.0, 0.5, 0.25, 0.25])
    for _ in range(2):
        sums.add({"loss_sum": each_S.sum(), "each_S": each_S}, batch)
    window = sums.read(Window(supervised=12))
    assert window.loss_sum == 18
    assert window.loss_sum_K == [10, 0, 8]
    assert window.supervised_K == [2, 0, 10]
    again = window.plus(Window.from_json({"loss_sum": 1.0, "loss_sum_K": [1.0, 1.0, 1.0], "of another version": 3}))
    assert (again.loss_sum, again.loss_sum_K, again.supervised_K) == (19, [11, 1, 9], [2, 0, 10])
    sums.clear()
    assert sums.read(Window()) == Window(loss_sum_K=[0, 0, 0], supervised_K=[0, 0, 0])


def test_patches_of_images_that_keep_their_size_are_counted():
    sums = LossSums(1, torch.device("cpu"))
    grid = torch.tensor([[1, 4, 6], [1, 2, 2]])
    sums.add({"loss_sum": torch.tensor(1.0)}, {"inputs": {"image_grid_thw": grid}})
    window = sums.read(Window())
    assert (window.patches, window.patch_squares) == (28, 24**2 + 4**2)


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/data/mimic", "s3://bucket/openi/"], ["mimic", "openi"]),
        (["/data/mimic/shards", "/data/openi/shards", "/data/own"], ["mimic-shards", "openi-shards", "own"]),
        (["/a/x/s", "/b/x/s"], ["a-x-s", "b-x-s"]),
        (["same", "same"], ["same", "same-2"]),
    ],
)
def test_sets_have_short_names_of_their_own(paths, names):
    assert set_names(paths) == names


def test_rates_are_told_by_group_where_they_differ():
    alike = [{"name": "projector/matrices", "lr": 0.5}, {"name": "projector/vectors", "lr": 0.5}]
    assert rates(alike) == {"train/lr": 0.5}
    others = [{"name": f"language/{kind}", "lr": 0.5, "initial_lr": 2.0} for kind in ("matrices", "vectors")]
    assert rates(alike + others) == {"train/lr": 0.5, "train/lr/projector": 0.5, "train/lr/language": 0.5}
    others[1]["initial_lr"] = 4.0
    assert rates(others) == {"train/lr": 0.5, "train/lr/language/matrices": 0.5, "train/lr/language/vectors": 0.5}
    assert rates([{"lr": 1.0}]) == {"train/lr": 1.0}


@pytest.mark.parametrize(
    ("name", "half"),
    [
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA H100 80GB HBM3", 989.5),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA L40S", 362),
        ("NVIDIA A10", 125),
        ("NVIDIA A10G", 70),
        ("Tesla V100-SXM2-32GB", 125),
        ("NVIDIA GeForce RTX 4090", 165.2),
        ("AMD Instinct MI300X", 1307.4),
    ],
)
def test_peaks_by_name(name, half):
    assert known(name).half == half


def test_no_peak_is_made_up():
    assert known("NVIDIA GeForce RTX 4090 Laptop GPU") is None
    assert known("Another Device 9000") is None
    assert measured(torch.float32, seconds=0.0, side=64) > 0


def test_memory_is_that_of_this_process():
    held = memory(torch.device("cpu"))
    assert set(held) == {"memory/host_gb"}
    assert 0.01 < held["memory/host_gb"] < 1000


@pytest.mark.parametrize("window", ["", "0:3", "5:4", "a:b", "1:2:3", "-1"])
def test_a_window_that_is_none_is_refused(window, tmp_path):
    with pytest.raises(ValueError, match="--profile 20:22"):
        Profiling(str(tmp_path), window)
