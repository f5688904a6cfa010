"""Saved files become numbers: counted by hand, half-filled ones told, those of others refused, wild ones survived."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxr_lightning.evaluation.experts.agreement import agreement, disagreements, repeats
from cxr_lightning.evaluation.experts.answers import AnswersError, Judgement, read_answers
from cxr_lightning.evaluation.experts.experts import experts
from cxr_lightning.evaluation.experts.material import RADIOLOGIST
from cxr_lightning.evaluation.experts.summary import by_label, differences, summarise
from tests.evaluation.experts.conftest import SYSTEMS, judged, saved

pytestmark = pytest.mark.quick

QUOKKA, WOMBAT = SYSTEMS


def judgement(
    reader="AB", study="s0", system="a", score=4, errors=(), again=False, label="A", seconds=10.0
) -> Judgement:
    return Judgement(
        reader, study, f"patient of {study}", label, (system,), f"text of {system}",
        score >= 4, score, frozenset(errors), "", seconds, again,
    )  # fmt: skip


def by_system(scores: dict[str, int]):
    """Judges each system alike; of one text by two systems, the first one's score."""
    return lambda item, systems: judged(next(scores[system] for system in scores if system in systems))


@pytest.fixture
def key_file(made) -> Path:
    return made[0].with_suffix(".key.json")


def read(tmp_path, *files, key_file):
    experts(*map(str, files), key=key_file, out=tmp_path / "out", draws=50)
    return json.loads((tmp_path / "out" / "experts.json").read_text())


def test_two_readers(made, key_file, tmp_path, capsys):
    key = made[1]
    one = saved(tmp_path / "1.json", key, "AB", by_system({RADIOLOGIST: 5, WOMBAT: 4, QUOKKA: 1}))
    two = saved(tmp_path / "2.json", key, "CD", by_system({RADIOLOGIST: 5, WOMBAT: 3, QUOKKA: 1}), seat=1)
    found = read(tmp_path, one, two, key_file=key_file)
    rows = found["systems"]
    assert {name: row["score"]["value"] for name, row in rows.items()} == {QUOKKA: 1.0, WOMBAT: 3.5, RADIOLOGIST: 5.0}
    assert {name: row["judgements"] for name, row in rows.items()} == dict.fromkeys(rows, 12)  # repeats are left out
    assert rows[RADIOLOGIST]["score"]["low"] is rows[RADIOLOGIST]["score"]["high"] is None, "all 5, which says little"
    patients = rows[RADIOLOGIST]["patients"]
    assert rows[RADIOLOGIST]["accurate"]["low"] == pytest.approx(0.025 ** (1 / patients))
    assert rows[WOMBAT]["accurate"]["value"] == 0.5
    assert rows[WOMBAT]["errors"]["missed"]["value"] == 0.5
    assert rows[WOMBAT]["scores"] == {"1": 0, "2": 0, "3": 6, "4": 6, "5": 0}
    assert found["agreement"]["kappa"] == "Cohen"
    assert found["agreement"]["reports"] == 18
    assert found["agreement"]["accurate"]["same"] == pytest.approx(2 / 3)
    assert found["agreement"]["accurate"]["value"] == pytest.approx(0.4)  # (2/3 - 4/9) / (1 - 4/9)
    assert found["agreement"]["score"]["within_one"] == 1.0
    assert found["repeats"]["AB"]["reports"] == 3
    assert found["repeats"]["AB"]["score"] == 1.0
    gap = next(row for row in found["differences"] if (row["first"], row["second"]) == (QUOKKA, WOMBAT))
    assert (gap["measure"], gap["value"]) == ("score", -2.5)
    page = (tmp_path / "out" / "experts.html").read_text()
    assert "<b>5.00</b><small>–</small>" in page
    assert "None" not in page
    said = " ".join(capsys.readouterr().out.split())
    assert "Cohen's kappa of accuracy 0.40" in said
    assert "are finished" not in said


def test_the_page_of_results_asks_nothing_of_the_network(made, key_file, tmp_path):
    def judge(item, systems):
        return judged(2 if QUOKKA in systems else 5, comment="<script>alert(1)</script>")

    files = [
        saved(tmp_path / "1.json", made[1], "AB", judge),
        saved(tmp_path / "2.json", made[1], "<b>CD", by_system({RADIOLOGIST: 2, WOMBAT: 2, QUOKKA: 2}), seat=1),
    ]
    read(tmp_path, *files, key_file=key_file)
    html = (tmp_path / "out" / "experts.html").read_text()
    assert not re.findall(r"<script|<b>CD|src=|href=|https?://|@import|url\(", html)
    assert "&lt;script&gt;alert(1)" in html
    assert all(name in html for name in (*SYSTEMS, RADIOLOGIST, "Where readers differ most"))
    assert not list((tmp_path / "out").glob("*.partial"))


def test_what_is_half_filled_is_counted_and_left_out(made, key_file, tmp_path, capsys):
    key = made[1]
    file = saved(tmp_path / "1.json", key, "AB", by_system({RADIOLOGIST: 5, WOMBAT: 4, QUOKKA: 1}))
    answers = json.loads(file.read_text())
    whole, half, blame, *rest = key["seats"][0]
    answers["items"] = {item: answers["items"][item] for item in (whole, half, blame)}
    answers["items"][half]["A"]["score"] = None
    answers["items"][blame]["A"] |= {"accurate": False, "errors": []}  # what is wrong was not said
    answers["items"][rest[0]] = {"A": {"accurate": None, "score": None, "errors": [], "comment": "", "seconds": 4.2}}
    file.write_text(json.dumps(answers))
    found = read(tmp_path, file, key_file=key_file)
    (reader,) = found["readers"]
    assert (reader["assigned"], reader["finished"], reader["begun"], reader["judgements"]) == (7, 1, 2, 7)
    assert found["agreement"] == {}
    said = " ".join(capsys.readouterr().out.split())
    assert "3 studies of the page were judged by nobody" in said
    assert "AB: 1 of 7 studies are finished, 2 begun" in said
    assert "No report was judged by two readers" in said


def _edited(**values):
    return lambda answers: {**answers, **values}


def _first_item(answers, **values):
    item = next(iter(answers["items"]))
    reports = {label: {**said, **values} for label, said in answers["items"][item].items()}
    return {**answers, "items": {**answers["items"], item: reports}}


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (_edited(page="f" * 64), "saved by page ffffffff"),
        (_edited(kind="note"), "no file that a reading page saved"),
        (lambda answers: [answers], "no file that a reading page saved"),
        (_edited(reader=" "), "does not say who read"),
        (_edited(seat=2), "readers 0 to 1"),
        (_edited(seat=True), "readers 0 to 1"),
        (_edited(items={"nothing": {}}), "does not have"),
        (_edited(items={}), "fully judged"),
        (lambda answers: _first_item(answers, score=6), "does not offer"),
        (lambda answers: _first_item(answers, score=True), "does not offer"),
        (lambda answers: _first_item(answers, accurate="yes"), "does not offer"),
        (lambda answers: _first_item(answers, errors=["typo"]), "does not offer"),
        (lambda answers: _first_item(answers, seconds=-1), "does not offer"),
        (lambda answers: _first_item(answers, seconds=float("nan")), "does not offer"),
    ],
)
def test_files_that_the_page_did_not_save_are_refused(made, tmp_path, edit, told):
    file = saved(tmp_path / "1.json", made[1], "AB", by_system({RADIOLOGIST: 5, WOMBAT: 4, QUOKKA: 1}))
    file.write_text(json.dumps(edit(json.loads(file.read_text()))))
    with pytest.raises(AnswersError, match=told):
        read_answers([file], made[1])


def test_one_reader_twice_is_refused(made, tmp_path):
    judge = by_system({RADIOLOGIST: 5, WOMBAT: 4, QUOKKA: 1})
    files = [saved(tmp_path / f"{name}.json", made[1], name, judge) for name in ("Ab", "aB ")]
    with pytest.raises(AnswersError, match="was given already"):
        read_answers(files, made[1])


def test_a_key_is_asked_for(made, tmp_path):
    file = saved(tmp_path / "1.json", made[1], "AB", by_system({RADIOLOGIST: 5, WOMBAT: 4, QUOKKA: 1}))
    for wrong in (file, tmp_path / "none.json", made[0]):
        with pytest.raises(AnswersError):
            experts(str(file), key=wrong, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


NAMES = st.sampled_from(["A", "score", "accurate", "errors", "x"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 9) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(said=json_values, place=st.sampled_from(["items", "item", "report", "reader", "seat"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_whatever_a_file_says_it_is_read_or_refused(made, tmp_path, said, place):
    key = made[1]
    first, second = key["seats"][0][:2]
    answers = {"kind": "cxr reading answers", "page": key["page"], "reader": "AB", "seat": 0}
    answers["items"] = {first: {"A": judged(5)}, second: {"A": judged(3)}}
    if place == "item":
        answers["items"][first] = said
    elif place == "report":
        answers["items"][first]["A"] = said
    else:
        answers[place] = said
    file = tmp_path / "wild.json"
    file.write_text(json.dumps(answers))
    try:
        (reader,) = read_answers([file], key)
    except AnswersError:
        return
    assert all(1 <= each.score <= 5 for each in reader.judgements)


def test_more_than_two_readers_have_fleiss():
    said = [
        judgement(reader, f"s{number}", score=5 if (number + (reader == "C" and number == 0)) % 2 else 2)
        for reader in "ABC"
        for number in range(6)
    ]
    found = agreement(said, draws=20, seed=0)
    assert found["kappa"] == "Fleiss"
    # Five of six reports by all three alike, one by two of three: observed 16/18; 8 yes and 10 no of 18.
    chance = (10 / 18) ** 2 + (8 / 18) ** 2
    assert found["accurate"]["value"] == pytest.approx((16 / 18 - chance) / (1 - chance))
    assert 0 < found["score"]["value"] < 1
    assert found["missed"]["value"] is None  # nobody ever said it


def test_one_alike_reader_of_many_reports_has_no_kappa():
    said = [judgement(reader, f"s{number}", score=5) for reader in "AB" for number in range(4)]
    found = agreement(said, draws=20, seed=0)
    assert (found["accurate"]["value"], found["accurate"]["same"]) == (None, 1.0)


def test_second_looks_tell_of_the_reader_alone():
    said = [judgement(study="s0", score=4), judgement(study="s0", score=2, again=True), judgement(study="s1", score=3)]
    assert repeats(said)["AB"] == {
        "reports": 1, "accurate": 0.0, "score": 0.0, "same_accurate": 0.0, "same_score": 0.0, "score_distance": 2.0,
    }  # fmt: skip
    assert repeats(said[::2]) == {}


def test_never_is_not_surely_never():
    said = [judgement(study=f"s{number}", score=1, errors=["missed"]) for number in range(10)]
    row = summarise(said, ["a"], draws=50, seed=0)["a"]
    assert (row["accurate"]["low"], row["accurate"]["value"]) == (0.0, 0.0)
    assert row["accurate"]["high"] == pytest.approx(0.3085, abs=1e-4)  # Clopper and Pearson's table: 0 of 10
    assert row["errors"]["missed"]["low"] == pytest.approx(1 - 0.3085, abs=1e-4)


def test_differences_take_only_what_both_have():
    said = [judgement(study=f"s{n}", system="a", score=5) for n in range(8)]
    said += [judgement(study=f"s{n}", system="b", score=3, errors=["missed"]) for n in range(2, 10)]
    score, accurate = differences(said, ["a", "b"], draws=50, seed=0)
    assert (score["value"], score["n"], accurate["value"]) == (2.0, 6, 1.0)
    assert score["exact"]
    assert score["p"] == pytest.approx(2 / 2**6)
    assert differences(said, ["a", "c"], draws=50, seed=0) == []


def test_words_of_two_systems_are_the_same_to_both():
    both = Judgement("AB", "s0", "p", "A", ("a", "b"), "text", True, 5, frozenset(), "", 3.0, False)
    rows = summarise([both], ["a", "b", "c"], draws=20, seed=0)
    assert rows["a"] == rows["b"]
    assert "c" not in rows
    assert differences([both], ["a", "b"], draws=20, seed=0)[0]["value"] == 0.0


def test_disagreements_begin_with_the_widest():
    said = [judgement("A", "near", score=3), judgement("B", "near", score=4)]
    said += [judgement("A", "far", score=5), judgement("B", "far", score=1)]
    said += [judgement("A", "same", score=5), judgement("B", "same", score=4)]
    assert [(each[0].study, each[0].score) for each in disagreements(said, 5)] == [("far", 1), ("near", 3)]
    assert by_label(said)["A"]["judgements"] == 6
