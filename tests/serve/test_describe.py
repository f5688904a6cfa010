"""`cxr describe` asks about one image or many, names what it cannot read, and goes on where it was killed."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from cxr_lightning.endpoint.reply import Reply
from cxr_lightning.serve.cases import InputError, Wishes, cases
from cxr_lightning.serve.describe import describe
from cxr_lightning.serve.dialogue import QUESTION, Dialogue
from cxr_lightning.serve.films import open_film
from cxr_lightning.serve.folder import NotAnExportError
from cxr_lightning.serve.local import Local
from cxr_lightning.serve.rows import BookError, read_book
from cxr_lightning.serve.tally import TooManyBadError
from cxr_lightning.shards.images import ImageError
from cxr_lightning.shards.index import read_index
from tests.commands import ROOT
from tests.serve.test_films import png_header
from tests.shards.test_dicom import dicom


def rows(out):
    return [json.loads(line) for line in out.read_text().splitlines()]


def answers(out):
    return {row["id"]: row.get("answer") for row in rows(out)}


@pytest.fixture
def mixed(tmp_path, phantoms):
    """A folder as archives are: nested, of several kinds and sizes, with files that are no radiographs."""
    folder = tmp_path / "mixed"
    (folder / "deep").mkdir(parents=True)
    drawn = sorted((phantoms / "images").glob("*.png"))
    shutil.copy(drawn[0], folder / "a.png")
    Image.fromarray(open_film(drawn[1])[:40]).save(folder / "deep" / "b.JPG")
    shutil.copy(drawn[2], folder / "deep" / "1.2.840.77")
    values = np.arange(0, 4096, dtype=np.uint16).reshape(64, 64)
    (folder / "IM0001").write_bytes(dicom(values, BodyPartExamined="CHEST"))
    (folder / "text.png").write_text("not an image")
    (folder / "huge.png").write_bytes(png_header(60_000, 60_000))
    (folder / "hand.dcm").write_bytes(dicom(values, BodyPartExamined="HAND"))
    (folder / "notes.txt").write_text("no image either")
    (folder / "._a.png").write_text("what another system leaves")
    return folder


def test_one_image_is_answered_on_the_screen(model, phantoms, capsys):
    film = min((phantoms / "images").glob("*.png"))
    describe(str(model), str(film), question="What is seen?", max_new_tokens=8)
    expected = Local(model).answers([Dialogue.ask(open_film(film), question="What is seen?")], max_new_tokens=8)
    assert capsys.readouterr().out == expected[0] + "\n"


def test_an_empty_answer_is_said_aside(model, phantoms, capsys, monkeypatch):
    monkeypatch.setattr(Local, "replies", lambda *_, **__: [Reply("")])
    describe(str(model), str(min((phantoms / "images").glob("*.png"))))
    told = capsys.readouterr()
    assert told.out == ""
    assert "empty" in told.err


def test_a_folder_is_read_deep_and_what_is_no_radiograph_is_a_row(model, mixed, tmp_path):
    out = tmp_path / "answers.jsonl"
    describe(str(model), str(mixed), out=out, max_new_tokens=8, max_bad=0.5, csv=True)
    told = {row["id"].removeprefix(f"{mixed}/"): row for row in rows(out)}
    assert [name for name, row in told.items() if "answer" in row] == [
        "IM0001",
        "a.png",
        "deep/1.2.840.77",
        "deep/b.JPG",
    ]
    errors = {name: row["error"] for name, row in told.items() if "error" in row}
    assert set(errors) == {"text.png", "huge.png", "hand.dcm"}
    assert all(name in error and "Remedy" in error for name, error in errors.items())
    assert "Secret" not in out.read_text()
    one = Local(model).replies([Dialogue.ask(open_film(mixed / "deep" / "b.JPG"))], max_new_tokens=8)[0]
    row = told["deep/b.JPG"]
    assert (row["answer"], row["tokens"], row["finish"]) == (one.text, one.tokens, one.finish)
    assert row["question"] == QUESTION
    assert row["model"].startswith("tiny-cxr@")
    with out.with_suffix(".csv").open(newline="") as file:
        written = {row["id"]: row["answer"] for row in csv.DictReader(file)}
    assert written == {name: text or "" for name, text in answers(out).items()}


def test_more_bad_ones_than_allowed_end_in_an_error_and_answers_are_kept(model, mixed, tmp_path):
    out = tmp_path / "answers.jsonl"
    with pytest.raises(TooManyBadError, match=r"3 of 7 could not be described, and 0 may be bad(.|\n)*text\.png"):
        describe(str(model), str(mixed), out=out, max_new_tokens=2)
    assert len(rows(out)) == 7
    shutil.copy(mixed / "a.png", mixed / "text.png")  # mended
    (mixed / "huge.png").unlink()
    describe(str(model), str(mixed), out=out, max_new_tokens=2, any_body_part=True)
    assert len(rows(out)) == len(answers(out)) == 6
    assert all("error" not in row for row in rows(out))


def test_a_table_asks_what_it_likes_and_shows_laterals(model, phantoms, tmp_path):
    names = sorted(path.name for path in (phantoms / "images").glob("*.png"))
    table = tmp_path / "questions.jsonl"
    asked = [
        {"image": names[0], "question": "Is the heart enlarged?"},
        {"image": names[0], "question": "Are the lungs clear?"},
        {"images": [names[1]], "lateral": names[2], "id": 7},
        {"image": names[3], "lateral": None},
    ]
    table.write_text("".join(json.dumps(row) + "\n" for row in asked))
    out = tmp_path / "answers.csv"
    describe(str(model), str(table), root=phantoms / "images", out=out, max_new_tokens=8, lateral=True)
    told = list(read_book(out))
    assert [row["id"] for row in told] == [names[0], f"{names[0]}#2", "7", names[3]]
    assert [row["question"] for row in told] == ["Is the heart enlarged?", "Are the lungs clear?", QUESTION, QUESTION]
    assert told[2]["images"] == f"{names[1]};{names[2]}"
    two = Dialogue.ask(*(open_film(phantoms / "images" / name) for name in names[1:3]))
    assert told[2]["answer"] == Local(model).answers([two], max_new_tokens=8)[0]


def test_shards_are_asked_about_split_by_split(model, shards, tmp_path):
    out = tmp_path / "answers.jsonl"
    describe(str(model), str(shards), split="validate", out=out, max_new_tokens=4)
    assert [row["id"] for row in rows(out)] == list(read_index(shards).split("validate").keys)


def test_a_batch_does_not_change_answers(model, mixed, tmp_path):
    for batch in (1, 4):
        describe(str(model), str(mixed), out=tmp_path / f"{batch}.jsonl", batch=batch, max_new_tokens=16, max_bad=1)
    assert answers(tmp_path / "1.jsonl") == answers(tmp_path / "4.jsonl")


def test_a_killed_run_is_gone_on_with(model, phantoms, tmp_path, caplog):
    out, folder = tmp_path / "answers.jsonl", tmp_path / "films"
    folder.mkdir()
    for path in sorted((phantoms / "images").glob("*.png"))[:24]:
        shutil.copy(path, folder)
    say = {"batch": 2, "max_new_tokens": 150}
    options = [word for name, value in say.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "cxr_lightning", "describe", str(model), str(folder), "--out", str(out), *options]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    while not (out.is_file() and out.read_bytes().count(b"\n") >= 6):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = out.read_text()
    assert 6 <= kept.count("\n") < 24
    with out.open("a") as file:
        file.write(kept.splitlines()[0][:40])  # a node that died in the midst of a line
    caplog.set_level("INFO")
    describe(str(model), str(folder), out=out, **say)
    assert f"{len(kept.splitlines())} of 24 were answered before" in caplog.text
    assert out.read_text().startswith(kept)
    assert len(rows(out)) == len(answers(out)) == 24
    assert sorted(os.listdir(tmp_path)) == ["answers.jsonl", "films"]


@pytest.mark.parametrize("name", ["answers.jsonl", "answers.csv"])
def test_another_question_or_model_is_not_mixed_in(model, mixed, tmp_path, name):
    out, say = tmp_path / name, {"max_new_tokens": 2, "max_bad": 1.0}
    describe(str(model), str(mixed), out=out, **say)
    before = sorted(row["id"] for row in read_book(out))
    with pytest.raises(BookError, match="another question"):
        describe(str(model), str(mixed), out=out, question="Why?", **say)
    with pytest.raises(BookError, match="max_new_tokens 2, and this is 3"):
        describe(str(model), str(mixed), out=out, max_new_tokens=3, max_bad=1.0)
    other = shutil.copytree(model, tmp_path / "other")
    with pytest.raises(BookError, match=r"model tiny-cxr@.* this is other@"):
        describe(str(other), str(mixed), out=out, **say)
    good = [row["id"] for row in read_book(out)]
    assert [name for name in before if "/deep" in name] == [name for name in good if "/deep" in name]
    describe(str(model), str(mixed), out=out, question="Why?", overwrite=True, **say)
    assert {row["question"] for row in read_book(out)} == {"Why?"}
    assert sorted(row["id"] for row in read_book(out)) == before


@pytest.mark.quick
@pytest.mark.parametrize("name", ["thesis.txt", "thesis.jsonl", "row.jsonl", "thesis.csv", "no/folder.jsonl"])
def test_what_is_no_file_of_answers_is_never_written_to(tmp_path, name):
    if "/" not in name:
        (tmp_path / name).write_text('{"years": "of work"}\n' if name == "row.jsonl" else "years of work")
    (tmp_path / "a.png").write_bytes(png_header(8, 8))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(BookError, match=r"thesis|row|folder"):
        describe("http://127.0.0.1:9", str(tmp_path / "a.png"), out=tmp_path / name, overwrite=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.quick
@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"image": "a.png"}\n{"image": \n', "line 2: no JSON"),
        ("[1]\n", "line 1: list"),
        ('{"path": "a.png"}\n', "no path under 'image' \\(it has path\\)"),
        ('{"image": "a.png", "id": 1}\n{"image": "b.png", "id": 1}\n', "two rows have the id 1"),
        ("", "nothing to describe"),
    ],
)
def test_a_table_that_cannot_be_read_is_told_before_anything_is_loaded(tmp_path, content, told):
    (tmp_path / "table.jsonl").write_text(content)
    with pytest.raises(InputError, match=told):
        list(cases([str(tmp_path / "table.jsonl")], Wishes("?", None, "test", False)))


@pytest.mark.quick
def test_what_is_not_there_is_told(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("x")
    for given, told in (
        ("empty", r"no PNG, JPEG or DICOM file \(1 \.txt\)"),
        ("gone.png", "no such file"),
        ("t.csv", "a JSONL file"),
    ):
        (tmp_path / "t.csv").write_text("image\n")
        with pytest.raises(InputError, match=told):
            describe("http://127.0.0.1:9", str(tmp_path / given))


@pytest.mark.quick
def test_several_images_need_a_file(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.png").write_bytes(png_header(8, 8))
    with pytest.raises(InputError, match="--out"):
        describe("http://127.0.0.1:9", str(tmp_path))


def test_half_an_export_leaves_nothing_behind(model, phantoms, tmp_path):
    half = shutil.copytree(model, tmp_path / "half", ignore=shutil.ignore_patterns("model.safetensors"))
    with pytest.raises(NotAnExportError, match=r"half lacks model\.safetensors"):
        describe(str(half), str(phantoms / "images"), out=tmp_path / "answers.jsonl")
    assert os.listdir(tmp_path) == ["half"]


def test_one_image_that_is_none_is_an_error(model, tmp_path):
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(ImageError, match=r"text\.png: not a PNG"):
        describe(str(model), str(tmp_path / "text.png"))
