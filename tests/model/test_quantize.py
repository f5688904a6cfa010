"""A language model in four bits: what is trained beside it is what is merged, and what cannot work is refused."""

from __future__ import annotations

import sys

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from cxr_lightning.checkpoint.runs import checkpoint_folder, open_run
from cxr_lightning.checkpoint.weights import OtherBaseError
from cxr_lightning.export.package import export
from cxr_lightning.export.trial import trial_inputs, trial_logits
from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.families import role_of, vlm_family
from cxr_lightning.model.lora import Lora
from cxr_lightning.model.quantize import (
    QuantizationError,
    held_as,
    quantize,
    require_possible,
    require_untaught,
    rounded,
    rounds,
)
from cxr_lightning.model.source import ModelSource, ModelSourceError
from cxr_lightning.model.trainable import Trainable, count, prepare
from cxr_lightning.training.alignment import AlignmentModule
from tests.fitting import losses, options, run_ranks
from tests.merging import clean_model


@pytest.fixture
def bits():
    return pytest.importorskip("bitsandbytes", reason="the extra qlora is not installed")


def base(parts):
    source = ModelSource(vision=parts["siglip"], language=parts["language"])
    processor = load_processor(source)
    model = load_model(source, processor)
    return model, processor, vlm_family(model.config)


def learn(model):
    torch.manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))


@torch.no_grad()
def round_in_place(model, family):
    names = rounds(model, family)
    for name, parameter in model.named_parameters():
        if name in names:
            parameter.copy_(rounded(parameter, torch.float32))


def test_four_bits_compute_what_rounded_weights_compute(parts, bits):
    whole, processor, family = base(parts)
    inputs = trial_inputs(processor)
    untouched = trial_logits(whole, inputs)
    held, ordinary = base(parts)[0], base(parts)[0]
    quantize(held, family)
    round_in_place(ordinary, family)
    assert torch.allclose(trial_logits(held, inputs), trial_logits(ordinary, inputs), atol=1e-5)
    assert float((trial_logits(held, inputs) - untouched).abs().max()) > 1e-3  # and it does round
    kinds = {name: type(module).__name__ for name, module in held.named_modules() if isinstance(module, nn.Linear)}
    assert {kind for name, kind in kinds.items() if "language_model" in name} == {"Linear4bit"}
    assert "Linear4bit" not in {kind for name, kind in kinds.items() if "language_model" not in name}
    assert count(held, family).total == count(whole, family).total
    for name, parameter in held.named_parameters():
        if role_of(name, family) != "language":
            assert torch.equal(parameter, dict(whole.named_parameters())[name]), name


@pytest.mark.parametrize("dora", [False, True])
def test_merged_with_rounded_weights_it_is_the_model_that_learned(parts, bits, dora):
    held, processor, family = base(parts)
    inputs, loras = trial_inputs(processor), {"language": Lora(rank=4, alpha=8, dora=dora)}
    choice = Trainable(projector="full", language="lora")
    quantize(held, family)
    prepare(held, choice, loras, family)
    learn(held)
    trained = trial_logits(held, inputs)
    learned = {name: tensor for name, tensor in held.named_parameters() if tensor.requires_grad}
    whole = {}
    for rounding in (True, False):
        model = base(parts)[0]
        if rounding:
            round_in_place(model, family)
        prepare(model, choice, loras, family)
        names = dict(model.named_parameters())
        with torch.no_grad():
            for name, tensor in learned.items():
                names[name].copy_(tensor)
        whole[rounding] = trial_logits(clean_model(model, loras, family), inputs)
    scale = float(trained.abs().max())
    assert float((whole[True] - trained).abs().max()) < 1e-5 * scale
    assert (
        float((whole[False] - trained).abs().max()) > 1e-3 * scale
    )  # merged with the published weights, it is another


def test_what_cannot_work_is_refused():
    held = ModelSource(base="x", quantize="nf4")
    with pytest.raises(QuantizationError, match=r"cannot learn.*lora or frozen"):
        require_possible(held, "full", "bf16-true", zero_3=False)
    with pytest.raises(QuantizationError, match=r"ZeRO stage 3.*strategy\.stage 2"):
        require_possible(held, "lora", "bf16-true", zero_3=True)
    with pytest.raises(QuantizationError, match="bf16-true"):
        require_possible(held, "lora", "32-true", zero_3=False)
    require_possible(ModelSource(base="x"), "full", "32-true", zero_3=True)
    with pytest.raises(QuantizationError, match="in full"):
        require_untaught(["model.language_model.layers.0.mlp.up_proj.weight"], vlm_family(_Llava))
    with pytest.raises(ModelSourceError, match="and not which"):
        AlignmentModule(ModelSource(quantize="nf4"))


class _Llava:
    model_type = "llava"


def test_without_bitsandbytes_it_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(QuantizationError, match=r"pip install 'cxr-lightning\[qlora\]'"):
        require_possible(ModelSource(base="x", quantize="nf4"), "lora", "bf16-true", zero_3=False)


def test_adapters_beside_four_bits_are_of_another_base():
    held, plain = ModelSource(base="x", quantize="nf4"), ModelSource(base="x")
    assert held_as("abc", held, {"language": {}}) != held_as("abc", plain, {"language": {}})
    assert held_as("abc", held, None) == held_as("abc", plain, {"language": {}}) == "abc"


@pytest.mark.ranks
def test_stage_two_learns_beside_four_bits_resumes_and_exports(shards, parts, tmp_path, bits):
    few = ["--trainer.max_steps", "4", "--checkpoint.every_n_steps", "2", "--trainer.precision", "bf16-true"]
    first = [*options(1, shards, tmp_path / "stage1", parts), *few]

    def second(name: str, *extra: str) -> list[str]:
        begin = ["--model.init_from", str(tmp_path / "stage1"), "--model.source.quantize", "nf4"]
        return [*options(2, shards, tmp_path / name), *begin, *few, "--model.optim.lr", "0.01", *extra]

    again = ["--ckpt_path", str(checkpoint_folder(tmp_path / "four", 2))]
    run_ranks(2, [first, second("four"), second("again", *again)], tmp_path)
    assert losses(tmp_path / "four")[4] < losses(tmp_path / "four")[1]
    for path in checkpoint_folder(tmp_path / "four", 4).glob("*.safetensors"):
        assert path.read_bytes() == (checkpoint_folder(tmp_path / "again", 4) / path.name).read_bytes()
    assert open_run(tmp_path / "four").provenance["model"]["quantize"] == "nf4"
    assert not [name for name in load_file(open_run(tmp_path / "four").weights()) if "base_layer" in name]
    export(tmp_path / "four", out=tmp_path / "model")
    assert "as four bits leave it (nf4)" in (tmp_path / "model" / "README.md").read_text()
    record = tmp_path / "four" / "run.json"
    record.write_text(record.read_text().replace('"quantize": "nf4"', '"quantize": null'))
    with pytest.raises(OtherBaseError, match="-nf4"):  # merged with the published weights it would be another model
        export(tmp_path / "four", out=tmp_path / "other")
