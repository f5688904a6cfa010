"""BLEU is sacrebleu's, lower-cased, and a draw of the bootstrap is a corpus BLEU."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from cxr_lightning.scoring.bleu import ORDERS, SCORERS, bleu, bleu_statistics
from cxr_lightning.scoring.words import tokens_of
from tests.scoring.openi import needs_reports, pairs
from tests.scoring.wild import ANY, PAIRS

pytestmark = pytest.mark.quick


def theirs(references: list[str], answers: list[str], orders: int) -> float:
    from sacrebleu.metrics import BLEU

    return BLEU(lowercase=True, max_ngram_order=orders, force=True).corpus_score(answers, [references]).score / 100


def ours(references: list[str], answers: list[str], orders: int) -> float:
    return float(bleu(bleu_statistics(references, answers).sum(axis=0, keepdims=True), orders)[0])


@needs_reports
@pytest.mark.real
@pytest.mark.parametrize("orders", range(1, ORDERS + 1))
def test_real_reports_score_as_sacrebleu_has_it(orders):
    references, answers = pairs(500)
    assert ours(references, answers, orders) == pytest.approx(theirs(references, answers, orders), abs=1e-6)


@settings(deadline=None, max_examples=60)
@given(PAIRS)
def test_any_corpus_scores_as_sacrebleu_has_it(texts):
    references, answers = map(list, zip(*texts, strict=True))
    for orders in range(1, ORDERS + 1):
        assert ours(references, answers, orders) == pytest.approx(theirs(references, answers, orders), abs=1e-9)


@settings(deadline=None)
@given(ANY)
def test_tokens_are_those_of_13a(text):
    from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

    assert tokens_of(text) == Tokenizer13a()(text.lower().rstrip()).split()


def test_a_draw_of_studies_is_a_corpus_of_its_own():
    references = ["no effusion is seen .", "the heart is large", "lungs are clear and normal"]
    answers = ["no effusion seen .", "the heart is normal in size", "lungs are clear"]
    rows = bleu_statistics(references, answers)
    drawn = [0, 0, 2]
    expected = theirs([references[at] for at in drawn], [answers[at] for at in drawn], 4)
    assert bleu(rows[drawn].sum(axis=0, keepdims=True))[0] == pytest.approx(expected, abs=1e-12)


def test_equal_texts_score_one_silence_none_and_many_sums_are_scored_at_once():
    text = "No pleural effusion, no pneumothorax."
    sums = np.stack([bleu_statistics([text], [answer])[0] for answer in (text.upper(), "")])
    for scorer in SCORERS:
        assert scorer.score_of(sums) == pytest.approx([1.0, 0.0])
