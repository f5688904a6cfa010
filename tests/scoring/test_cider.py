"""CIDEr-D is pycocoevalcap's, on the same words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from cxr_lightning.scoring.cider import SCORERS, cider_d
from cxr_lightning.scoring.scorer import Texts
from cxr_lightning.scoring.words import words_of
from tests.scoring.openi import needs_reports, pairs
from tests.scoring.wild import PAIRS

pytestmark = pytest.mark.quick


def theirs(references: list[str], answers: list[str]) -> np.ndarray:
    from pycocoevalcap.cider.cider import Cider

    # Its own tokeniser needs Java; both sides are given the same words instead.
    sides = [{at: [" ".join(words_of(text))] for at, text in enumerate(side)} for side in (references, answers)]
    return Cider().compute_score(*sides)[1]


@needs_reports
@pytest.mark.real
def test_real_reports_score_as_pycocoevalcap_has_it():
    np.testing.assert_allclose(cider_d(*pairs(500)), theirs(*pairs(500)), atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(PAIRS)
def test_any_corpus_scores_as_pycocoevalcap_has_it(texts):
    references, answers = map(list, zip(*texts, strict=True))
    if any(words_of(reference) for reference in references):  # theirs cannot count over nothing
        np.testing.assert_allclose(cider_d(references, answers), theirs(references, answers), atol=1e-9)


def test_what_every_report_says_is_worth_nothing():
    references = [f"no effusion is seen and {rare}" for rare in ("scoliosis bends", "a pacemaker lies", "a rib broke")]
    assert cider_d(references, references) == pytest.approx([10.0] * 3)
    assert cider_d(references, ["no effusion is seen and"] * 3) == pytest.approx([0.0] * 3)


def test_the_statistics_are_scores_with_weight_one():
    texts = Texts(["a b c", "d e f"], ["a b c", ""], [frozenset()] * 2)
    assert SCORERS[0].statistics(texts).tolist() == [[pytest.approx(7.5), 1.0], [0.0, 1.0]]
