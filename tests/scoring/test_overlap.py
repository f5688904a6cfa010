from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_lightning.scoring.bootstrap import ratio_of_sums
from cxr_lightning.scoring.overlap import bleu, bleu_statistics, rouge_l, rouge_statistics

pytestmark = pytest.mark.quick

WORDS = ["no", "left", "right", "pleural", "effusion", "is", "seen", "heart", "normal"]
TEXT = st.lists(st.sampled_from(WORDS), max_size=20).map(" ".join)
PAIRS = st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=6)


@settings(deadline=None)
@given(TEXT, TEXT)
def test_rouge_agrees_with_torchmetrics(reference: str, answer: str) -> None:
    from torchmetrics.functional.text.rouge import rouge_score

    theirs = rouge_score(answer, reference, rouge_keys="rougeL")["rougeL_fmeasure"]
    assert rouge_l(reference, answer) == pytest.approx(float(theirs), abs=1e-6)


@settings(deadline=None)
@given(PAIRS)
def test_bleu_agrees_with_torchmetrics(pairs: list[tuple[str, str]]) -> None:
    from torchmetrics.functional.text.bleu import bleu_score

    references, answers = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    ours = bleu(bleu_statistics(references, answers).sum(axis=0, keepdims=True))[0]
    theirs = bleu_score(answers, [[reference] for reference in references])
    assert ours == pytest.approx(float(theirs), abs=1e-5)


def test_equal_texts_score_one_and_case_does_not_count() -> None:
    text = "No pleural effusion, no pneumothorax."
    assert rouge_l(text, text.upper()) == 1.0
    assert bleu(bleu_statistics([text], [text]).sum(axis=0, keepdims=True))[0] == pytest.approx(1.0)
    assert ratio_of_sums(rouge_statistics([text, "a"], [text, "b"]).sum(axis=0, keepdims=True))[0] == 0.5


def test_empty_answers_score_zero() -> None:
    assert rouge_l("", "") == rouge_l("a b", "") == 0.0
    assert bleu(bleu_statistics(["a b c d"], [""]).sum(axis=0, keepdims=True))[0] == 0.0
