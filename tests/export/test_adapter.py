"""Adapters alone, beside a base that lies somewhere else: PEFT makes the trained model of them, or they are refused."""

from __future__ import annotations

import json

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from cxr_lightning.cli import run as cli
from cxr_lightning.export.adapter import NoAdapterError
from cxr_lightning.export.package import export
from cxr_lightning.export.servable import judge
from cxr_lightning.export.trial import trial_inputs, trial_logits
from cxr_lightning.model.compose import load_processor
from cxr_lightning.model.lora import Lora
from cxr_lightning.model.source import ModelSource
from cxr_lightning.model.trainable import Trainable
from tests.export.made import write_run
from tests.families.models import write_qwen2_5

LANGUAGE = Trainable(projector="frozen", language="lora")
BOTH = Trainable(vision="lora", projector="frozen", language="lora")


@pytest.fixture(scope="module")
def qwen(parts, tmp_path_factory):
    return ModelSource(base=str(write_qwen2_5(tmp_path_factory.mktemp("qwen"), parts["language"])))


@pytest.mark.parametrize("kind", ["lora", "rslora", "dora", "both"])
def test_beside_its_base_it_is_the_merged_model(qwen, tmp_path, kind):
    lora = Lora(rank=4, alpha=10, rslora=kind == "rslora", dora=kind == "dora")
    trainable = BOTH if kind == "both" else LANGUAGE
    run = write_run(tmp_path / "run", qwen, trainable, lora, Lora(rank=2, alpha=3) if kind == "both" else None)
    export(run, out=tmp_path / "adapter", adapter=True)
    export(run, out=tmp_path / "model")
    inputs = trial_inputs(load_processor(qwen), 1)
    base = AutoModelForImageTextToText.from_pretrained(qwen.base)
    untrained = trial_logits(base, inputs)
    beside = trial_logits(PeftModel.from_pretrained(base, tmp_path / "adapter").eval(), inputs)
    merged = trial_logits(AutoModelForImageTextToText.from_pretrained(tmp_path / "model").eval(), inputs)
    assert float((beside - merged).abs().max()) < 1e-5 * float(merged.abs().max()) + 1e-6
    assert float((merged - untrained).abs().max()) > 1e-2
    holds = {each.what: each.holds for each in judge(tmp_path / "adapter")}
    assert all(holds.values()) == (kind != "dora"), holds  # vLLM takes no DoRA, and is said so
    assert "PeftModel" in (tmp_path / "adapter" / "README.md").read_text()


def test_it_holds_nothing_else_and_no_pickle(qwen, tmp_path):
    export(write_run(tmp_path / "run", qwen, LANGUAGE), out=tmp_path / "adapter", adapter=True)
    names = {path.name for path in (tmp_path / "adapter").iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "tokenizer.json", "provenance.json"} <= names
    assert not {name for name in names if name.endswith((".bin", ".pt"))} | (names & {"config.json"})
    tensors = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert all(name.startswith("base_model.model.model.language_model.") for name in tensors)
    assert all(torch.isfinite(each).all() for each in tensors.values())
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["peft_type"] == "LORA"


def test_a_projector_that_learned_would_be_lost(qwen, halfway, tmp_path, capsys):
    run = write_run(tmp_path / "run", qwen, Trainable(projector="full", language="lora"))
    with pytest.raises(NoAdapterError, match=r"projector learned in full .* --model\.trainable\.projector frozen"):
        export(run, out=tmp_path / "adapter", adapter=True)
    assert cli(["export", str(halfway), "--out", str(tmp_path / "adapter"), "--adapter", "true"]) == 1
    assert "two parts joined, which nobody serves" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.fixture
def halfway(parts, tmp_path_factory):
    source = ModelSource(vision=parts["clip"], language=parts["language"])
    return write_run(tmp_path_factory.mktemp("joined") / "run", source, Trainable(projector="full", language="lora"))


def test_where_there_is_none_or_two_kinds_it_is_refused(qwen, tmp_path):
    full = write_run(tmp_path / "full", qwen, Trainable(projector="full"))
    with pytest.raises(NoAdapterError, match="projector learned in full"):
        export(full, out=tmp_path / "adapter", adapter=True)
    mixed = write_run(tmp_path / "mixed", qwen, BOTH, Lora(rank=4, alpha=8), Lora(rank=4, alpha=8, dora=True))
    with pytest.raises(NoAdapterError, match="different kinds"):
        export(mixed, out=tmp_path / "adapter", adapter=True)
