"""A folder that vLLM serves is told from one that it refuses, and each thing it would refuse is named."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from cxr_lightning.cli import run
from cxr_lightning.export.layout import stored_names
from cxr_lightning.export.servable import judge, servers
from cxr_lightning.export.servable.headers import INDEX, read_weights
from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.source import ModelSource
from tests.families.models import WRITERS

WEIGHTS = "model.safetensors"


def write_joined(folder: Path, vision: str, language: str) -> Path:
    """Writes an untrained model of two parts in the layout of an export."""
    source = ModelSource(vision=vision, language=language, projector="mlp")
    processor = load_processor(source)
    model = load_model(source, processor, dtype=torch.bfloat16)
    model.config.dtype = torch.bfloat16
    folder.mkdir(parents=True)
    model.config.save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "generation_config.json").write_text('{"do_sample": false, "temperature": 0.0, "eos_token_id": 1}')
    names, state = stored_names(model), model.state_dict()
    save_file({place: state[name] for name, place in names.items()}, folder / WEIGHTS)
    return folder


@pytest.fixture(scope="module")
def clip(parts, tmp_path_factory):
    return write_joined(tmp_path_factory.mktemp("servable") / "clip", parts["clip"], parts["language"])


@pytest.fixture
def folder(clip, tmp_path):
    return shutil.copytree(clip, tmp_path / "model")


def broken(folder: Path, **options) -> str:
    """Returns what is told of a folder's findings that do not hold."""
    wrong = (each for each in judge(folder, **options) if not each.holds)
    return "\n".join(f"[{each.weight}] {each.what}: {each.found}" for each in wrong)


def change(folder: Path, name: str, **values) -> None:
    """Changes keys of a JSON file; `part__key` is a key of a part, and None takes a key away."""
    content = json.loads((folder / name).read_text())
    for key, value in values.items():
        *parts, last = key.split("__")
        inner = content
        for part in parts:
            inner = inner[part]
        inner[last] = value
        if value is None:
            del inner[last]
    (folder / name).write_text(json.dumps(content))


def rewrite(folder: Path, change_one) -> None:
    """Writes the weights again, each as a function of its name and value says; None leaves it out."""
    changed = {name: change_one(name, tensor) for name, tensor in load_file(folder / WEIGHTS).items()}
    save_file({name: tensor for name, tensor in changed.items() if tensor is not None}, folder / WEIGHTS)


@pytest.mark.parametrize("tower", ["clip", "siglip"])
def test_towers_that_vllm_holds_are_served_by_it(parts, tmp_path, tower):
    model = write_joined(tmp_path / "model", parts[tower], parts["language"])
    assert broken(model) == ""
    assert [(each.name, each.serves) for each in servers(model)] == [("vllm", True), ("transformers", True)]


@pytest.mark.parametrize("tower", ["dinov2", "vit", "swin"])
def test_towers_that_vllm_lacks_are_said_so_with_what_serves_them(parts, tmp_path, tower, capsys):
    model = write_joined(tmp_path / "model", parts[tower], parts["language"])
    assert broken(model).startswith("[own] the vision tower is one that vLLM holds: ")
    able = {each.name: each.serves for each in servers(model)}
    assert able == {"vllm": False, "vllm-transformers": True, "transformers": True}
    assert run(["servable", str(model)]) == 1
    assert "What serves it" in capsys.readouterr().err


@pytest.mark.parametrize("family", list(WRITERS))
def test_complete_models_are_judged_by_what_vllm_has(parts, tmp_path, family):
    model = WRITERS[family](tmp_path / "model", parts["language"])
    told = broken(model)
    assert "any" not in told.replace("[any] the chat template", ""), told  # published BLIP-2 have no template
    assert ("has the architecture" in told) == (family == "instructblip")
    assert ("the tokens that vLLM looks for" in told) == (family == "gemma3")  # the tiny tokenizer lacks Gemma's
    assert ("the names that vLLM reads" in told) == (family == "gemma3")  # transformers' own, not those of an export
    assert ("mrope_interleaved" in told) == (family == "qwen3_vl")  # published configurations say it, the tiny one not


@pytest.mark.quick
@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("config.json", {"architectures": ["LlavaOtherModel"]}, "LlavaOtherModel: no model of its own"),
        ("config.json", {"vision_feature_layer": [-2, -1]}, "vision_feature_layer is [-2, -1]"),
        ("config.json", {"vision_feature_layer": -9}, "hidden state -9 of a tower of 2 layers"),
        ("config.json", {"vision_feature_select_strategy": "full"}, "config.json says full, the processor default"),
        ("config.json", {"vision_config__image_size": 64}, "the tower takes 64 x 64, the processor makes 32 x 32"),
        ("config.json", {"image_seq_length": 17}, "the processor writes 16, the tower makes 16, config.json says 17"),
        ("config.json", {"text_config__architectures": None}, "text_config.architectures is not set"),
        ("config.json", {"text_config__architectures": ["BartForCausalLM"]}, "BartForCausalLM is not known"),
        ("config.json", {"text_config__vocab_size": 9}, "text_config.vocab_size says 9"),
        ("config.json", {"text_config__hidden_size": 64}, "linear_1.weight is 48 x 32, and has to be 64 x 32"),
        ("config.json", {"projector_hidden_act": "linear"}, "it is the identity, and vLLM"),
        ("config.json", {"image_token_index": 3}, "the processor writes <image>"),
        ("config.json", {"image_token_index": 9999}, "token 9999 is none that was added to the tokenizer"),
        ("config.json", {"image_token_index": None}, "config.json has neither image_token_index"),
        ("config.json", {"quantization_config": {"quant_method": "gguf"}}, "quantization_config says gguf, and no"),
        ("config.json", {"dtype": "float32"}, "BF16, and config.json says float32"),
        ("config.json", {"tie_word_embeddings": False}, "no lm_head.weight"),
        ("processor_config.json", {"patch_size": None}, "patch_size and num_additional_image_tokens have to be"),
        ("processor_config.json", {"num_additional_image_tokens": 0}, "the processor writes 15, the tower makes 16"),
        ("processor_config.json", {"image_processor__size": {"shortest_edge": 32}}, "the processor makes"),
        ("generation_config.json", {"temperature": None}, "vLLM draws at temperature 1"),
    ],
)
def test_each_constraint_is_found_out(folder, name, values, told):
    change(folder, name, **values)
    assert told in broken(folder, tensors=False)


@pytest.mark.quick
def test_an_answer_that_nothing_ends_is_found_out(folder):
    change(folder, "config.json", text_config__eos_token_id=None)
    assert broken(folder, tensors=False) == ""
    change(folder, "generation_config.json", eos_token_id=None)
    assert "no eos_token_id" in broken(folder, tensors=False)


@pytest.mark.quick
def test_a_siglip_tower_has_no_cls_token_to_drop(folder):
    change(folder, "config.json", vision_config__model_type="siglip_vision_model")
    assert "has no CLS, and default drops one token" in broken(folder, tensors=False)


@pytest.mark.quick
def test_a_placeholder_that_is_ordinary_text_is_found_out(folder):
    content = json.loads((folder / "tokenizer.json").read_text())
    for token in content["added_tokens"]:
        token["special"] &= token["content"] != "<image>"
    (folder / "tokenizer.json").write_text(json.dumps(content))
    assert "<image> is no special token" in broken(folder, tensors=False)


@pytest.mark.quick
@pytest.mark.parametrize(
    ("template", "told"),
    [
        (None, "there is no chat template"),
        ("{{ messages[0]['content'] | length }}", "leaves out the question"),
        ("{% for m in messages %}{{ m.content[1].text }}{% endfor %}", "writes <image> 0 times"),
        ("{% for m in messages %}{{ m.content", "it cannot be used"),
        ("{{ raise_exception('only text') }}", "only text"),
        ("{{ messages.__class__.__mro__ }}", "it cannot be used"),
    ],
)
def test_a_template_that_makes_no_prompt_is_found_out(folder, template, told):
    (folder / "chat_template.jinja").unlink()
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    assert told in broken(folder, tensors=False)


@pytest.mark.quick
@pytest.mark.parametrize("name", ["config.json", "processor_config.json", "tokenizer.json", "generation_config.json"])
def test_a_file_that_is_missing_or_no_json_is_named(folder, name):
    (folder / name).write_text('{"half": ')
    assert f"{name}: " in broken(folder, tensors=False)
    (folder / name).write_text("[]")
    assert f"{name}: holds no JSON object" in broken(folder, tensors=False)
    (folder / name).unlink()
    assert name in broken(folder, tensors=False)


@pytest.mark.quick
@pytest.mark.parametrize("kept", [0, 5, 40, 2000, -1])
def test_a_weight_file_that_was_cut_off_is_named(folder, kept):
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[:kept])
    assert f"[any] weights are whole: {WEIGHTS} is cut off" in broken(folder)
    assert not any(each.serves for each in servers(folder))


@pytest.mark.quick
def test_headers_that_lie_are_found_out(tmp_path):
    def told(header: dict | str, data: bytes = b"") -> str:
        text = (header if isinstance(header, str) else json.dumps(header)).encode()
        (tmp_path / WEIGHTS).write_bytes(struct.pack("<Q", len(text)) + text + data)
        return read_weights(tmp_path).problems[0]

    one = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    assert "goes on after its last tensor" in told({"w": one}, bytes(12))
    assert "is cut off" in told({"w": one}, bytes(4))
    assert "gives w 8 bytes, and its shape takes 12" in told({"w": {**one, "shape": [3]}}, bytes(8))
    assert "in a type that is not known, F7" in told({"w": {**one, "dtype": "F7"}}, bytes(8))
    assert "without type, shape or place" in told({"w": {"shape": [2]}}, bytes(8))
    assert "an overlap before b" in told({"a": one, "b": {**one, "data_offsets": [4, 12]}}, bytes(12))
    assert "a hole before b" in told({"a": one, "b": {**one, "data_offsets": [12, 20]}}, bytes(20))
    assert "is no JSON" in told("{")
    assert "lists no tensors" in told("[]")


@pytest.mark.quick
@given(st.binary(max_size=60), st.integers(0, 80))
def test_no_bytes_make_the_reading_of_headers_fail(tmp_path_factory, data, length):
    folder = tmp_path_factory.mktemp("headers")
    (folder / WEIGHTS).write_bytes(struct.pack("<Q", length) + data)
    read_weights(folder)
    (folder / WEIGHTS).write_bytes(data)
    assert data[:1] != b"" or read_weights(folder).problems


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


@pytest.mark.quick
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_value_in_a_file_makes_the_judgement_fail(clip, tmp_path, data):
    folder = tmp_path / "wild"
    shutil.copytree(clip, folder, dirs_exist_ok=True)
    name = data.draw(st.sampled_from(["config.json", "processor_config.json", "generation_config.json"]))
    content = json.loads((folder / name).read_text())
    inner = data.draw(st.sampled_from([content, *(each for each in content.values() if isinstance(each, dict))]))
    inner[data.draw(st.sampled_from(sorted(inner)))] = data.draw(_JSON)
    (folder / name).write_text(json.dumps(content))
    assert judge(folder, tensors=False)
    servers(folder, judge(folder, tensors=False))


@pytest.mark.quick
@pytest.mark.parametrize("key", ["r", "rank_pattern", "modules_to_save", "bias", "peft_type"])
@pytest.mark.parametrize("value", ["x", 3, [1], {"a": None}, None])
def test_no_value_makes_the_judgement_of_an_adapter_fail(adapter, key, value):
    content = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**content, key: value}))
    assert servers(adapter)


def test_a_language_model_alone_is_judged_as_one(parts):
    assert broken(Path(parts["language"])).splitlines() == []


def split(folder: Path) -> dict[str, str]:
    """Divides the weights into two files with an index; returns the index's map."""
    tensors = load_file(folder / WEIGHTS)
    (folder / WEIGHTS).unlink()
    names, places = sorted(tensors), {}
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, folder / file)
        places |= dict.fromkeys(part, file)
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return places


@pytest.mark.quick
def test_an_index_and_its_files_have_to_agree(folder):
    places = split(folder)
    assert "weights" not in broken(folder, tensors=False)
    one, two = sorted(set(places.values()))
    name = next(name for name, file in places.items() if file == one)

    def told(changed: dict[str, str]) -> str:
        (folder / INDEX).write_text(json.dumps({"weight_map": changed}))
        return broken(folder, tensors=False)

    assert f"{name} is not in the file that the index says" in told({**places, name: two})
    assert "ghost is in the index and in no file" in told({**places, "ghost": two})
    assert f"{name} is in a file and not in the index" in told({n: f for n, f in places.items() if n != name})
    assert "model-3.safetensors is in the index and not there" in told({**places, "ghost": "model-3.safetensors"})
    assert f"{two} is there and not in the index" in told(dict.fromkeys(places, one))
    (folder / INDEX).write_text("{")
    assert "cannot be read" in broken(folder, tensors=False)
    (folder / INDEX).unlink()
    assert "2 weight files and no" in broken(folder, tensors=False)


def test_a_projector_or_a_layer_that_was_forgotten_is_missed(folder):
    rewrite(folder, lambda name, tensor: None if "linear_2.weight" in name else tensor)
    assert "[any] the projector is there" in broken(folder)
    assert "linear_2.weight is not there" in broken(folder)
    rewrite(folder, lambda name, tensor: None if "layers.1.mlp.up_proj" in name else tensor)
    assert "2 of 64 missing, layers.1.mlp.up_proj.weight first" in broken(folder)


def test_a_tensor_of_another_shape_or_name_is_found_out(folder):
    rewrite(folder, lambda name, tensor: tensor[:-1].clone() if "layers.0.mlp.up_proj" in name else tensor)
    assert "1 of another shape, layers.0.mlp.up_proj.weight is [95, 48] and not [96, 48]" in broken(folder)
    tensors = load_file(folder / WEIGHTS)
    save_file({**tensors, "model.adapter.lora_A.weight": torch.zeros(2)}, folder / WEIGHTS)
    assert "1 that it has not, adapter.lora_A.weight first" in broken(folder)


@pytest.mark.quick
def test_newer_names_of_a_tower_are_refused_for_vllm_alone(folder):
    tensors = load_file(folder / WEIGHTS)
    save_file({name.replace("vision_model.", ""): tensor for name, tensor in tensors.items()}, folder / WEIGHTS)
    told = broken(folder, tensors=False)
    assert told.startswith("[own] the tower's weights have the names that vLLM reads: ")
    assert [each.serves for each in servers(folder)] == [False, True, True]


def test_what_transformers_cannot_build_is_told(folder):
    change(folder, "config.json", vision_config__num_attention_heads=7)
    assert "transformers cannot build it" in broken(folder)


@pytest.mark.quick
def test_a_pickle_is_refused(folder):
    (folder / "training_args.bin").write_bytes(b"")
    assert "training_args.bin" in broken(folder, tensors=False)


@pytest.mark.quick
def test_what_is_no_model_is_said_to_be_none(tmp_path, capsys):
    assert "is not there" in broken(tmp_path / "nowhere")
    assert "holds neither config.json nor adapter_config.json" in broken(tmp_path)
    assert run(["servable", str(tmp_path)]) == 1
    assert "Nothing serves it as it is" in capsys.readouterr().err


@pytest.mark.quick
def test_the_verb_says_how_to_serve(folder, capsys):
    assert run(["servable", str(folder), "--tensors", "false"]) == 0
    assert f"vllm serve {folder}" in capsys.readouterr().out.replace("\n", "")


@pytest.fixture
def adapter(tmp_path):
    folder = tmp_path / "adapter"
    folder.mkdir()
    config = {"peft_type": "LORA", "r": 20, "lora_alpha": 40, "target_modules": ["q_proj"], "bias": "none"}
    config["base_model_name_or_path"] = "BASE"
    (folder / "adapter_config.json").write_text(json.dumps(config))
    layer = "base_model.model.model.language_model.layers.0.self_attn.q_proj"
    tensors = {f"{layer}.lora_A.weight": torch.zeros(20, 48), f"{layer}.lora_B.weight": torch.zeros(48, 20)}
    save_file(tensors, folder / "adapter_model.safetensors")
    return folder


@pytest.mark.quick
def test_an_adapter_is_served_beside_its_base(adapter):
    assert broken(adapter) == ""
    vllm, transformers = servers(adapter)
    assert vllm.command == f"vllm serve BASE --enable-lora --max-lora-rank 32 --lora-modules cxr={adapter}"
    assert not transformers.serves


@pytest.mark.quick
@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"use_dora": True}, "[vllm] it is plain LoRA: DoRA"),
        ({"bias": "all"}, "[vllm] it is plain LoRA: bias all"),
        ({"peft_type": "IA3"}, "peft_type IA3"),
        ({"r": 513}, "513, and --max-lora-rank goes to 512"),
        ({"r": 0}, "r is 0"),
        ({"rank_pattern": {"q_proj": 600}}, "600, and --max-lora-rank goes to 512"),
        ({"modules_to_save": ["multi_modal_projector"]}, "modules_to_save multi_modal_projector"),
    ],
)
def test_an_adapter_that_vllm_would_refuse_is_found_out(adapter, values, told):
    change(adapter, "adapter_config.json", **values)
    assert told in broken(adapter)
    assert not servers(adapter)[0].serves


@pytest.mark.quick
def test_half_an_adapter_is_found_out(adapter):
    weights = adapter / "adapter_model.safetensors"
    tensors = load_file(weights)
    save_file({name: tensor for name, tensor in tensors.items() if "lora_A" in name}, weights)
    assert "q_proj and 0 more are not" in broken(adapter)
    save_file({**tensors, "base_model.model.model.multi_modal_projector.linear_1.weight": torch.zeros(2)}, weights)
    assert "linear_1.weight is no LoRA" in broken(adapter)
    (adapter / "adapter_config.json").write_text("{")
    assert "adapter_config.json: " in broken(adapter)
    weights.unlink()
    assert "there is no file adapter_model.safetensors" in broken(adapter)


@pytest.mark.quick
def test_gemmas_line_ends_are_looked_for(parts, tmp_path):
    language = tmp_path / "language"
    shutil.copytree(parts["language"], language)
    tokenizer = AutoTokenizer.from_pretrained(language)
    tokenizer.add_tokens(["\n", "\n\n", "\n\n\n", "\n\n\n\n"])
    tokenizer.save_pretrained(language)
    model = WRITERS["gemma3"](tmp_path / "model", str(language))
    assert "the tokens that vLLM looks for" not in broken(model, tensors=False)
