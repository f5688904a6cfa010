"""Every score lies inside its own interval, whatever is scored and however few the patients."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_lightning.findings.located import LABELS, find
from cxr_lightning.scoring.bootstrap import interval
from cxr_lightning.scoring.labels import count_labels, macro_f1
from cxr_lightning.scoring.registry import SCORERS
from cxr_lightning.scoring.scorer import Texts

pytestmark = pytest.mark.quick

SAYINGS = (
    "The lungs are clear. Heart size is normal.",
    "Small left pleural effusion. Mild cardiomegaly.",
    "Large right pleural effusion.",
    "Healed rib fractures. No pneumothorax.",
    "Right lower lobe consolidation.",
    "",
)
STUDIES = st.lists(
    st.tuples(st.sampled_from(SAYINGS), st.sampled_from(SAYINGS), st.sampled_from("abcdef")), min_size=1, max_size=10
)


@pytest.mark.parametrize("scorer", SCORERS, ids=lambda scorer: scorer.name)
@settings(max_examples=15, deadline=None)
@given(STUDIES)
def test_a_score_lies_in_its_interval(scorer, studies) -> None:
    references, answers, patients = zip(*studies, strict=True)
    rows = scorer.statistics(Texts(references, answers, [find(text) for text in references]))
    found = interval(rows, scorer.score_of, patients=patients, draws=40)
    assert math.isnan(found.low) == math.isnan(found.high)
    assert math.isnan(found.low) or found.low <= found.value <= found.high
    assert math.isnan(found.low) or found.low < found.high


def test_rare_labels_do_not_come_and_go_with_the_draws() -> None:
    common, rare = LABELS[0], LABELS[1:]
    truths = [{common}] * 50 + [{label} for label in rare]
    stated = [{common} if number % 2 else set() for number in range(50)] + [set() for _ in rare]
    found = interval(count_labels(truths, stated), macro_f1, draws=400)
    # A rare label is missing from a third of the draws: left out there, the mean would be half as large again.
    assert found.value == pytest.approx(2 / 3 / len(LABELS))
    assert found.high < 0.9 / len(LABELS)
    assert found.low < found.value - 0.05 / len(LABELS)


def test_labels_are_those_of_references_whoever_answers() -> None:
    counts = count_labels([{LABELS[0]}, set()], [{LABELS[0]}, {LABELS[1]}]).sum(axis=0, keepdims=True).astype(float)
    assert macro_f1(counts)[0] == 1.0, "what is invented counts in the micro F1, and in the table"
    nothing = count_labels([set()], [{LABELS[1]}]).sum(axis=0, keepdims=True).astype(float)
    assert macro_f1(nothing)[0] == 0.0
