"""Tars that others wrote are trained on where they lie, patient by patient, as ours are."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import webdataset
from PIL import Image

from cxr_lightning.shards.index import read_index
from cxr_lightning.shards.verification import verify
from tests.fitting import cxr, losses, options


@pytest.fixture
def others(phantoms: Path, tmp_path: Path) -> Path:
    """The drawn archive as WebDataset's own writer stores it: JPEG and JSON, four tars."""
    (tmp_path / "others").mkdir()
    studies = [json.loads(line) for line in (phantoms / "studies.jsonl").read_text().splitlines()]
    with webdataset.ShardWriter(f"{tmp_path}/others/cxr-%04d.tar", maxcount=15, verbose=0) as writer:
        for study in studies:
            image = io.BytesIO()
            Image.open(phantoms / study["image"]).convert("L").save(image, "JPEG")
            told = {"meta": {"report": study["report"], "patient": study["patient_id"]}}
            writer.write({"__key__": f"film/{study['study_id']}", "jpeg": image.getvalue(), "json": told})
    return tmp_path / "others"


@pytest.mark.ranks
def test_a_stage_is_trained_on_tars_of_others(others, parts, tmp_path):
    names = ["--text", "json.meta.report", "--patient", "json.meta.patient"]
    cxr("index", f"{others}/cxr-{{0000..0003}}.tar", "--out", tmp_path / "index", *names)
    index = read_index(tmp_path / "index")
    verify(index)
    assert sum(counts["samples"] for counts in index.counts.values()) == 60
    few = ["--trainer.devices", "1", "--trainer.max_steps", "2", "--model.optim.lr", "0.02"]
    cxr("fit", *options(1, tmp_path / "index", tmp_path / "run", parts), *few)
    assert len(losses(tmp_path / "run")) == 2
    assert not (tmp_path / "run" / "skipped.jsonl").exists()


@pytest.mark.ranks
def test_names_that_others_gave_stay_out_of_logs(others, parts, tmp_path):
    names = ["--text", "json.meta.report", "--patient", "json.meta.patient"]
    cxr("index", f"{others}/cxr-{{0000..0003}}.tar", "--out", tmp_path / "index", *names)
    train = read_index(tmp_path / "index").split("train")
    with open(train.location(5), "r+b") as tar:
        tar.seek(int(train.offset[5]) + int(train.size[5]) // 2)
        byte = tar.read(1)[0]
        tar.seek(-1, 1)
        tar.write(bytes([byte ^ 1]))
    few = ["--trainer.devices", "1", "--model.optim.lr", "0.02", "--data.max_bad", "0.5"]
    told = cxr("fit", *options(1, tmp_path / "index", tmp_path / "run", parts), *few)
    lines = [json.loads(line) for line in (tmp_path / "run" / "skipped.jsonl").read_text().splitlines()]
    assert {line["number"] for line in lines} == {5}
    named = told.stdout + told.stderr + (tmp_path / "run" / "skipped.jsonl").read_text()
    assert lines[0]["key"] in named
    assert train.key(5) not in named
    assert train.key(5).removeprefix("film/") not in named
