"""The page and its key: nothing tells who wrote what, everyone reads their share, and no key is ever lost."""

from __future__ import annotations

import base64
import io
import json
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cxr_lightning.evaluation.experts.blinding import Plan, blind
from cxr_lightning.evaluation.experts.material import RADIOLOGIST, Film, ReadingError, Study
from cxr_lightning.evaluation.experts.reading import reading
from cxr_lightning.evaluation.predictions import PredictionsError
from tests.evaluation.experts.conftest import SYSTEMS, write_evaluation

pytestmark = pytest.mark.quick


def study(number: int, **reports: str) -> Study:
    return Study(f"k{number}", f"p{number // 2}", (Film("frontal", b"film", 4, 4),), reports)


def studies(count: int) -> list[Study]:
    return [study(number, one=f"one {number}", two=f"two {number}", three=f"three {number}") for number in range(count)]


@given(st.integers(1, 30), st.integers(1, 4), st.integers(0, 30), st.integers(0, 5), st.integers(0, 9))
def test_everyone_reads_their_share(count, readers, overlap, repeats, seed):
    overlap = min(overlap, count)
    if not overlap and count < readers:
        return
    blinded = blind(studies(count), Plan(readers, overlap, repeats), seed)
    seats = [[blinded.items[number] for number in seat] for seat in blinded.seats]
    firsts = [[item for item in seat if blinded.key[item["id"]]["repeat_of"] is None] for seat in seats]
    read = [{item["study"] for item in seat} for seat in firsts]
    assert set.union(*read) == set(range(count))
    assert len(set.intersection(*read)) == (count if readers == 1 else overlap)
    for seat, first in zip(seats, firsts, strict=True):
        assert len(first) == len({item["study"] for item in first})
        assert len(seat) - len(first) == min(repeats, len(first) // 2)
        order = [item["id"] for item in seat]
        for item in seat:  # a repeat comes after its original
            original = blinded.key[item["id"]]["repeat_of"]
            assert original is None or order.index(original) < order.index(item["id"])


def test_reports_are_shuffled_and_the_key_undoes_it():
    blinded = blind(studies(300), Plan(1, None, 0), 3)
    places = {"one": [0, 0, 0], "two": [0, 0, 0], "three": [0, 0, 0]}
    for item in blinded.items:
        for place, report in enumerate(item["reports"]):
            entry = blinded.key[item["id"]]["reports"][report["label"]]
            assert report["text"].startswith(entry["systems"][0] + " ")
            places[entry["systems"][0]][place] += 1
    assert all(70 < times < 130 for row in places.values() for times in row)


def test_equal_words_are_judged_once():
    blinded = blind([study(0, one="Clear lungs.", two="Clear lungs.", three="")], Plan(1, None, 0), 0)
    entry = blinded.key[blinded.items[0]["id"]]["reports"]
    assert sorted(report["systems"] for report in entry.values()) == [["one", "two"], ["three"]]
    assert {report["text"] for report in entry.values()} == {"Clear lungs.", "(no text)"}


def test_the_page_holds_no_name_and_no_key(made, outs):
    page, key = made
    html = page.read_text()
    assert key["systems"] == [*SYSTEMS, RADIOLOGIST]
    inside = json.loads(re.search(r'id="reading">(.*?)</script>', html)[1])
    texts = {report["text"] for item in inside["items"] for report in item["reports"]}
    words = re.sub(r"<script type=.text/plain.*?</script>", "", html, flags=re.S)  # base64 may spell anything
    for name in (*SYSTEMS, *(folder.name for folder in outs), str(key["seed"]), key["shards"], str(page.parent)):
        assert name not in words.replace("first-child", "").replace("First unfinished", "") or name in (
            "first",
            "second",
        )
    for entry in key["items"].values():
        assert entry["patient"] not in html
        for report in entry["reports"].values():
            assert report["text"] in texts
    # What an item holds is its films, letters and texts, in the order of letters.
    for item in inside["items"]:
        assert set(item) == {"id", "study", "reports"}
        assert [report["label"] for report in item["reports"]] == list("ABC"[: len(item["reports"])])
    assert not re.findall(r"src=\"(?!data:)|https?://(?!www.w3.org)|@import", words)
    assert page.with_suffix(".key.json").stat().st_mode & 0o077 == 0


def test_films_are_as_large_as_the_shards_have_them(made):
    films = re.findall(
        r'<script type="text/plain" id="film-\d+-\d+" data-position="(\w+)">(.*?)</script>', made[0].read_text()
    )
    assert {position for position, _ in films} == {"frontal", "lateral"}
    sizes = {Image.open(io.BytesIO(base64.b64decode(data))).size for _, data in films}
    assert sizes == {(200, 160)}


def test_films_are_shrunk_to_what_is_asked(outs, tmp_path):
    reading(*map(str, outs), out=tmp_path / "reading.html", studies=2, size=64)
    films = re.findall(r'id="film-\d+-\d+" data-position="\w+">(.*?)</script>', (tmp_path / "reading.html").read_text())
    assert {Image.open(io.BytesIO(base64.b64decode(data))).size for data in films} == {(64, 51)}


def test_two_pages_are_shuffled_by_different_secrets(outs, tmp_path):
    orders = []
    for name in ("one.html", "two.html"):
        reading(*map(str, outs), out=tmp_path / name, studies=6, repeats=0)
        key = json.loads((tmp_path / name).with_suffix(".key.json").read_text())
        orders.append((key["seed"], key["page"]))
    assert orders[0][0] != orders[1][0]
    assert orders[0][1] != orders[1][1]


def test_a_key_is_never_replaced(made, outs):
    with pytest.raises(ReadingError, match="another --out"):
        reading(*map(str, outs), out=made[0])


def test_markup_in_a_report_stays_text(shards, tmp_path):
    out = write_evaluation(tmp_path / "wild", shards, "wild", lambda case: "</script><script>alert(1)</script><!-- ")
    reading(str(out), out=tmp_path / "reading.html", studies=2, truth=False)
    html = (tmp_path / "reading.html").read_text()
    assert "alert(1)" in html
    assert "<script>alert" not in html
    assert "<!-- " not in html


def _edit(folder, **values):
    file = folder / "metrics.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "metrics.json").unlink(), "no file of `cxr evaluate`"),
        (lambda folder: (folder / "predictions.jsonl").write_text("{"), "evaluate again"),
        (lambda folder: (folder / "predictions.jsonl").write_text(""), "No study was answered by all"),
        (lambda folder: _edit(folder, shards="f" * 64), "not seen the same studies"),
        (lambda folder: _edit(folder, split="train"), "not seen the same studies"),
    ],
)
def test_folders_that_do_not_fit_are_refused(shards, outs, tmp_path, spoil, told):
    other = write_evaluation(tmp_path / "other", shards, "other", lambda case: "Clear.")
    spoil(other)
    with pytest.raises((ReadingError, PredictionsError), match=told):
        reading(str(outs[0]), str(other), out=tmp_path / "reading.html")
    assert not list(tmp_path.glob("reading*"))


def test_other_shards_are_refused(shards, tmp_path):
    out = write_evaluation(tmp_path / "out", shards, "a", lambda case: "Clear.")
    _edit(out, shards="0" * 64)
    with pytest.raises(ReadingError, match="--shards"):
        reading(str(out), out=tmp_path / "reading.html")


def test_a_report_that_names_its_system_is_told(shards, tmp_path, capsys):
    out = write_evaluation(tmp_path / "out", shards, "Quokka", lambda case: "I am quokka. The lungs are clear.")
    reading(str(out), out=tmp_path / "reading.html", studies=3)
    assert "3 reports of Quokka hold its name" in " ".join(capsys.readouterr().out.split())


def test_a_drawn_seed_can_be_given_again(outs, tmp_path):
    seed = random.Random(0).getrandbits(32)
    pages = []
    for name in ("one.html", "two.html"):
        reading(*map(str, outs), out=tmp_path / name, studies=4, seed=seed)
        pages.append((tmp_path / name).read_text())
    assert pages[0] == pages[1]
