"""A file of answers holds what was asked of which films, and whatever else there is in the world."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest

from cxr_lightning.endpoint.reply import Reply
from cxr_lightning.serve.asking import Answered
from cxr_lightning.serve.book import Book
from cxr_lightning.serve.cases import Case
from cxr_lightning.serve.describe import describe
from cxr_lightning.serve.dialogue import Dialogue
from cxr_lightning.serve.films import open_film
from cxr_lightning.serve.local import Local
from cxr_lightning.serve.rows import BookError, read_book
from tests.shards.test_dicom import dicom


def rows(out):
    return [json.loads(line) for line in out.read_text().splitlines()]


@pytest.mark.quick
def test_half_a_row_of_csv_is_asked_again(tmp_path):
    out, whole = tmp_path / "answers.csv", 'a.png,a.png,Why?,"one\ntwo\rthree, ""four""",3,stop,0.1,,0a1b,64,8,tiny@1\n'
    head = "id,images,question,answer,tokens,finish,seconds,error,films,image_size,max_new_tokens,model\n"
    for cut in range(len(whole)):
        out.write_text(head + whole + whole.replace("a.png", "b.png")[:cut])
        with Book(out, model="tiny@1", max_new_tokens=8):
            pass
        assert [row["id"] for row in read_book(out)] == ["a.png"]


@pytest.mark.quick
def test_only_one_process_writes(tmp_path):
    out = tmp_path / "answers.jsonl"
    with (
        Book(out, model="a", max_new_tokens=8),
        pytest.raises(BookError, match="another process"),
        Book(out, model="a", max_new_tokens=8),
    ):
        pass
    assert os.listdir(tmp_path) == ["answers.jsonl"]


def phantom(phantoms, number):
    return sorted((phantoms / "images").glob("*.png"))[number]


def test_a_film_that_is_another_is_asked_again(model, phantoms, tmp_path, caplog):
    out, film = tmp_path / "a.jsonl", tmp_path / "film.png"
    for number in (0, 1, 1):
        shutil.copy(phantom(phantoms, number), film)
        os.utime(film, (number, number))
        describe(str(model), str(tmp_path / "film.png"), out=out, max_new_tokens=8)
        asked = Dialogue.ask(open_film(film))
        assert [row["answer"] for row in rows(out)] == Local(model).answers([asked], max_new_tokens=8)
    assert caplog.text.count("asked again") == 1


def test_films_of_another_root_are_others(model, phantoms, tmp_path):
    table, stamps = tmp_path / "t.jsonl", []
    table.write_text('{"image": "film.png", "id": "p1"}\n')
    for number, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        shutil.copy(phantom(phantoms, number), tmp_path / name / "film.png")
        describe(str(model), str(table), root=tmp_path / name, out=tmp_path / "o.csv", max_new_tokens=2)
        stamps += [row["films"] for row in read_book(tmp_path / "o.csv")]
    assert len(set(stamps)) == len(stamps) == 2


def test_laterals_are_shown_when_asked_for(model, phantoms, tmp_path):
    table = tmp_path / "t.jsonl"
    table.write_text(json.dumps({"image": str(phantom(phantoms, 0)), "lateral": str(phantom(phantoms, 1))}))
    describe(str(model), str(table), out=tmp_path / "a.jsonl", max_new_tokens=2)
    assert [len(row["images"]) for row in rows(tmp_path / "a.jsonl")] == [1]


def test_an_answer_that_is_cut_off_says_so(model, phantoms, capsys):
    describe(str(model), str(phantom(phantoms, 0)), max_new_tokens=2)
    assert "cut off at 2 tokens (--max_new_tokens)" in capsys.readouterr().err


def test_one_bad_row_is_one_row(model, phantoms, tmp_path, monkeypatch):
    table, film = tmp_path / "t.jsonl", str(phantom(phantoms, 0))
    asked = ["Why?", "what is <image>?", "half \ud800", "too long", None]
    table.write_text("".join(json.dumps({"image": film, "question": each}) + "\n" for each in asked))
    folder = tmp_path / "odd"
    folder.mkdir()
    shutil.copy(film, os.fsencode(folder) + b"/M\xfcller.png")
    values = np.arange(0, 4096, dtype=np.uint16).reshape(64, 64)
    (folder / "frames.dcm").write_bytes(dicom(values, PixelData=values.tobytes() * 3))
    real = Local.replies

    def strict(self, dialogues, **more):
        if any("too long" in each.turns[0][1] for each in dialogues):
            raise ValueError("longer than the model knows")
        return real(self, dialogues, **more)

    monkeypatch.setattr(Local, "replies", strict)
    for name in ("a.jsonl", "a.csv"):
        for _ in range(2):  # and so does going on
            describe(str(model), str(table), str(folder), out=tmp_path / name, max_new_tokens=2, max_bad=1.0)
        told = [bool(row.get("error")) for row in read_book(tmp_path / name)]
        assert sorted(told) == [False] * 3 + [True] * 4, name


def test_a_csv_of_someone_else_stays(phantoms, tmp_path):
    (tmp_path / "o.csv").write_text("patient,outcome\n1,dead\n")
    with pytest.raises(BookError, match=r"o\.csv is no file of answers"):
        describe("http://127.0.0.1:9", str(phantom(phantoms, 0)), out=tmp_path / "o.jsonl", csv=True)


@pytest.mark.quick
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_what_spreadsheets_would_compute_and_power_cuts_leave(tmp_path, name):
    out, case = tmp_path / name, Case("=1+1", "Q", lambda: None, "f")
    with Book(out, model="m", max_new_tokens=8) as book:
        book.add([Answered(case, ("a.png",), Reply("-x" * 70_000))])
    with out.open("ab") as file:
        file.write(b"\0" * 100)
    with Book(out, model="m", max_new_tokens=8) as book:
        assert book.has(case)
    assert next(read_book(out))["answer"].startswith("-x")
    assert b"\0" not in out.read_bytes()
    if name.endswith("csv"):
        assert "\n'=1+1," in out.read_text()
