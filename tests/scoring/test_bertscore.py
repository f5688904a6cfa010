"""BERTScore is bert-score's for the same encoder, from a folder and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cxr_lightning.scoring.bertscore import BertScore, bertscore
from cxr_lightning.scoring.scorer import Texts

VOCABULARY = "[PAD] [UNK] [CLS] [SEP] [MASK] no left right pleural effusion is seen heart normal ##s . ,".split()  # noqa: SIM905
REFERENCES = ["No left pleural effusion.", "Heart is normal", "no effusions seen, left", "heart", "", "left . " * 90]
ANSWERS = ["left pleural effusion is seen.", "heart normal no", "right", "", "heart", "left , " * 20]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY))
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(VOCABULARY), max_position_embeddings=64, **shape)).save_pretrained(folder)
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("layer", [1, 2, 3])
def test_scores_are_those_of_bert_score(encoder, layer):
    from bert_score import BERTScorer

    # Not with empty texts: bert-score 0.3.13 calls a method for them that transformers 5 has no more.
    answers, references = ANSWERS[:3] + ANSWERS[5:], REFERENCES[:3] + REFERENCES[5:]
    theirs = BERTScorer(model_type=str(encoder), num_layers=layer, lang="en", device="cpu").score(answers, references)[
        2
    ]
    ours = BertScore(encoder, layer=layer).score(references, answers)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-6)


def test_neither_batch_nor_order_changes_a_score_and_silence_is_worth_nothing(encoder):
    scorer = BertScore(encoder)
    together = scorer.score(REFERENCES, ANSWERS)
    alone = [scorer.score([pair[0]], [pair[1]], batch=1)[0] for pair in zip(REFERENCES, ANSWERS, strict=True)]
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert together[3] == together[4] == 0.0
    assert scorer.score(["heart is normal"], ["Heart is normal"])[0] == pytest.approx(1.0, abs=1e-6)


def test_any_text_is_scored(encoder):
    scores = BertScore(encoder).score(["heart", "\ud800", "\x00", "无 \ufffd"], ["\ud800 heart", " ", "\n", "heart"])
    assert np.isfinite(scores).all()


def test_the_last_layer_is_the_default_and_the_score_names_its_encoder(encoder):
    scorer = bertscore(encoder, layer=3)
    texts = Texts(REFERENCES, ANSWERS, [frozenset()] * len(ANSWERS))
    rows = scorer.statistics(texts)
    np.testing.assert_allclose(rows, bertscore(encoder).statistics(texts), atol=1e-6)
    assert rows.shape == (len(ANSWERS), 2)
    assert encoder.name in scorer.meaning


def test_a_folder_that_is_no_encoder_and_a_layer_that_is_none_are_told(encoder, tmp_path):
    with pytest.raises(ValueError, match=r"config\.json.*Remedy"):
        bertscore(tmp_path)
    with pytest.raises(ValueError, match=r"layers 1 to 3, not 4"):
        bertscore(encoder, layer=4)
