"""Any tower joins the language model by its own conventions; what cannot work is refused with the remedy."""

from __future__ import annotations

import pytest
import torch
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForCausalLM, AutoTokenizer, CohereConfig, GPT2Config, LlavaForConditionalGeneration

from cxr_lightning.model import tiny
from cxr_lightning.model.compose import TokenizerWithoutImageError, load_model, load_processor
from cxr_lightning.model.families import image_tokens, role_of, vlm_family
from cxr_lightning.model.fingerprint import fingerprint
from cxr_lightning.model.lora import Lora, NoLoraTargetError
from cxr_lightning.model.projector import as_two_layers, draw
from cxr_lightning.model.source import ModelSource, ModelSourceError
from cxr_lightning.model.trainable import NothingLearnsError, Trainable, learning_names, prepare


def composed(parts, tower="siglip", **options):
    source = ModelSource(vision=parts[tower], language=parts["language"], **options)
    processor = load_processor(source)
    return load_model(source, processor), processor


@pytest.mark.parametrize("tower", ["clip", "siglip", "dinov2", "swin"])
@pytest.mark.parametrize("projector", ["linear", "mlp"])
def test_towers_and_projectors_join(parts, tower, projector):
    from cxr_lightning.export.trial import trial_inputs

    model, processor = composed(parts, tower, projector=projector)
    inputs = trial_inputs(processor)
    assert isinstance(model, LlavaForConditionalGeneration)
    assert int((inputs["input_ids"] == processor.image_token_id).sum()) == image_tokens(
        model.config.vision_config, model.config.vision_feature_select_strategy
    )
    assert torch.isfinite(model(**inputs).logits).all()
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_the_base_is_the_same_whenever_it_is_built(parts):
    first, second = composed(parts)[0], composed(parts)[0]
    assert fingerprint(first.named_parameters()) == fingerprint(second.named_parameters())
    other = composed(parts, seed=1)[0]
    assert fingerprint(first.named_parameters()) != fingerprint(other.named_parameters())


def test_what_learns_is_what_was_chosen(parts):
    model, _ = composed(parts)
    family = vlm_family(model.config)
    counts = prepare(model, Trainable(projector="full", language="lora"), {"language": Lora(rank=4)}, family)
    roles = {role_of(name, family) for name in learning_names(model)}
    assert roles == {"projector", "language"}
    assert all("lora_" in name for name in learning_names(model) if role_of(name, family) == "language")
    assert counts.roles["vision"].learning == 0
    assert counts.learning == sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def test_the_tower_may_learn_too(parts):
    model, _ = composed(parts)
    counts = prepare(model, Trainable(vision="full"), {}, vlm_family(model.config))
    assert counts.roles["vision"].learning == counts.roles["vision"].total > 0


@pytest.mark.quick
@pytest.mark.parametrize(
    ("width_V", "width_T", "activation"), [(8, 32, "relu"), (16, 32, "relu"), (24, 32, "linear"), (48, 32, "linear")]
)
def test_a_linear_projector_is_two_layers_exactly(width_V, width_T, activation):
    torch.manual_seed(0)
    weight, bias, x = torch.randn(width_T, width_V), torch.randn(width_T), torch.randn(100, width_V)
    act, layers = as_two_layers(weight, bias)
    hidden = x @ layers["linear_1.weight"].T + layers["linear_1.bias"]
    out = (hidden.relu() if act == "relu" else hidden) @ layers["linear_2.weight"].T + layers["linear_2.bias"]
    assert act == activation
    torch.testing.assert_close(out, x @ weight.T + bias, atol=2e-5, rtol=0)


@pytest.mark.quick
def test_half_named_models_are_refused():
    with pytest.raises(ModelSourceError, match=r"--model\.source\.vision and --model\.source\.language"):
        ModelSource(vision="a")
    with pytest.raises(ModelSourceError, match="Both"):
        ModelSource(base="a", vision="b", language="c")


def test_what_is_not_there_is_named(parts, tmp_path):
    with pytest.raises(ModelSourceError, match=r"--model\.source\.language=.*nowhere"):
        load_processor(ModelSource(vision=parts["siglip"], language=str(tmp_path / "nowhere")))


def test_a_complete_model_without_image_token_is_refused(parts, tmp_path):
    model, processor = composed(parts)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    # The tokenizer of the language model alone, as a careless copy leaves it.
    AutoTokenizer.from_pretrained(parts["language"]).save_pretrained(tmp_path)
    with pytest.raises(TokenizerWithoutImageError, match="has no image token"):
        load_processor(ModelSource(base=str(tmp_path)))


def test_a_complete_model_is_taken_as_it_is(parts, tmp_path):
    model, processor = composed(parts, projector="mlp")
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    source = ModelSource(base=str(tmp_path))
    again = load_model(source, load_processor(source))
    assert fingerprint(again.named_parameters()) == fingerprint(model.named_parameters())


def test_lora_targets_that_match_nothing_are_refused(parts):
    model, _ = composed(parts)
    with pytest.raises(NoLoraTargetError, match="down_proj"):
        prepare(model, Trainable(language="lora"), {"language": Lora(targets=("c_attn",))}, vlm_family(model.config))


@pytest.mark.quick
def test_nothing_to_learn_is_refused():
    with pytest.raises(NothingLearnsError):
        Trainable(projector="frozen")


def test_a_model_without_chat_template_speaks_vicuna(parts, tmp_path):
    language = tiny.write_language(tmp_path / "plain", template=None)
    processor = load_processor(ModelSource(vision=parts["siglip"], language=str(language)))
    turns = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Hi?"}]}]
    assert processor.apply_chat_template(turns, add_generation_prompt=True) == "USER: <image>\nHi? ASSISTANT:"


def test_the_base_does_not_depend_on_the_trainers_default_type(parts):
    plain = fingerprint(composed(parts)[0].named_parameters())
    source = ModelSource(vision=parts["siglip"], language=parts["language"])
    torch.set_default_dtype(torch.bfloat16)  # as a trainer in bfloat16 has it while it builds the model
    try:
        model = load_model(source, load_processor(source), dtype=torch.bfloat16)
    finally:
        torch.set_default_dtype(torch.float32)
    assert fingerprint(model.named_parameters()) == plain


@pytest.mark.quick
def test_what_is_drawn_is_drawn_on_the_cpu():
    # A trainer on a GPU makes that the default device, for which a generator of the CPU cannot draw.
    with torch.device("meta"):
        assert draw((2,), torch.Generator().manual_seed(0)).device.type == "cpu"


@pytest.mark.parametrize(
    ("config", "why"),
    [(CohereConfig(logit_scale=0.06), "logit_scale would be lost"), (GPT2Config(n_embd=48), "no embed_tokens")],
)
def test_language_models_that_llava_cannot_hold_are_refused(parts, tmp_path, config, why):
    tokenizer = AutoTokenizer.from_pretrained(parts["language"])
    tokenizer.save_pretrained(tmp_path)
    small = {"vocab_size": len(tokenizer), "num_hidden_layers": 1, "n_layer": 1, "num_attention_heads": 3, "n_head": 3}
    small |= {"hidden_size": 48, "intermediate_size": 64, "num_key_value_heads": 3}
    for name, value in small.items():
        setattr(config, name, value)
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    source = ModelSource(vision=parts["siglip"], language=str(tmp_path))
    with pytest.raises(ModelSourceError, match=why):
        load_model(source, load_processor(source))


def test_a_begin_token_that_only_the_tokenizer_writes_is_written_by_the_template(parts, tmp_path):
    language = tiny.write_language(tmp_path / "language")
    tokenizer = AutoTokenizer.from_pretrained(language)
    begin = TemplateProcessing(single="<|bos|> $A", special_tokens=[("<|bos|>", tokenizer.bos_token_id)])
    tokenizer.backend_tokenizer.post_processor = begin
    tokenizer.save_pretrained(language)
    processor = load_processor(ModelSource(vision=parts["siglip"], language=str(language)))
    text = processor.apply_chat_template([{"role": "user", "content": "Hi"}], add_generation_prompt=True)
    assert text.startswith("<|bos|><|user|>")
