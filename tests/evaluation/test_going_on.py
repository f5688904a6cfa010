"""What is killed goes on, ranks share the work, and what was trained on is no test: in processes as users have them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cxr_lightning.evaluation.evaluate import evaluate
from cxr_lightning.evaluation.journal import OtherAnswersError
from cxr_lightning.evaluation.refusal import TrainedOnError
from cxr_lightning.export.package import export
from cxr_lightning.shards.packing import pack

SMALL = {"limit": 8, "max_new_tokens": 4, "draws": 20, "workers": 1}
OPTIONS = ["--limit", "8", "--max_new_tokens", "4", "--draws", "20", "--workers", "1", "--batch", "2"]


def begin(model: Path, shards: Path, out: Path, **more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "cxr_lightning", "evaluate", str(model), str(shards), "--out", str(out), *OPTIONS]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **more}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def answered(out: Path) -> int:
    return sum(len(path.read_text().splitlines()) for path in (out / "answers").glob("*.jsonl"))


def predictions(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def undisturbed(model: Path, shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    evaluate(str(model), shards, out=out, batch=2, **SMALL)
    return out


def test_what_is_killed_goes_on_and_comes_to_the_same(model, shards, undisturbed, tmp_path):
    out, before = tmp_path / "out", 0
    process = begin(model, shards, out)
    while process.poll() is None and (before := answered(out)) < 4:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 4 <= before < 24
    assert not (out / "predictions.jsonl").exists()
    with (out / "answers" / "rank-00000-of-00001.jsonl").open("a") as file:
        file.write('{"key": "half a li')  # as a node leaves it that loses power
    again = begin(model, shards, out)
    told, _ = again.communicate()
    assert again.returncode == 0, told
    assert "answers are there already; going on" in told
    assert predictions(out) == predictions(undisturbed)
    assert (out / "metrics.json").read_text() == (undisturbed / "metrics.json").read_text()
    assert not (out / "answers").exists()


def test_ranks_share_the_work(model, shards, undisturbed, tmp_path):
    ranks = [begin(model, shards, tmp_path / "out", RANK=str(rank), WORLD_SIZE="2") for rank in range(2)]
    told = [rank.communicate()[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], told
    assert predictions(tmp_path / "out") == predictions(undisturbed)
    assert "a page to look at" in told[0]
    assert "a page to look at" not in told[1]


def test_what_is_finished_is_scored_again_without_asking(model, shards, undisturbed, tmp_path):
    out = shutil.copytree(undisturbed, tmp_path / "out")
    gone = shutil.copytree(model, tmp_path / model.name)
    (out / "metrics.json").unlink()
    (gone / "model.safetensors").write_bytes(b"never read")
    with pytest.raises(OtherAnswersError, match="model_fingerprint"):
        evaluate(str(gone), shards, out=out, batch=2, **SMALL)
    evaluate(str(model), shards, out=out, batch=2, **SMALL)
    assert (out / "metrics.json").read_text() == (undisturbed / "metrics.json").read_text()


def test_other_answers_are_not_mixed_in(model, shards, undisturbed, tmp_path):
    out = shutil.copytree(undisturbed, tmp_path / "out")
    with pytest.raises(OtherAnswersError, match="seed 0, now 5"):
        evaluate(str(model), shards, out=out, batch=2, seed=5, **SMALL)
    evaluate(str(model), shards, out=out, batch=2, seed=5, overwrite=True, **SMALL)
    assert predictions(out) != predictions(undisturbed)


@pytest.fixture(scope="module")
def trained(runs, tmp_path_factory) -> Path:
    """An export that knows what it learned from."""
    folder = tmp_path_factory.mktemp("trained") / "model"
    export(runs["stage2"], out=folder)
    return folder


def test_training_rows_are_refused_by_key(trained, shards, tmp_path):
    with pytest.raises(TrainedOnError, match=r"of the 8 studies were trained on \(8 by their keys.*--seen score"):
        evaluate(str(trained), shards, out=tmp_path / "out", split="train", **SMALL)
    assert not (tmp_path / "out").exists()
    evaluate(str(trained), shards, out=tmp_path / "out", split="train", seen="score", **SMALL)
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert found["verdict"].startswith("8 of these studies were trained on")
    assert found["seen"]["by_key"] == 8


def test_training_rows_under_other_keys_are_refused_by_their_films(trained, table, tmp_path):
    again = shutil.copytree(table, tmp_path / "table") / "studies.jsonl"
    again.write_text(again.read_text().replace('"train"', '"test"'))
    pack("table", again.parent, out=tmp_path / "again", size=64, format="png", patient_key="other", workers=1)
    whole = {**SMALL, "limit": None}
    with pytest.raises(TrainedOnError, match=r"18 of the 30 studies .*\(18 under other keys by their films"):
        evaluate(str(trained), tmp_path / "again", out=tmp_path / "out", **whole)
    evaluate(str(trained), tmp_path / "again", out=tmp_path / "out", seen="leave_out", **whole)
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert found["studies"] == 12
    assert found["seen"] == {"known": True, "learned": 18, "by_key": 0, "by_look": 18, "left_out": 18}
    assert "18 studies that it was trained on are left out" in found["verdict"]


def test_a_run_is_evaluated_as_its_export_is(trained, runs, shards, tmp_path):
    for name, what in (("run", runs["stage2"]), ("export", trained)):
        evaluate(str(what), shards, out=tmp_path / name, **SMALL)
    assert [row["answer"] for row in predictions(tmp_path / "run")] == [
        row["answer"] for row in predictions(tmp_path / "export")
    ]
    for one, other in zip(predictions(tmp_path / "run"), predictions(tmp_path / "export"), strict=True):
        assert one["likelihood"]["nats"] == pytest.approx(other["likelihood"]["nats"], rel=1e-3)
