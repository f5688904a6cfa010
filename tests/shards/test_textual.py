"""Samples of text alone: packed when asked, never made of a study whose image was lost."""

from __future__ import annotations

import io
import json
import shutil
import tarfile

import numpy as np
import pytest
from PIL import Image

from cxr_lightning.model.compose import load_processor
from cxr_lightning.model.source import ModelSource
from cxr_lightning.reports.conversations import IMAGE_MARK, Said
from cxr_lightning.reports.sources import Columns, SourceError
from cxr_lightning.reports.textual import EXAMPLES, converse_in_text
from cxr_lightning.shards.contract import ShardError
from cxr_lightning.shards.index import read_index
from cxr_lightning.shards.indexing import index
from cxr_lightning.shards.packing import TooManyFlaws, pack
from cxr_lightning.shards.sample import parse_sample, sample_bytes
from cxr_lightning.shards.splits import Fractions
from cxr_lightning.shards.verification import verify
from cxr_lightning.stream.encode import Encoder

REPORT = {"findings": "The heart is large. The lungs are clear.", "impression": "Cardiomegaly."}
ASKED = {"question": "What is a pneumothorax?", "answer": "Air between the pleural layers."}
ALL_TRAIN = Fractions(1.0, 0.0, 0.0)


def write(folder, rows, images=()):
    folder.mkdir(parents=True, exist_ok=True)
    for name in images:
        Image.fromarray(np.arange(400, dtype=np.uint8).reshape(20, 20)).save(folder / name)
    named = [{"study_id": f"s{number}", "patient_id": f"p{number}", **row} for number, row in enumerate(rows)]
    (folder / "studies.jsonl").write_text("".join(json.dumps(row) + "\n" for row in named))
    return folder


def packed(tmp_path, rows, images=(), **options):
    out = tmp_path / "shards"
    pack("table", write(tmp_path / "source", rows, images), out=out, size=32, split=ALL_TRAIN, workers=1, **options)
    return read_index(out)


def samples(index):
    split = index.split("train")
    return [split.read(number) for number in range(len(split))]


@pytest.mark.quick
def test_unasked_a_study_needs_an_image(tmp_path):
    with pytest.raises(SourceError, match="'image'"):
        packed(tmp_path, [REPORT])
    with pytest.raises(TooManyFlaws, match="column 'image' is empty"):
        packed(tmp_path / "other", [{"image": "", **REPORT}, {"image": "a.png", **REPORT}], ["a.png"])


@pytest.mark.quick
def test_an_image_that_is_named_must_be_there_all_the_same(tmp_path):
    with pytest.raises(TooManyFlaws, match="image"):
        packed(tmp_path, [{"image": "lost.png", **REPORT}, REPORT], text_only="allow")
    with pytest.raises(SourceError, match=r"--columns\.image"):
        packed(tmp_path / "named", [REPORT], text_only="allow", columns=Columns(image="path"))


@pytest.mark.quick
def test_reports_and_questions_are_packed_beside_images(tmp_path, capsys):
    rows = [REPORT, {"image": "a.png", **REPORT}, ASKED, {"report": "IMPRESSION: Clear lungs."}]
    index = packed(tmp_path, rows, ["a.png"], text_only="allow", conversation="mixed", keep_study_ids=True)
    assert "3 of 4 studies have no image" in capsys.readouterr().err
    verify(index)
    found = {sample.record["study"]: sample for sample in samples(index)}
    assert sorted(index.split("train").images.tolist()) == [0, 0, 0, 1]
    report, asked, short = (found[name].record["conversation"] for name in ("s0", "s2", "s3"))
    assert REPORT["findings"] in report[0]["content"]
    assert report[1]["content"] == REPORT["impression"]
    assert [turn["content"] for turn in asked] == [ASKED["question"], ASKED["answer"]]
    assert short[0]["content"] in EXAMPLES
    for name in ("s0", "s2", "s3"):
        assert not found[name].images
        assert not found[name].record["views"]
        assert all(IMAGE_MARK not in turn["content"] for turn in found[name].record["conversation"])
    assert IMAGE_MARK in found["s1"].record["conversation"][0]["content"]


@pytest.mark.quick
def test_a_text_that_marks_an_image_is_refused(tmp_path):
    with pytest.raises(TooManyFlaws, match="mark 1 images"):
        packed(tmp_path, [{"question": "<image> What is this?", "answer": "A film."}], text_only="allow")


@pytest.mark.quick
def test_a_sample_that_lost_its_image_is_no_sample_of_text_alone(tmp_path):
    sample = samples(packed(tmp_path, [{"image": "a.png", **REPORT}], ["a.png"]))[0]
    with pytest.raises(ShardError, match="fewer images are there than its record lists"):
        parse_sample(sample_bytes(sample.key, sample.record, {}))


@pytest.mark.quick
def test_the_index_is_made_again_from_the_tars(tmp_path):
    packed(tmp_path, [REPORT, {"image": "a.png", **REPORT}, ASKED], ["a.png"], text_only="allow")
    here, again = tmp_path / "shards", tmp_path / "again"
    shutil.copytree(here, again)
    for name in ("index.json", "index.npy"):
        (again / name).unlink()
    index(str(again), workers=1)
    assert read_index(again).fingerprint == read_index(here).fingerprint
    assert (again / "index.npy").read_bytes() == (here / "index.npy").read_bytes()


@pytest.mark.quick
def test_foreign_tars_of_text_are_read_when_asked(tmp_path):
    with tarfile.open(tmp_path / "train-0.tar", "w") as tar:
        for number in range(3):
            data = f"The lungs of sample {number} are clear.".encode()
            info = tarfile.TarInfo(f"{number}.txt")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    with pytest.raises(ShardError, match="no image"):
        index(str(tmp_path), workers=1)
    index(str(tmp_path), image="none", workers=1)
    read = read_index(tmp_path)
    assert read.split("train").images.tolist() == [0, 0, 0]
    sample = read.split("train").read(1)
    assert not sample.images
    assert sample.record["summary"] == sample.record["conversation"][1]["content"] == "The lungs of sample 1 are clear."
    assert IMAGE_MARK not in sample.record["conversation"][0]["content"]


@pytest.mark.quick
def test_the_same_key_is_asked_the_same_and_others_are_asked_otherwise():
    said = Said("All.", "Findings are here.", "An impression.")
    asked = [converse_in_text(said, f"key{number}")[0]["content"] for number in range(60)]
    assert asked == [converse_in_text(said, f"key{number}")[0]["content"] for number in range(60)]
    assert len(set(asked)) > 7
    assert all("Findings are here." in each for each in asked)
    assert converse_in_text(Said(""), "key") == []


@pytest.mark.parametrize("kind", ["summary", "conversation", "report"])
def test_every_stage_reads_them(tmp_path, parts, kind):
    source = ModelSource(vision=parts["siglip"], language=parts["language"])
    encoder = Encoder(load_processor(source), kind, 2048)
    index = packed(tmp_path, [REPORT, ASKED], text_only="allow")
    for sample in samples(index):
        encoded = encoder(sample)
        assert encoded.images == 0
        assert encoded.supervised > 0
        assert (encoded.ids_L != encoder.processor.image_token_id).all()
