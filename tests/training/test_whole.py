"""A complete vision-language model is tuned without stage 1, ChatXRay's way."""

from __future__ import annotations

import json

import pytest
import torch
from transformers import AutoModelForImageTextToText

from cxr_lightning.checkpoint.runs import open_run
from cxr_lightning.export.package import export
from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.source import ModelSource
from cxr_lightning.serve.answer import Answerer
from cxr_lightning.shards.index import read_index
from cxr_lightning.stream.conversation import as_messages
from cxr_lightning.stream.encode import Encoder, images
from cxr_lightning.stream.reader import ShardReader
from cxr_lightning.stream.rows import collate
from tests.fitting import losses, options, run_ranks
from tests.qwen import write_qwen


@pytest.mark.ranks
def test_a_complete_model_needs_no_stage_one(shards, parts, tmp_path):
    source = ModelSource(vision=parts["clip"], language=parts["language"], projector="mlp")
    processor = load_processor(source)
    load_model(source, processor).save_pretrained(tmp_path / "llava")
    processor.save_pretrained(tmp_path / "llava")
    few = [
        "--trainer.devices",
        "1",
        "--trainer.max_steps",
        "5",
        "--model.optim.lr",
        "0.02",
        "--trainer.precision",
        "bf16-true",
    ]
    run = tmp_path / "run"
    run_ranks(1, [[*options(2, shards, run), "--model.source.base", str(tmp_path / "llava"), *few]], tmp_path)
    assert losses(run)[5] < losses(run)[1]
    assert json.loads((run / "run.json").read_text())["inherits"] is None
    export(run, out=tmp_path / "model")
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "model", dtype="auto")
    assert model.dtype == torch.bfloat16
    assert open_run(run).provenance["lora"]["rank"] == 4


@pytest.mark.ranks
def test_qwen_vl_trains_exports_and_answers(shards, parts, phantoms, tmp_path):
    base = write_qwen(tmp_path / "qwen", parts["language"])
    few = ["--trainer.devices", "1", "--trainer.max_steps", "5", "--model.optim.lr", "0.02", "--panels.studies", "1"]
    run = tmp_path / "run"
    run_ranks(1, [[*options(2, shards, run), "--model.source.base", str(base), *few]], tmp_path)
    assert losses(run)[5] < losses(run)[1]
    export(run, out=tmp_path / "model")
    image = next(iter(sorted((phantoms / "images").glob("*.png"))))
    assert isinstance(Answerer(tmp_path / "model")(image, max_new_tokens=4), str)


def test_qwen_vl_batches_are_the_processors_own(shards, parts, tmp_path):
    base = write_qwen(tmp_path / "qwen", parts["language"])
    processor = load_processor(ModelSource(base=str(base)))
    encoder = Encoder(processor, "conversation", 2048)
    reader = ShardReader(read_index(shards).split("train"))
    samples = [reader[0], reader[1]]
    batch = collate([encoder(each) for each in samples], "padded", 2, encoder.typed_image_token)
    texts = [processor.apply_chat_template(as_messages(each.record["conversation"])) for each in samples]
    theirs = processor(images=[images(each)[0] for each in samples], text=texts, padding=True, return_tensors="pt")
    for name in ("pixel_values", "image_grid_thw"):
        assert torch.equal(batch["inputs"][name], theirs[name])
    for row, length in enumerate(theirs["attention_mask"].sum(1) - 1):  # ours ends with the answer's end token
        for name in ("input_ids", "mm_token_type_ids"):
            ours = batch["inputs"][name][row][:length]
            assert torch.equal(ours, theirs[name][row][theirs["attention_mask"][row].bool()][:length].to(ours.dtype))
