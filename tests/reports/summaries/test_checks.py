"""What is planted in good summaries is found; what is good, in the report's words or others, is let through."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterable

import pytest

from cxr_lightning.reports.cleaning import clean
from cxr_lightning.reports.summaries.checks import find_faults
from cxr_lightning.reports.summaries.numbers import find_numbers
from cxr_lightning.reports.summaries.swaps import swap_faults
from cxr_lightning.reports.summarize import summarize
from cxr_lightning.study import Report

from .conftest import REAL, drawn_reports, real_reports
from .planted import PLANTS, in_other_words

LEAST = {
    "altered number": 0.97, "swapped side": 0.9, "dropped negation": 0.95, "added negation": 0.95,
    "invented finding": 0.97, "lost sentence": 0.8, "foreign language": 0.999, "foreign sentence": 0.999,
    "remark of its own": 0.99, "exchanged sizes": 0.9, "another grade": 0.95, "another device": 0.97,
    "invented device": 0.97, "another tip place": 0.9, "another word": 0.97,
}  # fmt: skip
RARE = {"altered number", "exchanged sizes", "another device", "another tip place"}
REPORT = (
    "The heart is mildly enlarged. There is a 12 mm nodule in the right upper lobe. Small left pleural effusion. "
    "No pneumothorax. Possible pneumonia in the left lower lobe. Hiatal hernia. Old fracture of the 7th right rib."
)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("right", "wrong", "kind"),
    [
        ("12 mm", "21 mm", "number"),
        ("12 mm", "1.2 mm", "number"),
        ("7th", "8th", "number"),
        ("right upper", "left upper", "side"),
        ("left pleural", "bilateral pleural", "side"),
        ("upper lobe", "lower lobe", "place"),
        ("No pneumothorax", "Left pneumothorax", "negation"),
        ("Small left", "No left", "negation"),
        ("Possible pneumonia", "Pneumonia", "how sure"),
        ("Small left", "Large left", "severity"),
        ("Hiatal hernia.", "", "finding lost"),
        ("Hiatal hernia.", "Hiatal hernia. Scoliosis.", "finding invented"),
        ("Hiatal hernia.", "Hiatal hernia. The gallbladder contains innumerable stones.", "finding invented"),
        ("No pneumothorax.", "", "finding lost"),
        ("The heart", "Compared to the prior study, the heart", "priors"),
        ("The heart", "___: the heart", "blanks"),
        ("Hiatal hernia.", "Hiatal hernia?", "questions"),
        ("The heart", "As an AI language model, I see that the heart", "as an AI"),
        ("The heart", "Here is the summary: the heart", "form"),
        (REPORT, "", "empty"),
        (REPORT, "Das Herz ist leicht vergrößert. Kleiner Erguss links, kein Pneumothorax.", "another language"),
        (REPORT, "The heart is enlarged.", "too short"),
        (REPORT, f"{REPORT} {REPORT} {REPORT}", "too long"),
    ],
)
def test_each_kind_of_fault_is_called_by_its_name(right, wrong, kind):
    assert right in REPORT
    assert find_faults(REPORT, REPORT) == ()
    assert kind in {fault.kind for fault in find_faults(REPORT, REPORT.replace(right, wrong))}


TWO = "A 6 mm nodule is in the right upper lobe, and a 12 mm nodule in the left lower lobe."
MORE = "Opacities at both bases are greater on the left than on the right."


@pytest.mark.quick
@pytest.mark.parametrize(
    ("source", "wrong", "kind"),
    [
        (TWO, "A 12 mm nodule is in the right upper lobe, and a 6 mm nodule in the left lower lobe.", "number"),
        (TWO, "Nodules lie in the right upper lobe (12 mm) and the left lower lobe (6 mm).", "number"),
        (TWO.replace("left", "right"), "The right lower lobe has a 6 mm, the right upper lobe a 12 mm.", "number"),
        ("A 2 cm mass. A granuloma of 5 mm.", "A mass of 5 mm. A granuloma of 2 cm.", "number"),
        (MORE, "Opacities at both bases are greater on the right than on the left.", "side"),
        (MORE, "Opacities at both bases, right greater than left.", "side"),
    ],
)
def test_what_is_said_of_the_wrong_one_of_two_is_found(source, wrong, kind):
    assert kind in {fault.kind for fault in swap_faults(source, wrong)}
    assert list(swap_faults(source, source)) == []


@pytest.mark.quick
@pytest.mark.parametrize(
    ("source", "summary"),
    [
        (TWO, "In the left lower lobe lies a nodule of 1.2 cm, in the right upper lobe one of 6 mm."),
        (TWO, "Nodules in the right upper and the left lower lobe measure 6 and 12 mm, respectively."),
        (MORE, "Opacities at both bases, left greater than right."),
        ("A mass of 2 x 3 cm.", "A mass of 3 x 2 cm."),
    ],
)
def test_what_stands_beside_its_own_is_let_through(source, summary):
    assert list(swap_faults(source, summary)) == []


@pytest.mark.quick
def test_an_answer_that_was_cut_off_will_not_do():
    assert [fault.kind for fault in find_faults(REPORT, REPORT, cut_off=True)] == ["cut off"]


@pytest.mark.quick
@pytest.mark.parametrize(
    ("source", "summary"),
    [
        ("A nodule of 1.5 cm.", "A nodule of 15 mm."),
        ("A 2 x 3 cm mass.", "A mass of 20 x 30 mm."),
        ("Old fracture of the 7th rib.", "Old fracture of the seventh rib."),
        ("There are 2 nodules on the left.", "Two nodules are on the left."),
        ("Compression of T12.", "T-12 is compressed."),
    ],
)
def test_one_number_may_be_written_in_two_ways(source, summary):
    theirs, ours = find_numbers(source), find_numbers(summary)
    assert theirs.written <= ours.all
    assert ours.all <= theirs.all


def pairs(reports: Iterable[tuple[str, Report]]) -> list[tuple[str, str]]:
    found = []
    for _, report in reports:
        summary = summarize(report)
        if summary:
            parts = (clean(report.findings), clean(report.impression))
            found.append((" ".join(part for part in parts if part), summary))
    return found


def test_planted_faults_are_found_and_good_summaries_let_through(capsys):
    known, chance = pairs(real_reports() if REAL else drawn_reports(1200))[::3], random.Random(1)
    planted, found, other = Counter[str](), Counter[str](), 0
    rules = [source for source, summary in known if find_faults(source, summary)]
    good = [(source, summary) for source, summary in known if source not in set(rules)]
    for source, summary in good:
        other += bool(find_faults(source, in_other_words(summary, chance)))
        for name, plant in PLANTS.items():
            spoilt = plant(source, summary, chance)
            if spoilt is not None and spoilt != summary:
                planted[name] += 1
                found[name] += bool(find_faults(source, spoilt))
    with capsys.disabled():
        kind = "Open-i" if REAL else "drawn"
        print(f"\n{len(known)} {kind} reports; false alarms: {len(rules)} of {len(known)} summaries by rule", end=", ")
        print(f"{other} of {len(good)} in other words; found: ", end="")
        print(", ".join(f"{name} {found[name]} of {many}" for name, many in planted.items()))
    assert len(rules) <= 0.005 * len(known)
    assert other <= 0.02 * len(good)
    assert set(planted) >= set(PLANTS) - ({"exchanged sizes"} if REAL else RARE)
    for name, many in planted.items():
        assert found[name] >= LEAST[name] * many, name


@pytest.mark.quick
@pytest.mark.parametrize(
    "circle",
    [REPORT * 400, "effusion and " * 20_000, "".join(f"Nodule {n} on the left. " for n in range(4000)), "x" * 10**6],
)
def test_an_answer_that_turns_in_a_circle_costs_no_time(circle):
    begun = time.process_time()
    assert [fault.kind for fault in find_faults(REPORT, circle, cut_off=True)] == ["cut off", "too long"]
    assert time.process_time() - begun < 5, "its time grows with the length, not with its square"


@pytest.mark.quick
@pytest.mark.parametrize(
    ("right", "wrong", "kind"),
    [
        ("Old fracture", "Acute fracture", "qualifier"),
        ("12 mm nodule", "12 mm malignant nodule", "qualifier"),
        ("No pneumothorax", "No large pneumothorax", "qualifier"),
        ("The heart", "The\u200b heart", "form"),
    ],
)
def test_a_word_that_changes_a_finding_is_not_brought(right, wrong, kind):
    assert right in REPORT
    assert kind in {fault.kind for fault in find_faults(REPORT, REPORT.replace(right, wrong))}


@pytest.mark.quick
@pytest.mark.parametrize(
    ("source", "summary"),
    [
        ("Tube tip in the stomach. Clear lungs.", "Tube tip in the esophagus. Clear lungs."),
        ("Tube ends 3 cm above the carina. Clear lungs.", "Tube ends 3 cm below the carina. Clear lungs."),
        ("No large pneumothorax. Clear lungs.", "No pneumothorax. Clear lungs."),
    ],
)
def test_a_tube_does_not_move_and_a_denial_does_not_grow(source, summary):
    assert find_faults(source, source) == ()
    assert {"qualifier", "place"} & {fault.kind for fault in find_faults(source, summary)}
