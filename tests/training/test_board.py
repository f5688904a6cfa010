"""What a run leaves for TensorBoard: curves by set, choices with their outcome, traces; also of a run that went on."""

from __future__ import annotations

import gzip
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import STATUS_SUCCESS
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from cxr_lightning.phantoms.archive import draw
from cxr_lightning.shards.packing import pack
from tests.fitting import ROOT, environment, losses, options
from tests.zygote import Zygote

pytestmark = pytest.mark.ranks


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def told(board: EventAccumulator, tag: str) -> Any:
    """Returns what the HParams tab is told."""
    content = board.SummaryMetadata(tag).plugin_data.content
    return HParamsPluginData.FromString(content)


@pytest.fixture(scope="module")
def two_sets(shards, tmp_path_factory):
    """A configuration of two sets of shards."""
    folder = tmp_path_factory.mktemp("two")
    draw(folder / "archive", studies=40, seed=2, size=64, workers=1)
    pack("table", folder / "archive", out=folder / "clinic" / "shards", size=64, workers=1)
    file = folder / "two.yaml"
    file.write_text(f"data:\n  shards:\n  - path: {shards}\n  - path: {folder / 'clinic' / 'shards'}\n")
    return file


@pytest.fixture(scope="module")
def run(shards, parts, two_sets, tmp_path_factory):
    """A run that lost its newest checkpoint after step 4 and went on from step 2 with another learning rate."""
    folder = tmp_path_factory.mktemp("watched")
    run = folder / "run"
    few = [
        "--trainer.max_steps", "6", "--checkpoint.every_n_steps", "2", "--checkpoint.keep", "9",
        "--validate_every_n_steps", "2",
        "--trainer.devices", "2", "--panels.studies", "2", "--panels.max_new_tokens", "4",
    ]  # fmt: skip
    arguments = [*options(1, shards, run, parts), "--config", str(two_sets), *few]
    zygote = Zygote()
    try:
        for more in (["--profile", "3:4"], ["--ckpt_path", "last", "--model.optim.lr", "0.002"]):
            group = zygote.start([*arguments, *more], 2, folder / "log")
            assert zygote.wait(group) == [0, 0], (folder / "log").read_text()[-4000:]
            if "--profile" in more:
                for gone in ("step-0000004", "step-0000006"):
                    shutil.rmtree(run / "checkpoints" / gone)
                (run / "checkpoints" / "best").unlink(missing_ok=True)
    finally:
        zygote.close()
    return run


def test_losses_of_sets_make_up_the_loss(run):
    training = [line for line in lines(run) if "train/loss" in line]
    assert [line["step"] for line in training] == [1, 2, 3, 4, 5, 6]
    for line in lines(run):
        split = "train" if "train/loss" in line else "validate"
        by_set = {name: value for name, value in line.items() if name.startswith(f"{split}/loss/")}
        assert min(by_set.values()) <= line[f"{split}/loss"] * (1 + 1e-6)
        assert max(by_set.values()) >= line[f"{split}/loss"] * (1 - 1e-6)
    validated = [line for line in lines(run) if "validate/loss" in line]
    assert all(len([name for name in line if name.startswith("validate/loss/")]) == 2 for line in validated)
    best = [min(line["validate/loss"] for line in validated[: n + 1]) for n in range(len(validated))]
    assert [line["validate/best_loss"] for line in validated] == best


def test_figures_say_something(run):
    line = lines(run)[-2]
    assert 0 < line["speed/mfu"] < 1
    assert line["speed/tflops"] > 0
    assert line["memory/host_gb"] > 0.1
    assert line["time/left_s"] == 0
    assert next(line for line in lines(run) if line["step"] == 1)["time/left_s"] > 0


def test_curves_have_each_step_once(run):
    board = EventAccumulator(str(run / "tensorboard")).Reload()
    assert {"train/loss", "train/lr", "speed/mfu", "time/left_s", "validate/best_loss"} <= set(board.Tags()["scalars"])
    assert [each.step for each in board.Scalars("train/loss")] == [1, 2, 3, 4, 5, 6]
    assert [each.step for each in board.Scalars("validate/loss")] == [2, 4, 6]
    assert [each.value for each in board.Scalars("train/loss")] == pytest.approx(list(losses(run).values()))


def test_choices_are_those_of_the_run_as_it_went_on(run):
    assert len(list((run / "tensorboard").glob("*.hparams"))) == 1
    board = EventAccumulator(str(run / "tensorboard")).Reload()
    keyed = told(board, metadata.SESSION_START_INFO_TAG).session_start_info.hparams
    chosen = {key[3:]: value for key, value in keyed.items()}
    assert chosen["lr"].number_value == chosen["lr projector"].number_value == 0.002
    assert chosen["lr language"].number_value == 0
    assert chosen["stage"].string_value == "alignment"
    assert chosen["projector"].string_value == "full"
    assert chosen["global batch"].number_value == 8
    assert chosen["ranks"].number_value == chosen["ZeRO"].number_value == 2
    experiment = told(board, metadata.EXPERIMENT_TAG).experiment
    assert {info.name for info in experiment.hparam_infos} == set(keyed)
    assert {info.display_name for info in experiment.hparam_infos} == set(chosen)
    assert {info.name.tag for info in experiment.metric_infos} <= set(board.Tags()["scalars"])
    assert told(board, metadata.SESSION_END_INFO_TAG).session_end_info.status == STATUS_SUCCESS


def test_the_trace_holds_the_steps_that_were_asked_for(run):
    (file,) = (run / "profile").iterdir()
    assert file.name.startswith("rank0.")
    with gzip.open(file) as opened:
        events = json.load(opened)["traceEvents"]
    steps = {event["name"] for event in events if str(event.get("name")).startswith("ProfilerStep")}
    assert len(steps) == 2
    assert any(event.get("name") == "aten::addmm" for event in events)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_stopped_says_so_by_its_exit_code(shards, parts, tmp_path, sent, code):
    run = tmp_path / "run"
    arguments = [*options(1, shards, run, parts), "--trainer.devices", "1", "--data.epochs", "1000"]
    command = [sys.executable, "-m", "cxr_lightning", "fit", *arguments]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=log, stderr=log)
    try:
        end = time.monotonic() + 240
        while not (run / "metrics.jsonl").exists() or len(lines(run)) < 2:
            assert process.poll() is None, (tmp_path / "log").read_text()[-2000:]
            assert time.monotonic() < end
            time.sleep(0.1)
        process.send_signal(sent)
        assert process.wait(120) == code
    finally:
        process.kill()
    told = (tmp_path / "log").read_text()
    assert f"because of {'Ctrl-C' if sent == signal.SIGINT else 'SIGTERM'}." in told
    assert "--ckpt_path auto goes on from there" in told
