"""Over real reports: answers say what the report says, and no question tells its own answer."""

from __future__ import annotations

import os
import tarfile
from collections import Counter, defaultdict
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cxr_lightning.findings.certainty import Certainty
from cxr_lightning.findings.located import find
from cxr_lightning.findings.observations import NO_FINDING, observe
from cxr_lightning.reports.cleaning import clean
from cxr_lightning.reports.conversations import Asked, Said, ask_all
from cxr_lightning.reports.conversations.frequencies import OPENI, shares_among
from cxr_lightning.reports.conversations.lay import explain
from cxr_lightning.reports.conversations.presence import NORMAL_ANSWERS
from cxr_lightning.reports.conversations.reading import read
from cxr_lightning.reports.conversations.shown import indication_of
from cxr_lightning.reports.summarize import summarize
from cxr_lightning.study import Report

ARCHIVE = Path(os.environ.get("CXR_REAL_DATA", "absent"), "openi", "NLMCXR_reports_dev.tgz")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not ARCHIVE.is_file(), reason="CXR_REAL_DATA names no folder with openi/NLMCXR_reports_dev.tgz"),
]
WHOLE = ("describe", "findings", "impression")
OPEN = (Certainty.PRESENT, Certainty.UNCERTAIN)


def studies(archive: Path) -> dict[str, Said]:
    """Reads every report that leaves a summary, by the study's name."""
    found: dict[str, Said] = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member)
            if file is None:
                continue
            tree = ElementTree.parse(file)
            parts = {each.get("Label", "").lower(): each.text or "" for each in tree.iter("AbstractText")}
            report = Report(**{name: parts.get(name, "") for name in ("indication", "findings", "impression")})
            name = next(tree.iter("uId")).get("id", "")
            said = Said(
                summarize(report), clean(report.findings), clean(report.impression), indication=report.indication,
                source="openi", position="frontal", written=f"{report.findings}\n{report.impression}",
            )  # fmt: skip
            if said.summary:
                found[name] = said
    return found


@pytest.fixture(scope="module")
def real() -> dict[str, Said]:
    return studies(ARCHIVE)


@pytest.fixture(scope="module")
def coded() -> dict[str, list[str]]:
    """What Open-i's coders wrote, by the study's name."""
    found: dict[str, list[str]] = {}
    with tarfile.open(ARCHIVE) as tar:
        for file in filter(None, map(tar.extractfile, tar)):
            tree = ElementTree.parse(file)
            found[next(tree.iter("uId")).get("id", "")] = [each.text or "" for each in tree.iter("major")]
    return found


@pytest.fixture(scope="module")
def asked(real: dict[str, Said]) -> dict[str, list[Asked]]:
    return {name: ask_all(said, name) for name, said in real.items()}


def contradictions(said: Said, answer: str) -> list[str]:
    """Lists what an answer says of the chest and its report as written does not, or says otherwise."""
    text = said.written
    report, claimed = observe(text).readings, observe(answer).readings
    wrong = [f"place {label}" for label in find(answer) - find(text)]
    for name, reading in claimed.items():
        own = report[name].certainty
        if name != NO_FINDING and (
            (reading.certainty is Certainty.PRESENT and own is not Certainty.PRESENT)
            or (reading.certainty is Certainty.ABSENT and own is Certainty.PRESENT)
            or (reading.certainty is Certainty.UNCERTAIN and own not in OPEN)
        ):
            wrong.append(f"{name}: {reading.certainty}, the report: {own}")
    return wrong


def test_what_the_check_is_for_it_finds() -> None:
    said = Said("No effusion.", "No effusion.", written="A small left pneumothorax persists. No effusion.")
    assert contradictions(said, "Yes, there is a pleural effusion.")
    assert contradictions(said, "There is no pneumothorax.")
    assert contradictions(said, "There is a right pneumothorax.")
    assert not contradictions(said, "Small left pneumothorax.")


def test_no_answer_says_what_its_report_does_not(real: dict[str, Said], asked: dict[str, list[Asked]]) -> None:
    answers = [(name, each) for name, all_of_it in asked.items() for each in all_of_it]
    wrong = [(name, each.kind) for name, each in answers if contradictions(real[name], each.answer)]
    ours = [(name, kind) for name, kind in wrong if kind not in WHOLE]
    assert len(answers) > 8000
    assert sum(each.kind not in WHOLE for _, each in answers) > 5000
    assert not ours
    # A radiologist's findings and impression can disagree, and cleaning shortens; either is quoted as it stands.
    assert len(wrong) / len(answers) < 0.003


def test_a_normal_film_has_nothing_as_written_and_people_call_it_so(
    real: dict[str, Said], coded: dict[str, list[str]], asked: dict[str, list[Asked]]
) -> None:
    normal = [name for name, said in real.items() if read(said).abnormal is False]
    assert not [name for name in normal if observe(real[name].written).stated - {NO_FINDING}]
    indexed = [name for name in normal if coded[name] != ["No Indexing"]]  # these nobody coded
    assert len(indexed) > 650
    assert sum(coded[name] == ["normal"] for name in indexed) / len(indexed) > 0.97
    told = {name for name, all_of_it in asked.items() for each in all_of_it if each.answer in NORMAL_ANSWERS}
    assert told
    assert told <= set(normal)


def test_films_of_both_kinds_are_explained(real: dict[str, Said]) -> None:
    explained: Counter[bool | None] = Counter()
    for name, said in real.items():
        reading = read(said)
        explained[reading.abnormal] += bool(explain(reading, name))
    assert explained[False] > 650
    assert explained[True] > 130
    assert explained[None] > 400


def test_a_word_agrees_with_the_labeler(real: dict[str, Said], asked: dict[str, list[Asked]]) -> None:
    # "Yes." holds nothing to read again: what it was asked about is stated and read instead.
    for name, all_of_it in asked.items():
        for each in all_of_it:
            if each.kind == "presence":
                assert each.answer.startswith("Yes" if each.holds else "No")
                claim = f"There is {'' if each.holds else 'no '}{each.about}."
                assert not contradictions(real[name], claim), (name, each.about)


def test_neither_yes_nor_no_is_the_better_guess(asked: dict[str, list[Asked]]) -> None:
    counts: dict[str, Counter[bool]] = defaultdict(Counter)
    for each in (each for all_of_it in asked.values() for each in all_of_it):
        if each.kind in ("presence", "normality") and each.holds is not None:
            counts[each.about][each.holds] += 1
    total = sum(counts.values(), Counter())
    assert total.total() > 2500
    assert total[False] / total.total() == pytest.approx(0.5, abs=0.03)
    for about, count in counts.items():
        if count.total() >= 50:  # of fewer, chance alone strays further
            assert count[True] / count.total() == pytest.approx(0.5, abs=0.1), (about, count)
    assert len(counts) == len(OPENI)


def test_the_table_is_what_is_measured(real: dict[str, Said]) -> None:
    measured = shares_among(real.values())
    for name, shares in measured.items():
        assert shares == pytest.approx(OPENI[name], abs=0.02, rel=0.2), name


def test_indications_are_left_without_blanks_and_ages(real: dict[str, Said]) -> None:
    cleaned = [indication_of(said.indication) for said in real.values()]
    assert sum(map(bool, cleaned)) / len(cleaned) > 0.75
    assert sum("XXXX" in each for each in cleaned) <= 3
    assert not any("year-old" in each or "year old" in each for each in cleaned)
