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
from cxr_lightning.serve.dialogue import Dialogue
from cxr_lightning.serve.films import open_film
from cxr_lightning.serve.local import Local
from tests.families.models import write_qwen2_5
from tests.fitting import losses, options, run_ranks


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
    assert open_run(run).provenance["lora"]["language"]["rank"] == 4


@pytest.mark.ranks
def test_qwen_vl_trains_exports_and_answers(shards, parts, phantoms, tmp_path):
    base = write_qwen2_5(tmp_path / "qwen", parts["language"])
    few = ["--trainer.devices", "1", "--trainer.max_steps", "5", "--model.optim.lr", "0.02", "--panels.studies", "1"]
    run = tmp_path / "run"
    run_ranks(1, [[*options(2, shards, run), "--model.source.base", str(base), *few]], tmp_path)
    assert losses(run)[5] < losses(run)[1]
    export(run, out=tmp_path / "model")
    image = next(iter(sorted((phantoms / "images").glob("*.png"))))
    assert Local(tmp_path / "model").replies([Dialogue.ask(open_film(image))], max_new_tokens=4)[0].tokens == 4
