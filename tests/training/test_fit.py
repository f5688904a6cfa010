"""A run can be killed and goes on; what cannot train is refused before it begins."""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch.utils.checkpoint import checkpoint

from cxr_lightning.checkpoint.runs import checkpoints, newest_checkpoint, open_run, step_of
from cxr_lightning.cli import run as cli
from cxr_lightning.model import compute, tiny
from tests.fitting import LAUNCHED, ROOT, cxr, losses, options, run_ranks

LONG = ["--data.epochs", "6", "--trainer.max_steps", "24", "--checkpoint.every_n_steps", "4", "--checkpoint.keep", "9"]


def kill_when(step: int, arguments: list[str], run: Path) -> None:
    """Starts a fit and kills all its processes, without warning, once a checkpoint is there."""
    command = [sys.executable, "-m", "cxr_lightning", "fit", *arguments]
    process = subprocess.Popen(
        command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        end = time.monotonic() + 240
        while newest_checkpoint(run) is None or int(newest_checkpoint(run).name.removeprefix("step-")) < step:
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.ranks
def test_a_killed_run_goes_on_as_if_nothing_had_happened(shards, parts, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    cxr("fit", *options(1, shards, whole, parts), *LONG)
    arguments = [*options(1, shards, killed, parts), *LONG]
    kill_when(8, arguments, killed)
    assert len(losses(killed)) < 24
    refused = cxr("fit", *arguments, check=False)
    assert refused.returncode == 1
    assert "--ckpt_path last" in refused.stderr
    cxr("fit", *arguments, "--ckpt_path", "last")
    assert losses(killed) == losses(whole)
    ends = [load_file(open_run(run).weights()) for run in (whole, killed)]
    assert ends[0].keys() == ends[1].keys()
    assert all((ends[0][name] == ends[1][name]).all() for name in ends[0])


@pytest.mark.ranks
def test_a_finished_run_goes_on_to_further_epochs(runs, shards, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs["stage2"], run)
    before = losses(run)
    more = [*options(2, shards, run), "--model.init_from", str(runs["stage1"]), "--trainer.devices", "1"]
    cxr("fit", *more, "--trainer.max_steps", "9", "--data.epochs", "2", "--ckpt_path", "last")
    after = losses(run)
    assert max(after) == 9
    assert {step: after[step] for step in before} == before


def test_a_run_leaves_behind_all_that_is_needed_to_run_it_again(runs):
    run = runs["stage2"]
    names = {path.name for path in run.iterdir()}
    assert {"config.yaml", "run.json", "metrics.jsonl", "tensorboard", "checkpoints"} <= names
    provenance = json.loads((run / "run.json").read_text())
    assert provenance["model"]["projector"] == "linear"
    assert provenance["inherits"]["provenance"]["stage"] == "alignment"
    assert list((run / "tensorboard").glob("events.*"))
    logged = json.loads((run / "metrics.jsonl").read_text().splitlines()[0])
    figures = {"train/loss", "train/lr", "train/grad_norm", "speed/samples_per_s", "speed/supervised_tokens_per_s"}
    assert figures | {"data/padding_share", "data/wait_share"} <= logged.keys()


def test_only_what_learns_is_saved(runs):
    for run in runs.values():
        checkpoint = newest_checkpoint(run)
        learning = json.loads((run / "run.json").read_text())["parameters"]["learning"]
        tensors = sum(path.stat().st_size for path in checkpoint.glob("*.safetensors"))
        # A weight and AdamW's two averages, float32; names, shapes and manifest come on top, which count at this size.
        assert 12 * learning < tensors < 1.1 * 12 * learning + 12_000
        assert tensors > 0.9 * sum(path.stat().st_size for path in checkpoint.iterdir()) - 4_000


def trained(*arguments: str) -> None:
    """Runs `cxr fit` in this process."""
    try:
        assert cli(["fit", *arguments]) == 0
    finally:
        for name in LAUNCHED:
            os.environ.pop(name, None)


def test_a_fit_drops_out_and_checkpoints_as_it_is_told(runs, shards, tmp_path, monkeypatch):
    """Lightning leaves modules in the mode that they come in, and the base comes in evaluation mode."""
    calls = []
    monkeypatch.setattr(
        compute, "checkpoint", lambda *args, **kwargs: (calls.append(1), checkpoint(*args, **kwargs))[1]
    )

    def curve(name: str, *extra: str) -> list[float]:
        start = ["--model.init_from", str(runs["stage1"]), "--trainer.devices", "1", "--trainer.max_steps", "3"]
        trained(*options(2, shards, tmp_path / name), *start, "--model.optim.lr", "0.02", *extra)
        return list(losses(tmp_path / name).values())

    plain = curve("plain")
    assert not calls
    assert curve("checkpointed", "--model.compute.activation_checkpointing", "[language]") == plain
    assert calls
    dropped = curve("dropped", "--model.lora.dropout", "0.5")
    assert abs(dropped[-1] - plain[-1]) > 1e-4


@pytest.mark.parametrize(
    ("extra", "remedy"),
    [
        (["--trainer.accumulate_grad_batches", "3"], "--data.row_tokens"),
        (["--model.vision_lora.rank", "4"], "--model.trainable.vision to lora"),
        (["--data.row_tokens", "64"], "raise --data.row_tokens"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(extra, remedy, shards, parts, tmp_path, capfd):
    message = refusal(capfd, *options(1, shards, tmp_path / "run", parts), "--trainer.devices", "1", *extra)
    assert remedy in " ".join(message.split())


def refusal(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Returns the message with which `cxr fit` refuses."""
    try:
        assert cli(["fit", *arguments]) == 1
    finally:
        for name in LAUNCHED:
            os.environ.pop(name, None)
    return capfd.readouterr().err


def test_stage_two_without_stage_one(shards, parts, tmp_path, capfd):
    message = refusal(capfd, *options(2, shards, tmp_path / "run", parts))
    assert "Stage 2 has no stage 1" in message
    assert "--model.init_from" in message
    assert not (tmp_path / "run").exists()


def test_stage_two_of_a_run_that_is_none(shards, tmp_path, capfd):
    message = refusal(capfd, *options(2, shards, tmp_path / "run"), "--model.init_from", str(tmp_path / "gone"))
    assert "gone does not exist" in message


def test_shards_without_index(parts, tmp_path, capfd):
    (tmp_path / "empty").mkdir()
    message = refusal(capfd, *options(1, tmp_path / "empty", tmp_path / "run", parts))
    assert "index.json" in message
    assert not (tmp_path / "run").exists()


def test_index_that_does_not_match_the_tars(shards, parts, tmp_path, capfd):
    shutil.copytree(shards, tmp_path / "shards")
    tar = next(iter(sorted((tmp_path / "shards").glob("train-*.tar"))))
    tar.write_bytes(tar.read_bytes()[:-1024])
    message = refusal(capfd, *options(1, tmp_path / "shards", tmp_path / "run", parts))
    assert tar.name in message
    assert "copy them again" in message
    assert not (tmp_path / "run").exists()


def test_batches_that_do_not_divide(shards, parts, tmp_path, capfd):
    message = refusal(capfd, *options(1, shards, tmp_path / "run", parts), "--data.micro_batch", "3")
    assert "multiple of 6" in message


def test_epochs_belong_to_the_stream(shards, parts, tmp_path, capfd):
    message = refusal(capfd, *options(1, shards, tmp_path / "run", parts), "--trainer.max_epochs", "3")
    assert "--data.epochs 3" in message


def test_nothing_to_go_on_from(shards, parts, tmp_path, capfd):
    message = refusal(
        capfd, *options(1, shards, tmp_path / "run", parts), "--trainer.devices", "1", "--ckpt_path", "last"
    )
    assert "no complete checkpoint to go on from" in message


def test_nothing_that_matters_may_change_on_resume(runs, shards, parts, tmp_path, capfd):
    """A resume that would go on with something else is refused, and the run says of itself what it said before."""
    other = tiny.write_language(tmp_path / "other", seed=9)
    same = [*options(2, shards, tmp_path), "--model.init_from", str(runs["stage1"]), "--trainer.devices", "1"]
    changes = {
        "OtherLora": (["--model.lora.alpha", "64"], "alpha=8"),
        "OtherShards": (["--data.seed", "3"], "seed=0"),
        "OtherBase": (
            ["--model.source.vision", parts["siglip"], "--model.source.language", str(other)],
            "another base",
        ),
    }
    for name, (change, message) in changes.items():
        run = tmp_path / name
        shutil.copytree(runs["stage2"], run)
        before = (run / "run.json").read_text(), (run / "config.yaml").read_text()
        told = refusal(capfd, *same, *change, "--run", str(run), "--ckpt_path", "last", "--data.epochs", "3")
        assert message in told
        assert ((run / "run.json").read_text(), (run / "config.yaml").read_text()) == before


def test_an_older_checkpoint_is_not_gone_on_from_in_the_same_run(runs, shards, tmp_path, capfd):
    older = min((runs["stage2"] / "checkpoints").iterdir())
    arguments = [*options(2, shards, runs["stage2"]), "--model.init_from", str(runs["stage1"])]
    told = refusal(capfd, *arguments, "--ckpt_path", str(older))
    assert "is not the newest checkpoint" in told
    told = refusal(capfd, *arguments, "--ckpt_path", str(tmp_path))
    assert "is no complete checkpoint" in told


def test_the_checkpoint_that_is_named_is_the_one_that_is_taken(runs):
    older = min((runs["stage1"] / "checkpoints").iterdir())
    assert open_run(older).weights().parent == older
    assert open_run(runs["stage1"]).weights().parent != older


@pytest.mark.ranks
def test_optimizer_state_may_lie_in_host_memory(shards, parts, tmp_path):
    few = ["--trainer.devices", "1", "--trainer.max_steps", "3", "--trainer.strategy.offload_optimizer", "true"]
    run_ranks(1, [[*options(1, shards, tmp_path / "run", parts), *few]], tmp_path)
    assert len(losses(tmp_path / "run")) == 3


def short(shards, run, parts, *more: str) -> list[str]:
    return [*options(1, shards, run, parts), "--trainer.devices", "1", "--model.optim.lr", "0.02", *more]


@pytest.mark.ranks
def test_a_run_without_validation_saves_as_often(shards, parts, tmp_path):
    few = ["--data.epochs", "2", "--trainer.max_steps", "7", "--checkpoint.keep", "9", "--data.validate_samples", "0"]
    same = ["--checkpoint.every_n_steps", "3", "--validate_every_n_steps", "3"]
    seldom = ["--checkpoint.every_n_steps", "500", "--validate_every_n_steps", "500"]
    run_ranks(
        1,
        [
            short(shards, tmp_path / "same", parts, *few, *same),
            short(shards, tmp_path / "seldom", parts, *few, *seldom),
        ],
        tmp_path,
    )
    assert [step_of(path) for path in checkpoints(tmp_path / "same")] == [3, 6, 7]
    assert [step_of(path) for path in checkpoints(tmp_path / "seldom")] == [7]


@pytest.mark.ranks
def test_the_best_checkpoint_is_saved_and_kept(shards, parts, tmp_path):
    """At a rate that soon spoils what it learned, the best is an early one, and no save was due there."""
    run, few = tmp_path / "run", ["--data.epochs", "3", "--trainer.max_steps", "6", "--checkpoint.keep", "1"]
    rates = ["--model.optim.lr", "0.3", "--model.optim.warmup", "5", "--model.trainable.language", "full"]
    often = ["--validate_every_n_steps", "2", "--checkpoint.every_n_steps", "99"]
    run_ranks(1, [short(shards, run, parts, *few, *often, *rates)], tmp_path)
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    validated = {line["step"]: line["validate/loss"] for line in lines if "validate/loss" in line}
    assert list(validated) == [2, 4, 6]
    best = min(validated, key=validated.__getitem__)
    assert [step_of(path) for path in checkpoints(run)] == sorted({best, 6})
    assert step_of(open_run(run / "checkpoints" / "best").checkpoint()) == best
    assert best < 6  # else the test shows nothing


def test_what_learns_may_not_change_on_resume(runs, shards, tmp_path, capfd):
    run = tmp_path / "run"
    shutil.copytree(runs["stage2"], run)
    same = [*options(2, shards, run), "--model.init_from", str(runs["stage1"]), "--trainer.devices", "1"]
    further = ["--ckpt_path", "last", "--data.epochs", "3", "--model.trainable.projector", "frozen"]
    assert "learned in it and does not now" in refusal(capfd, *same, *further)
    further[-2:] = ["--model.trainable.vision", "full"]
    assert "learns now and did not in it" in refusal(capfd, *same, *further)


def test_a_damaged_checkpoint_is_not_resumed_from(runs, shards, tmp_path, capfd):
    run = tmp_path / "run"
    shutil.copytree(runs["stage2"], run)
    same = [*options(2, shards, run), "--model.init_from", str(runs["stage1"]), "--trainer.devices", "1"]
    further = ["--ckpt_path", "last", "--data.epochs", "3"]
    part = next(newest_checkpoint(run).glob("optimizer-*"))
    data = bytearray(part.read_bytes())
    data[-3] ^= 4
    part.write_bytes(data)
    told = refusal(capfd, *same, *further)
    assert f"{part.name} is not what was saved" in told
    newest = newest_checkpoint(run)
    part.unlink()
    assert newest_checkpoint(run) != newest  # an incomplete one is passed over


def test_a_checkpoint_of_another_run_is_not_mixed_in(runs, shards, tmp_path, capfd):
    run = tmp_path / "run"
    shutil.copytree(runs["stage2"], run)
    same = [*options(2, shards, run), "--model.init_from", str(runs["stage1"]), "--trainer.devices", "1"]
    told = refusal(capfd, *same, "--ckpt_path", str(newest_checkpoint(runs["stage2"])))
    assert "would mix two" in told


def test_a_url_is_a_place_and_no_configuration(shards, parts, tmp_path, capfd):
    """Lightning would have the parser fetch a URL and read what comes, here a page that lists the folder, as YAML."""
    handler = functools.partial(QuietHandler, directory=str(shards))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        arguments = [*short(shards, tmp_path / "run", parts), "--data.cache", str(tmp_path / "cache")]
        arguments[arguments.index("--data.shards") + 1] = url
        told = refusal(capfd, *arguments)
        server.shutdown()
    assert "its server ignores range requests" in told
    assert "<" not in told.partition("cxr fit:")[2]


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Lists folders, knows no ranges, says nothing."""

    def log_message(self, *_: object) -> None:
        """Says nothing."""
