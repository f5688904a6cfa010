"""Stage 0: a language model learns from reports alone, and its export is what stage 1 begins with."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from cxr_lightning.checkpoint.runs import checkpoint_folder, open_run
from cxr_lightning.export.package import export
from cxr_lightning.model.attention import use_segments
from cxr_lightning.model.language import load_language, load_text_processor
from cxr_lightning.model.source import ModelSource, ModelSourceError
from cxr_lightning.model.trainable import Trainable
from cxr_lightning.objectives.next_token import next_token
from cxr_lightning.serve.folder import NotAnExportError
from cxr_lightning.serve.local import Local
from cxr_lightning.shards.index import read_index
from cxr_lightning.stream.encode import Encoder
from cxr_lightning.stream.reader import ShardReader
from cxr_lightning.stream.rows import collate
from cxr_lightning.training.alignment import AlignmentModule
from cxr_lightning.training.language import LanguageModule
from tests.fitting import losses, options, run_ranks

FEW = ["--trainer.max_steps", "4", "--checkpoint.every_n_steps", "2", "--model.optim.lr", "0.01", "--data.epochs", "3"]
SMALL = ["--model.lora.rank", "4", "--model.lora.alpha", "8"]


@pytest.fixture(scope="module")
def chain(shards, parts, tmp_path_factory):
    """Stage 0 in several ways, exported; stages 1 and 2 on that export."""
    root = tmp_path_factory.mktemp("language")

    def zero(name: str, *extra: str) -> list[str]:
        base = [*options(0, shards, root / name), "--model.source.language", parts["language"], *SMALL, *FEW]
        return [*base, "--trainer.devices", "2", *extra]

    three = ["--config", "configs/zero/stage3.yaml"]
    again = ["--ckpt_path", str(checkpoint_folder(root / "lora", 2))]
    panels = ["--panels.studies", "2", "--panels.max_new_tokens", "4", "--validate_every_n_steps", "4"]
    run_ranks(
        2,
        [
            zero("lora", *panels), zero("lora again", *again), zero("lora at 3", *three, *panels),
            zero("full", "--model.trainable.language", "full"),
        ],
        root,
    )  # fmt: skip
    export(root / "lora", out=root / "model")
    begin = {**parts, "language": str(root / "model")}
    run_ranks(
        1,
        [
            [*options(1, shards, root / "stage1", begin), *FEW, "--trainer.devices", "1"],
            [*options(2, shards, root / "stage2"), "--model.init_from", str(root / "stage1"), *FEW,
             "--trainer.devices", "1"],
        ],
        root,
    )  # fmt: skip
    export(root / "full", out=root / "full model")
    export(root / "stage2", out=root / "seeing")
    return root


@pytest.mark.ranks
@pytest.mark.parametrize("name", ["lora", "full", "lora at 3"])
def test_it_learns(chain, name):
    curve = losses(chain / name)
    assert curve[4] < curve[1] - 0.05


@pytest.mark.ranks
@pytest.mark.parametrize(("name", "after"), [("lora at 3", 0), ("lora again", 2)])
def test_losses_do_not_depend_on_the_zero_stage(chain, name, after):
    here = {step: loss for step, loss in losses(chain / "lora").items() if step > after}
    there = losses(chain / name)
    assert list(here) == list(there)
    assert max(abs(here[step] - there[step]) for step in here) < 1e-5


@pytest.mark.ranks
def test_rows_are_packed_and_no_image_is_counted(chain):
    lines = list(map(json.loads, (chain / "lora" / "metrics.jsonl").read_text().splitlines()))
    assert {line["data/padding_share"] for line in lines if "data/padding_share" in line} == {0.0}
    assert open_run(chain / "lora").provenance["stage"] == "language"


@pytest.mark.ranks
def test_the_export_is_a_plain_language_model(chain, parts):
    names = {path.name for path in (chain / "model").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md", "provenance.json"} <= names
    assert "processor_config.json" not in names
    model = AutoModelForCausalLM.from_pretrained(chain / "model")
    base = dict(AutoModelForCausalLM.from_pretrained(parts["language"]).named_parameters())
    moved = [name for name, tensor in model.named_parameters() if not torch.equal(tensor, base[name])]
    assert moved
    assert all("_proj" in name for name in moved)  # LoRA on every linear layer, and nothing else
    checks = json.loads((chain / "model" / "provenance.json").read_text())["proof"]
    assert all(check["holds"] for check in checks)
    assert "merged logits are the trained model's" in {check["what"] for check in checks}
    card = (chain / "model" / "README.md").read_text()
    assert "pipeline_tag: text-generation" in card
    with pytest.raises(NotAnExportError):
        Local(chain / "model")


@pytest.mark.ranks
def test_the_card_says_how_it_is_used(chain):
    card = (chain / "model" / "README.md").read_text()
    code = card.split("```python\n")[1].split("```")[0].replace("FOLDER", repr(str(chain / "model")))
    exec(code.replace("**inputs", "**inputs, max_new_tokens=4"), {})


@pytest.mark.ranks
def test_stage_one_begins_with_what_stage_zero_learned(chain):
    """The exported weights are the frozen language model of stage 1, and the last export of the chain has them."""
    language = load_file(chain / "model" / "model.safetensors")
    source = ModelSource.from_json(open_run(chain / "stage1").provenance["model"])
    assert source.language == str((chain / "model").resolve())
    seeing = load_file(chain / "seeing" / "model.safetensors")
    norms = {name: tensor for name, tensor in language.items() if name.endswith("norm.weight")}
    assert norms
    for name, tensor in norms.items():
        assert any(key.endswith(name.removeprefix("model.")) and torch.equal(seeing[key], tensor) for key in seeing)
    assert losses(chain / "stage1")[4] < losses(chain / "stage1")[1]
    asked = AutoTokenizer.from_pretrained(chain / "model").apply_chat_template(
        [{"role": "user", "content": "Why?"}], add_generation_prompt=True, tokenize=False
    )
    from transformers import AutoProcessor

    theirs = AutoProcessor.from_pretrained(chain / "seeing").apply_chat_template(
        [{"role": "user", "content": "Why?"}], add_generation_prompt=True, tokenize=False
    )
    assert asked == theirs


@pytest.mark.ranks
def test_a_stage_zero_run_is_no_beginning_for_stage_one(chain, parts):
    source = ModelSource(vision=parts["siglip"], language=parts["language"])
    with pytest.raises(ModelSourceError, match=r"trained a language model alone.*cxr export .* --out LM"):
        AlignmentModule(source, init_from=str(chain / "lora"))
    with pytest.raises(ModelSourceError, match="trained a model that takes images"):
        LanguageModule(ModelSource(language=parts["language"]), init_from=str(chain / "stage1"))


def test_the_other_kind_of_model_is_refused(parts):
    with pytest.raises(ModelSourceError, match=r"names a language model alone.*--model\.source\.vision"):
        AlignmentModule(ModelSource(language=parts["language"]))
    with pytest.raises(ModelSourceError, match=r"trains a language model alone.*without --model\.source\.vision"):
        LanguageModule(ModelSource(vision=parts["siglip"], language=parts["language"]))
    with pytest.raises(ModelSourceError, match="a language model alone has neither"):
        LanguageModule(ModelSource(language=parts["language"]), Trainable(projector="full", language="lora"))


def test_no_image_is_decoded_and_answers_follow_from_questions(shards, parts, monkeypatch):
    monkeypatch.setattr("cxr_lightning.stream.encode.open_stored", None)  # cannot be called
    monkeypatch.setattr("cxr_lightning.stream.pixels.opened", None)
    encoder = Encoder(load_text_processor(ModelSource(language=parts["language"])), "report", 2048)
    reader = ShardReader(read_index(shards).split("train"))
    quoted = 0
    for number in range(len(reader)):
        sample = reader[number]
        encoded, (asked, answered, *_) = encoder(sample), encoder.turns(sample)
        text = encoder.tokenizer.decode(encoded.ids_L)
        assert encoded.images == 0
        assert not encoded.views
        assert not encoded.vision
        assert "<image>" not in text
        assert answered["content"] in text
        quoted += sample.record["findings"] in asked["content"] and answered["content"] == sample.record["impression"]
    assert quoted > len(reader) / 2


def test_packed_and_padded_rows_have_the_same_loss(shards, parts):
    source = ModelSource(language=parts["language"])
    encoder, model = Encoder(load_text_processor(source), "report", 2048), load_language(source).eval()
    assert use_segments(model)
    reader = ShardReader(read_index(shards).split("train"))
    samples = [encoder(reader[number]) for number in range(5)]
    batches = [collate(samples, layout, encoder.tokenizer.pad_token_id) for layout in ("packed", "padded")]
    packed, padded = (next_token(model, batch["inputs"], batch["targets_RL"]).each_S for batch in batches)
    assert packed.numel() == sum(sample.supervised for sample in samples)
    torch.testing.assert_close(packed, padded, atol=1e-5, rtol=0)


def test_a_language_model_that_could_not_see_later_is_refused_now(tmp_path, parts):
    from transformers import GPT2Config, GPT2LMHeadModel

    GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=1, n_embd=8, vocab_size=300)).save_pretrained(tmp_path)
    with pytest.raises(ModelSourceError, match="embed_tokens"):
        load_language(ModelSource(language=str(tmp_path)))
