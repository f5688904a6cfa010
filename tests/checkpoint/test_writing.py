"""Checkpoints appear whole or not at all, and older ones go last."""

from __future__ import annotations

import errno
import json
import threading

import pytest

from cxr_lightning.checkpoint import manifest, position
from cxr_lightning.checkpoint.runs import (
    RunError,
    checkpoint_folder,
    checkpoints,
    newest_checkpoint,
    open_run,
    resolve,
    retain,
    sweep,
    write_provenance,
)
from cxr_lightning.checkpoint.writing import CheckpointNotWrittenError, Writer

pytestmark = pytest.mark.quick


def write(run, step, loss=None, background=False, text="weights"):
    """Writes a small checkpoint, and waits for it."""
    writer = Writer(background)
    files = {
        "trainable.safetensors": lambda path: path.write_text(text),
        position.NAME: lambda path: path.write_text(position.text({"step": step, position.VALIDATE_LOSS: loss})),
    }
    writer.write(checkpoint_folder(run, step), files, lambda: None)
    writer.wait()


def _write_and_wait(writer, folder, files):
    writer.write(folder, files, lambda: None)
    writer.wait()


def steps(run):
    return [int(path.name[-7:]) for path in checkpoints(run)]


@pytest.mark.parametrize("background", [False, True])
def test_a_checkpoint_is_complete_when_it_has_its_name(tmp_path, background):
    write(tmp_path, 3, background=background)
    manifest.verify(checkpoint_folder(tmp_path, 3))
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-0000003"]


@pytest.mark.parametrize("background", [False, True])
def test_a_full_disk_costs_the_new_checkpoint_only(tmp_path, background):
    write(tmp_path, 3)

    def full(path):
        path.write_text("half of it")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    writer = Writer(background)
    with pytest.raises(
        CheckpointNotWrittenError, match=r"rank 0 on .*: .*No space left.* are free there\).*Remedy: make room"
    ):
        _write_and_wait(writer, checkpoint_folder(tmp_path, 6), {"trainable.safetensors": full})
    assert steps(tmp_path) == [3]
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-0000003"]  # and room was made again


def test_in_the_background_the_caller_goes_on(tmp_path):
    written, go_on = Writer(background=True), threading.Event()
    written.write(
        checkpoint_folder(tmp_path, 1), {"weights": lambda path: (go_on.wait(10), path.touch())}, lambda: None
    )
    assert newest_checkpoint(tmp_path) is None
    go_on.set()
    written.wait()
    assert steps(tmp_path) == [1]


def test_what_is_left_of_a_killed_save_is_swept_away(tmp_path):
    partial = checkpoint_folder(tmp_path, 2).with_name("step-0000002.partial")
    partial.mkdir(parents=True)
    (partial / "optimizer-00007-of-00008.safetensors").write_text("of another number of ranks")
    assert newest_checkpoint(tmp_path) is None
    write(tmp_path, 2)
    assert "optimizer" not in (checkpoint_folder(tmp_path, 2) / manifest.NAME).read_text()
    assert not list(checkpoint_folder(tmp_path, 2).glob("optimizer*"))


def test_the_newest_and_the_best_stay(tmp_path):
    for step, loss in ((2, 1.0), (4, 0.5), (6, None), (8, 0.7), (10, 0.5)):
        write(tmp_path, step, loss)
        retain(tmp_path, newest=2)
    assert steps(tmp_path) == [4, 8, 10]
    assert resolve(tmp_path / "checkpoints" / "best") == checkpoint_folder(tmp_path, 4)
    write_provenance(tmp_path, {"stage": "alignment"})
    assert open_run(tmp_path / "checkpoints" / "best").checkpoint() == checkpoint_folder(tmp_path, 4)
    assert open_run(tmp_path).checkpoint() == checkpoint_folder(tmp_path, 10)


def test_what_a_killed_deletion_left_is_swept_away_and_what_is_whole_stays(tmp_path):
    for step in (2, 4, 6):
        write(tmp_path, step)
    folder = tmp_path / "checkpoints"
    (folder / "step-0000002" / manifest.NAME).unlink()
    (folder / "step-0000004").rename(folder / "step-0000004.old")  # killed before the new one had its name
    (folder / "step-0000008.partial").mkdir()
    sweep(tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["step-0000004", "step-0000006"]


@pytest.mark.parametrize("text", ["[]", "{}", '{"files": []}', '{"files": {}}', '{"files": {"a": 3}}', "", "\x00"])
def test_a_manifest_that_is_none_completes_nothing(tmp_path, text):
    (tmp_path / manifest.NAME).write_text(text)
    assert not manifest.is_complete(tmp_path)


def test_without_validation_there_is_no_best(tmp_path):
    write(tmp_path, 2)
    with pytest.raises(RunError, match="has a validation loss"):
        resolve(tmp_path / "checkpoints" / "best")


def test_positions_keep_numbers_exactly(tmp_path):
    rates = [0.1 + 0.2, 1e-308, 2 / 3]
    (tmp_path / position.NAME).write_text(position.text({"step": 7, "rates": rates}))
    assert position.read(tmp_path)["rates"] == rates


def test_a_callbacks_tensor_comes_back(tmp_path):
    import torch

    (tmp_path / position.NAME).write_text(position.text({"best": torch.tensor([0.1, 2.0], dtype=torch.float64)}))
    best = position.read(tmp_path)["best"]
    assert best.dtype == torch.float64
    assert best.tolist() == [0.1, 2.0]


def test_what_cannot_be_written_says_so(tmp_path):
    with pytest.raises(position.PositionError, match="set is not plain data"):
        position.text({"callbacks": {"mine": {1, 2}}})


def test_another_schema_is_refused(tmp_path):
    (tmp_path / position.NAME).write_text(json.dumps({"schema": 99}))
    with pytest.raises(position.PositionError, match="schema 99"):
        position.read(tmp_path)
