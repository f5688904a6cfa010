"""chrF is sacrebleu's, lower-cased."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from cxr_lightning.scoring.chrf import chrf, chrf_statistics
from tests.scoring.openi import needs_reports, pairs
from tests.scoring.wild import PAIRS

pytestmark = pytest.mark.quick


def theirs(references: list[str], answers: list[str]) -> float:
    from sacrebleu.metrics import CHRF

    return CHRF(lowercase=True).corpus_score(answers, [references]).score / 100


def ours(references: list[str], answers: list[str]) -> float:
    return float(chrf(chrf_statistics(references, answers).sum(axis=0, keepdims=True))[0])


@needs_reports
@pytest.mark.real
def test_real_reports_score_as_sacrebleu_has_it():
    assert ours(*pairs(500)) == pytest.approx(theirs(*pairs(500)), abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(PAIRS)
def test_any_corpus_scores_as_sacrebleu_has_it(texts):
    references, answers = map(list, zip(*texts, strict=True))
    assert ours(references, answers) == pytest.approx(theirs(references, answers), abs=1e-9)


def test_an_ending_costs_less_than_a_word():
    reference = ["bilateral effusions"]
    assert ours(reference, ["bilateral effusion"]) > ours(reference, ["bilateral nodules"]) > ours(reference, [""]) == 0
