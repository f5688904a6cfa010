"""Models that others made, as baselines: of each family a tiny one, asked and scored as ours are."""

from __future__ import annotations

import json
import string
from pathlib import Path

import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import FuyuConfig, FuyuForCausalLM, FuyuImageProcessor, FuyuProcessor, PreTrainedTokenizerFast

from cxr_lightning.evaluation.evaluate import evaluate
from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.source import ModelSource
from tests.families.models import WRITERS


def write_fuyu(folder: Path) -> Path:
    """Writes a random Fuyu; its tokenizer writes letters, since its processor asks much of what stands before them."""
    marks = ["<unk>", "</s>", "<s>", "|SPEAKER|", "|NEWLINE|", "<0x04>", "<0x00>", "<0x01>", "<0x02>", "<0x03>", "▁"]
    words = [*marks, *string.ascii_letters, *string.digits, *string.punctuation, "\n"]
    letters = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    letters.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    seams = Regex(r"\|SPEAKER\||\|NEWLINE\||<0x0\d>|<s>|</s>|.|\n")
    letters.pre_tokenizer = pre_tokenizers.Split(seams, "isolated")
    letters.decoder = decoders.Sequence([decoders.Fuse(), decoders.Replace("▁", " ")])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=letters, unk_token="<unk>", eos_token="</s>", pad_token="</s>")
    images = FuyuImageProcessor(size={"height": 64, "width": 64}, patch_size={"height": 16, "width": 16})
    FuyuProcessor(image_processor=images, tokenizer=tokenizer).save_pretrained(folder)
    shape = {"vocab_size": len(words), "hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 1}
    text = {**shape, "num_attention_heads": 4, "model_type": "persimmon"}
    ends = {"pad_token_id": 1, "eos_token_id": 1, "image_token_id": marks.index("|SPEAKER|")}
    torch.manual_seed(0)
    config = FuyuConfig(
        **shape, num_attention_heads=4, image_size=64, patch_size=16, num_channels=3, text_config=text, **ends
    )
    FuyuForCausalLM(config).save_pretrained(folder)
    return folder


def write_llava(folder: Path, parts: dict[str, str]) -> Path:
    """Writes a random LLaVA as others publish theirs: without a word of where it comes from."""
    source = ModelSource(vision=parts["clip"], language=parts["language"], projector="mlp")
    processor = load_processor(source)
    load_model(source, processor).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(params=["fuyu", "llava", "qwen2_vl", "qwen3_vl", "gemma3"])
def baseline(request, parts, tmp_path) -> Path:
    """The folder of a model that nobody here trained."""
    if request.param == "fuyu":
        return write_fuyu(tmp_path / "fuyu")
    if request.param == "llava":
        return write_llava(tmp_path / "llava", parts)
    return WRITERS[request.param](tmp_path / request.param, parts["language"])


def test_a_model_of_others_is_asked_and_scored(baseline, shards, tmp_path):
    if baseline.name == "fuyu":
        with pytest.warns(UserWarning, match="scored by its answers alone"):
            evaluate(str(baseline), shards, out=tmp_path / "out", limit=3, max_new_tokens=3, draws=20, workers=1)
    else:
        evaluate(str(baseline), shards, out=tmp_path / "out", limit=3, max_new_tokens=3, draws=20, workers=1)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["seen"]["known"] is False
    assert metrics["verdict"].startswith("Nothing says which studies this model learned from")
    assert (metrics["grounding"] is None) == (baseline.name == "fuyu")
    assert (tmp_path / "out" / "index.html").is_file()
