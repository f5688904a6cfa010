from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from cxr_lightning.demo.language import (
    QUESTIONS,
    LanguageRecipe,
    Teller,
    embed,
    prepare_language,
    sentences,
    telling_loss,
    train_tokenizer,
)
from cxr_lightning.demo.lessons import read_lessons
from cxr_lightning.demo.tower import TowerRecipe, prepare_tower
from cxr_lightning.findings.located import LABELS
from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.source import ModelSource
from cxr_lightning.stream.conversation import render
from cxr_lightning.stream.encode import ALIGNMENT_PROMPT

pytestmark = pytest.mark.quick

TOY = LanguageRecipe(width=32, layers=1, vocabulary=400, grid=4, steps=3, batch=4, tellings=2)


@pytest.fixture(scope="module")
def folder(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("language") / "language"
    prepare_language(archive, out, recipe=TOY)
    return out


def test_the_folder_is_a_plain_language_model(folder: Path) -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert model.config.model_type == "llama"
    assert model.config.head_dim == 32
    assert len(tokenizer) == model.config.vocab_size
    assert not folder.with_name("language.partial").exists()


def test_any_text_survives_the_tokenizer(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for text in ("A 2.5 cm nodule in the right upper zone.", "Übersicht: Ödem?\n\tfein", "<b> 90° ___"):
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_one_seed_one_model(folder: Path, archive: Path, tmp_path: Path) -> None:
    prepare_language(archive, tmp_path / "again", recipe=TOY)
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "again").state_dict()
    for name, weight in AutoModelForCausalLM.from_pretrained(folder).state_dict().items():
        assert torch.equal(weight, again[name]), name
    assert (folder / "tokenizer.json").read_bytes() == (tmp_path / "again" / "tokenizer.json").read_bytes()


def test_training_lowers_the_loss(archive: Path, tmp_path: Path) -> None:
    short = prepare_language(archive, tmp_path / "short", recipe=replace(TOY, steps=2))
    long = prepare_language(archive, tmp_path / "long", recipe=replace(TOY, steps=40))
    assert long["loss"] < short["loss"]


def test_rows_read_as_the_stages_write_them(folder: Path, archive: Path, tmp_path: Path) -> None:
    """Prompt and answer of a telling are, token by token, what the joined model's processor makes of the same turn."""
    prepare_tower(archive, tmp_path / "tower", recipe=TowerRecipe(16, 1, 2, side=32, patch=8, steps=1, batch=2))
    processor = load_processor(ModelSource(vision=str(tmp_path / "tower"), language=str(folder)))
    lessons = read_lessons(archive)
    rows = Teller(processor.tokenizer, lessons, replace(TOY, tellings=1), np.random.default_rng(0)).rows([5])
    told = processor.tokenizer.decode(rows.ids_BL[0])
    question = next(question for question in QUESTIONS if f"\n{question}<" in told)
    turns = [
        {"role": "user", "content": f"<image>\n{question}"},
        {"role": "assistant", "content": lessons[5].summary},
    ]
    text = "".join(piece.text for piece in render(processor, turns)).replace("<image>", "<image>" * TOY.grid**2)
    ids = processor.tokenizer(text, add_special_tokens=False)["input_ids"]
    assert rows.ids_BL[0].tolist() == ids
    targets = rows.targets_BL[0]
    assert targets[targets != -100].tolist() == ids[-int((targets != -100).sum()) :]
    assert processor.tokenizer.decode(targets[targets != -100]) == lessons[5].summary + "<|end|>"


def test_the_stages_join_the_two(folder: Path, archive: Path, tmp_path: Path) -> None:
    prepare_tower(archive, tmp_path / "tower", recipe=TowerRecipe(16, 1, 2, side=32, patch=8, steps=1, batch=2))
    source = ModelSource(vision=str(tmp_path / "tower"), language=str(folder))
    processor = load_processor(source)
    model = load_model(source, processor)
    prompt = render(processor, [{"role": "user", "content": ALIGNMENT_PROMPT}, {"role": "assistant", "content": "x"}])
    picture = np.zeros((32, 32, 3), np.uint8)
    inputs = processor(text=prompt[0].text, images=[picture], return_tensors="pt", add_special_tokens=False)
    answer = model.generate(**inputs, max_new_tokens=4, do_sample=False)
    assert answer.shape[1] > inputs["input_ids"].shape[1]


def test_tellings_do_not_see_each_other(folder: Path, archive: Path) -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    teller = Teller(tokenizer, read_lessons(archive), TOY, np.random.default_rng(0))
    rows = teller.rows([0])
    strengths = torch.zeros(1, TOY.patches, len(LABELS))
    second = (rows.positions_BL[0] == TOY.patches + len(tokenizer.encode("<s><|user|>\n"))).nonzero()[1, 0]
    states = []
    for token in (7, 8):
        ids = rows.ids_BL.clone()
        ids[0, second - 2] = token  # within the first telling
        states.append(
            model.model(
                inputs_embeds=embed(model, tokenizer, ids, strengths),
                attention_mask=rows.sees_B1LL,
                position_ids=rows.positions_BL,
                use_cache=False,
            ).last_hidden_state[0]
        )
    torch.testing.assert_close(states[0][second:], states[1][second:])
    assert not torch.allclose(states[0][second - 2], states[1][second - 2])


def test_strengths_stay_near_the_truth(folder: Path, archive: Path) -> None:
    tokenizer, lessons = AutoTokenizer.from_pretrained(folder), read_lessons(archive)
    sure = Teller(tokenizer, lessons, replace(TOY, missed=0.0, noise=0.0), np.random.default_rng(0))
    strengths_BPK = sure.strengths(list(range(len(lessons))))
    for lesson, strengths_PK in zip(lessons, strengths_BPK, strict=True):
        assert {int(kind) for kind in strengths_PK.amax(0).nonzero()} == lesson.kinds


def test_loss_is_finite_for_a_whole_batch(folder: Path, archive: Path) -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    teller = Teller(tokenizer, read_lessons(archive), TOY, np.random.default_rng(0))
    rows = teller.rows([1, 2, 3])
    loss = telling_loss(model, rows, embed(model, tokenizer, rows.ids_BL, teller.strengths([1, 2, 3])))
    assert torch.isfinite(loss)


def test_sizes_do_not_end_sentences() -> None:
    assert sentences("A 2.5 cm nodule. No pneumothorax.") == ["A 2.5 cm nodule.", "No pneumothorax."]


def test_every_digit_is_a_token_of_its_own() -> None:
    tokenizer = train_tokenizer(["A 2.5 cm nodule.", "A 12.5 cm mass, 12.5 cm."] * 50, 400)
    assert not [token for token in tokenizer.get_vocab() if re.search(r"\d.*\d|\d\D|\D\d", token.replace("Ġ", ""))]
