"""Scores of the radeval package: what is missing is told; with an environment that has it, CheXbert-F1 is its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from cxr_lightning.scoring.radeval import FIVE, WEIGHTS, radeval_scorers
from cxr_lightning.scoring.scorer import Texts

PYTHON = os.environ.get("CXR_RADEVAL_PYTHON") or (sys.executable if find_spec("radeval") else None)
REFERENCES = ["the heart is large", "no pleural effusion", "the lungs are clear", "edema of the lungs", ""] * 8
ANSWERS = ["the heart is normal", "pleural effusion", "the lungs are clear", "no edema", "the heart"] * 8


def lay_out(folder: Path, *metrics: str) -> Path:
    """Makes files by the names of weights, without weights."""
    for weight in {weight for metric in metrics for weight in WEIGHTS[metric]}:
        place = folder / weight.cache / f"models--{weight.repository.replace('/', '--')}" / "snapshots" / "main"
        place.mkdir(parents=True, exist_ok=True)
        (place / weight.file).write_text("")
        refs = place.parents[1] / "refs"
        refs.mkdir(exist_ok=True)
        (refs / "main").write_text("main")
    return folder


@pytest.mark.quick
def test_missing_weights_are_told_with_the_commands_that_fetch_them(tmp_path):
    with pytest.raises(ValueError, match="Nothing is downloaded") as told:
        radeval_scorers(["radcliq", "chexbert", "green"], tmp_path)
    text = str(told.value)
    assert f"hf download StanfordAIMI/RRG_scorers chexbert.pth --cache-dir {tmp_path}/chexbert" in text
    assert f"hf download distilroberta-base --cache-dir {tmp_path}/hub" in text
    assert len(re.findall("hf download", text)) == 5, "each file once"


@pytest.mark.quick
def test_an_unknown_score_is_told_with_those_there_are(tmp_path):
    with pytest.raises(ValueError, match=r"no score 'bleurt'.*radgraph, chexbert, radcliq, ratescore, green"):
        radeval_scorers(["bleurt"], tmp_path)


@pytest.mark.quick
def test_an_unpacked_archive_is_as_good_as_the_archive(tmp_path):
    (tmp_path / "radgraph" / "0.1.18" / "radgraph-xl").mkdir(parents=True)
    (tmp_path / "radgraph" / "0.1.18" / "radgraph-xl" / "config.json").write_text("{}")
    assert WEIGHTS["radgraph"][0].lies_in(tmp_path)


def test_a_missing_package_is_told_with_the_extra_that_brings_it(tmp_path):
    lay_out(tmp_path, "chexbert")
    if find_spec("radeval") is None:
        with pytest.raises(ValueError, match=r"has no package radeval.*cxr-lightning\[radeval\]"):
            radeval_scorers(["chexbert"], tmp_path)
    with pytest.raises(ValueError, match="is no interpreter"):
        radeval_scorers(["chexbert"], tmp_path, python=tmp_path / "python")


def write_chexbert(folder: Path) -> Path:
    """Writes a CheXbert of the right shape that learned nothing, where the package looks for the real one."""
    import torch
    from transformers import BertConfig, BertModel

    lay_out(folder, "chexbert")
    bert = next((folder / "hub").glob("models--bert-base-uncased/snapshots/main"))
    words = "[PAD] [UNK] [CLS] [SEP] [MASK] the heart is large normal no pleural effusion lungs are clear edema of"
    (bert / "vocab.txt").write_text("\n".join(words.split()))
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(vocab_size=len(words.split()), **shape)
    (bert / "config.json").write_text(json.dumps({**config.to_dict(), "model_type": "bert"}))
    torch.manual_seed(0)
    state = {f"module.bert.{name}": each for name, each in BertModel(config).state_dict().items()}
    for head in range(14):
        state[f"module.linear_heads.{head}.weight"] = torch.randn(4 if head < 13 else 2, 16)
        state[f"module.linear_heads.{head}.bias"] = torch.zeros(4 if head < 13 else 2)
    torch.save({"model_state_dict": state}, next((folder / "chexbert").rglob("snapshots/main")) / "chexbert.pth")
    return folder


BY_ITSELF = """
import json, sys
import nltk
nltk.download = lambda *_, **__: False
from radeval.metrics.f1chexbert.f1chexbert import F1CheXbert
from sklearn.metrics import classification_report
labeler = F1CheXbert(device="cpu")
references, answers = map(labeler.get_labels, json.load(sys.stdin))
found = []
for some in (range(14), labeler.top5_idx):
    sides = [[[row[at] for at in some] for row in side] for side in (references, answers)]
    report = classification_report(*sides, output_dict=True, zero_division=0)
    found.append([report[name]["f1-score"] for name in ("macro avg", "micro avg")])
print("\\n" + json.dumps([*found, list(labeler.top5_idx)]))
"""


@pytest.mark.skipif(PYTHON is None, reason="no radeval here, and CXR_RADEVAL_PYTHON names no interpreter that has it")
def test_chexbert_f1_is_what_scikit_learn_makes_of_its_labels(tmp_path):
    folder = write_chexbert(tmp_path)
    texts = Texts(REFERENCES, ANSWERS, [frozenset()] * len(ANSWERS))
    scorers = radeval_scorers(["chexbert"], folder, python=Path(PYTHON))
    ours = {
        scorer.name: float(scorer.score_of(scorer.statistics(texts).sum(axis=0, keepdims=True))[0])
        for scorer in scorers
    }
    places = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(folder / "hub"), "XDG_CACHE_HOME": str(folder)}
    done = subprocess.run(
        [PYTHON, "-c", BY_ITSELF],
        input=json.dumps([REFERENCES, ANSWERS]),
        env={**os.environ, **places},
        capture_output=True,
        text=True,
        check=True,
    )
    every, five, places_of_five = json.loads(done.stdout.splitlines()[-1])
    theirs = dict(zip(("chexbert_macro_f1", "chexbert_micro_f1"), every, strict=True))
    theirs |= dict(zip(("chexbert_5_macro_f1", "chexbert_5_micro_f1"), five, strict=True))
    assert ours == pytest.approx(theirs, abs=1e-9)
    assert tuple(places_of_five) == FIVE


def write_ratescore(folder: Path) -> Path:
    """Writes models of the shapes RaTEScore needs that learned nothing."""
    import torch
    from transformers import BertConfig, BertForTokenClassification, BertModel, BertTokenizerFast

    words = "[PAD] [UNK] [CLS] [SEP] [MASK] the heart is large normal no pleural effusion lungs are clear edema of"
    kinds = ("ANATOMY", "ABNORMALITY", "DISEASE", "NON-ABNORMALITY", "NON-DISEASE")
    labels = ["O", *(f"{begin}-{kind}" for kind in kinds for begin in "BI")]
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(words.split()),
        id2label=dict(enumerate(labels)),
        label2id={label: at for at, label in enumerate(labels)},
        **shape,
    )
    lay_out(folder, "ratescore")
    for place in folder.rglob("snapshots/main"):
        (place / "vocab.txt").write_text("\n".join(words.split()))
        (BertForTokenClassification if "RaTE" in str(place) else BertModel)(config).save_pretrained(place)
        BertTokenizerFast(str(place / "vocab.txt")).save_pretrained(place)
    return folder


@pytest.mark.skipif(PYTHON is None, reason="no radeval here, and CXR_RADEVAL_PYTHON names no interpreter that has it")
def test_an_empty_answer_does_not_move_the_scores_of_others(tmp_path):
    scorer = radeval_scorers(["ratescore"], write_ratescore(tmp_path), python=Path(PYTHON))[0]
    full = scorer.statistics(Texts(REFERENCES[:4], ANSWERS[:4], [frozenset()] * 4))
    with_gap = scorer.statistics(Texts([REFERENCES[0], *REFERENCES[:4]], ["", *ANSWERS[:4]], [frozenset()] * 5))
    assert with_gap[1:, 0] == pytest.approx(full[:, 0], abs=1e-5)


@pytest.mark.skipif(PYTHON is None, reason="no radeval here, and CXR_RADEVAL_PYTHON names no interpreter that has it")
def test_broken_weights_are_told_without_any_text_of_a_report(tmp_path):
    texts = Texts(["secret finding"], ["secret answer"], [frozenset()])
    scorer = radeval_scorers(["radgraph"], lay_out(tmp_path, "radgraph"), python=Path(PYTHON))[0]
    with pytest.raises(RuntimeError, match=r"could not compute 'radgraph'.*Remedy") as told:
        scorer.statistics(texts)
    assert "secret" not in str(told.value)
