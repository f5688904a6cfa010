from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_lightning.evaluation.compare.differences import FAMILIES, Comparison, compare_models
from cxr_lightning.evaluation.compare.page import write_page
from cxr_lightning.evaluation.compare.pairs import read_pairs
from cxr_lightning.evaluation.compare.questions import Reading
from cxr_lightning.evaluation.compare.studies import most_different
from cxr_lightning.evaluation.compare.table import plain
from cxr_lightning.evaluation.compare.verdict import ranked, say_verdict
from cxr_lightning.scoring.bootstrap import interval
from cxr_lightning.scoring.registry import SCORERS, scorer_named
from cxr_lightning.scoring.significance import benjamini_hochberg, holm
from tests.evaluation.compare.conftest import COMMONEST, SENTENCES, Three, draw_studies, replace, report, write

LEADING = "findings_micro_f1"


def compared(folders: list[Path], **settings: int) -> Comparison:
    return compare_models(Reading(read_pairs(folders)), **{"draws": 200, "permutations": 500, **settings})


@pytest.fixture(scope="module")
def result(three: Three) -> Comparison:
    return compared([three.good, three.blind, three.commonest], permutations=5000)


def test_every_score_is_compared_and_is_what_it_was(result: Comparison) -> None:
    pairs = result.pairs
    for letter in "BC":
        assert [each.name for each in result.of("scores", letter)] == [scorer.name for scorer in SCORERS]
    for each in result.of("scores", "B"):
        scorer = scorer_named(each.name)
        first, second = (scorer.statistics(pairs.texts(model)) for model in pairs.models[:2])
        assert each.first == interval(first, scorer.score_of, draws=1).value
        assert each.second == interval(second, scorer.score_of, draws=1).value
        assert each.gap.value == pytest.approx(each.second - each.first)
        assert each.gap.low <= each.gap.value <= each.gap.high


def test_seeing_is_told_from_talking_and_from_repeating(result: Comparison) -> None:
    assert [letter for letter, *_ in ranked(result)] == ["A", "B", "C"]
    lead = {each.rival: each for each in result.of("scores") if each.name == LEADING}
    assert {letter: each.winner for letter, each in lead.items()} == {"B": "first", "C": "first"}
    looks = {need.letter: need.looks for need in result.needs if need.name == LEADING}
    assert looks == {"A": True, "B": False, "C": False}
    owed = {each.rival: each for each in result.of("image") if each.name == LEADING}
    assert owed["B"].winner == "first", "the good one owes more of its score to the image"
    told = say_verdict(result)
    assert "A is better than B: its Findings, micro F1 is 0." in told
    assert "B loses 0.00" in told
    assert told.endswith("Nothing shows that B or C looks at the image.") or told.endswith("look at the image.")


def test_what_is_worse_when_higher_has_the_lower_for_winner(result: Comparison) -> None:
    lower = [each for each in result.of("scores", "B") if each.better == "lower"]
    assert lower, "hallucinated and omitted findings"
    for each in lower:
        assert each.gap.value > 0
        assert each.winner == "first"


def test_families_are_corrected_over_all_rivals(result: Comparison) -> None:
    for family, method in FAMILIES.items():
        found = result.of(family)
        assert found, family
        expected = (holm if method == "Holm" else benjamini_hochberg)([each.p for each in found])
        assert [each.corrected for each in found] == pytest.approx(expected.tolist())


def test_findings_are_those_that_are_there(result: Comparison) -> None:
    assert {each.name for each in result.of("findings", "B")} == set(SENTENCES)
    truths = result.pairs.truths
    for each in result.of("findings", "B"):
        assert each.support == sum(each.name in truth for truth in truths)
        assert each.winner == "first"
    observed = {each.name: each for each in result.of("observations", "C")}
    assert observed["Pleural Effusion"].second == 0
    assert "Fracture" not in observed


def test_views_are_compared_by_themselves(result: Comparison) -> None:
    views = [each for each in result.of("views", "B") if each.name == LEADING]
    assert {each.view: each.gap.n for each in views} == {"frontal": 80, "frontal + lateral": 40}
    assert all(each.winner == "first" for each in views)


def test_equal_models_are_equal(three: Three) -> None:
    same = compared([three.good, three.good])
    assert {each.p for each in same.differences} == {1.0}
    assert {each.gap.value for each in same.differences} == {0.0}
    assert all(not each.winner for each in same.differences)
    assert say_verdict(same).startswith("B scores exactly as A does on every score")
    assert most_different(Reading(same.pairs), 10) == []


def test_the_leading_score_is_that_of_the_evaluations(tmp_path: Path) -> None:
    """Where only reports say what is there, models are ranked by the 14 observations."""
    studies = draw_studies(60)
    good, blank = [report(study.truth) for study in studies], [COMMONEST] * 60
    known = {"headline": "observations_micro_f1"}
    folders = [
        write(tmp_path / "a", "a", studies, blank, blank, **known),
        write(tmp_path / "b", "b", studies, good, blank, **known),
    ]
    found = compared(folders, permutations=3000)
    assert say_verdict(found).startswith("B is better than A: its 14 observations, micro F1 is 0.")
    assert plain(found)["ranking"][0]["score"] == "observations_micro_f1"
    write_page(tmp_path, found, most_different(Reading(found.pairs), 5), {})
    assert '<option value="Pleural Effusion">' in (tmp_path / "index.html").read_text()


def test_chance_is_not_called_better(tmp_path: Path) -> None:
    """Two models with the same skill and other errors: of many such pairs few may be called different."""
    called = 0
    for seed in range(12):
        studies = draw_studies(60, seed=seed)
        draw = np.random.default_rng(seed)
        answers = [
            [report({label for label in study.truth if draw.random() > 0.3}) for study in studies] for _ in range(2)
        ]
        folders = [
            write(tmp_path / f"{seed}{name}", name, studies, said, None)
            for name, said in zip("ab", answers, strict=True)
        ]
        found = compared(folders, draws=50)
        called += any(each.sure for each in found.of("scores"))
        assert not found.needs
        assert "not evaluated" in say_verdict(found)
    assert called <= 2


def test_what_is_not_sure_is_said_with_how_large_it_may_be(tmp_path: Path) -> None:
    studies = draw_studies(30)
    good = [report(study.truth) for study in studies]
    changed = next(number for number, study in enumerate(studies) if study.truth)
    weaker = [*good[:changed], COMMONEST, *good[changed + 1 :]]
    told = say_verdict(
        compared([write(tmp_path / "a", "a", studies, good, None), write(tmp_path / "b", "b", studies, weaker, None)])
    )
    assert told.startswith("Nothing shows that B and A differ in Findings, micro F1:")
    assert "that may be anything from −0." in told


def test_patients_are_kept_together(tmp_path: Path) -> None:
    """Forty films of four patients say no more than four patients do."""
    studies = draw_studies(40, patients=4)
    good, bad = [report(study.truth) for study in studies], [COMMONEST] * 40
    folders = [write(tmp_path / "a", "a", studies, good, None), write(tmp_path / "b", "b", studies, bad, None)]
    few = next(each for each in compared(folders).of("scores") if each.name == LEADING)
    assert few.exact
    assert few.p == 2 / 2**4
    assert not few.sure


def test_the_studies_that_differ_most_come_from_both_sides(three: Three) -> None:
    reading = Reading(read_pairs([three.good, three.blind]))
    found = most_different(reading, 12)
    assert len(found) == 12
    everyone = most_different(reading, 1000)
    assert 0 < sum(each.gap > 0 for each in found) == min(6, sum(each.gap > 0 for each in everyone))
    assert [abs(each.gap) for each in found] == sorted((abs(each.gap) for each in found), reverse=True)
    assert len({each.place for each in found}) == 12
    assert len(everyone) <= 120
    assert most_different(reading, 0) == []


@settings(max_examples=25)
@given(st.data())
def test_whatever_the_answers_there_is_a_comparison(data: st.DataObject) -> None:
    """One study or a few, one patient or a few, no finding or all, empty and wild answers."""
    count = data.draw(st.integers(1, 5))
    studies = [
        replace(study, truth=data.draw(st.frozensets(st.sampled_from(sorted(SENTENCES)))), patient=f"p{patient}")
        for study, patient in zip(draw_studies(count), data.draw(st.lists(st.integers(0, 2), min_size=5)), strict=False)
    ]
    text = st.one_of(st.just(""), st.text(max_size=30), st.sampled_from([*SENTENCES.values(), COMMONEST]))
    answers = st.lists(text, min_size=count, max_size=count)
    with tempfile.TemporaryDirectory() as folder:
        folders = [
            write(Path(folder) / name, name, studies, data.draw(answers), data.draw(answers)) for name in ("a", "b")
        ]
        found = compared(folders, draws=20, permutations=20)
    for each in found.differences:
        assert 0 < each.p <= each.corrected <= 1
    numbers = plain(found)
    assert numbers["studies"] == count
    assert say_verdict(found)


def test_of_few_patients_none_is_said_to_look(three: Three) -> None:
    found = compared([three.good, three.blind], permutations=10_000)
    sure = next(need for need in found.needs if need.letter == "A" and need.name == found.pairs.headline)
    assert sure.looks
    few = dataclasses.replace(found, needs=tuple(dataclasses.replace(need, patients=19) for need in found.needs))
    assert not any(need.looks for need in few.needs)
    assert "Nothing shows that A or B look at the image: 19 patients are too few to be sure." in say_verdict(few)
