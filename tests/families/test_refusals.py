"""Combinations that would train something else in silence, or fail late, are refused with the remedy."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cxr_lightning.model.compose import TokenizerWithoutImageError, load_processor
from cxr_lightning.model.families import UnknownFamilyError
from cxr_lightning.model.source import ModelSource, ModelSourceError


def edited(folder: str, copy: Path, file: str, **changes: object) -> str:
    """Returns a copy of a model's folder with some keys of a JSON file changed."""
    shutil.copytree(folder, copy)
    content = json.loads((copy / file).read_text())
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = content
        for parent in parents:
            place = place[parent]
        place[last] = value
    (copy / file).write_text(json.dumps(content))
    return str(copy)


@pytest.mark.parametrize("tower", ["siglip", "swin", "medclip"])
def test_a_tower_without_cls_does_not_lose_a_patch(sources, tower):
    with pytest.raises(ModelSourceError, match=r"has none: a patch.*leave --model\.source\.select out"):
        load_processor(replace(sources[tower], select="default"))


@pytest.mark.parametrize(("tower", "layer", "why"), [("clip", 3, "3 hidden states"), ("swin", -3, "earlier stages")])
def test_a_layer_that_is_not_there(sources, tower, layer, why):
    with pytest.raises(ModelSourceError, match=f"{why}.*Remedy"):
        load_processor(replace(sources[tower], vision_layer=layer))


@pytest.mark.parametrize(
    ("tower", "changes", "why"),
    [
        ("swin", {"image_size": 34}, "Remedy.*32 or 40"),
        ("clip", {"image_size": 4}, "covers 8.*Remedy"),
        ("dinov2", {"image_size": [32, 48]}, "square ones alone. Remedy"),
    ],
)
def test_an_image_that_the_patch_does_not_divide(sources, tmp_path, tower, changes, why):
    folder = edited(sources[tower].vision, tmp_path / "tower", "config.json", **changes)
    with pytest.raises(ModelSourceError, match=why):
        load_processor(replace(sources[tower], vision=folder))


@pytest.mark.parametrize(
    ("family", "file", "changes", "why"),
    [
        ("qwen2_vl", "config.json", {"image_token_id": 7}, "image token: 424 and 7"),
        ("qwen3_vl", "processor_config.json", {"image_processor__merge_size": 4}, "patches of a token's side: 4 and 2"),
        ("gemma3", "processor_config.json", {"image_seq_length": 16}, "tokens of an image: 16 and 9"),
        ("gemma3", "config.json", {"vision_config__image_size": 40}, "5 x 5 patches cannot be averaged to 9"),
        ("blip2", "processor_config.json", {"num_query_tokens": None}, "query tokens: None and 4"),
        ("blip2", "config.json", {"text_config": {"model_type": "t5"}}, "only decoders"),
        ("instructblip", "config.json", {"image_token_index": None}, "image token"),
    ],
)
def test_processor_and_model_that_disagree(sources, tmp_path, family, file, changes, why):
    folder = edited(sources[family].base, tmp_path / "model", file, **changes)
    with pytest.raises(ModelSourceError, match=f"{why}.*Remedy"):
        load_processor(ModelSource(base=folder))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"patch_size": None}, "no patch_size"),
        ({"num_additional_image_tokens": 0}, "tokens of an image: 15 and 16"),
        ({"vision_feature_select_strategy": "full"}, "which tokens are read: full and default"),
    ],
)
def test_a_llava_whose_processor_counts_otherwise(sources, tmp_path, changes, why):
    from cxr_lightning.model.compose import load_model

    processor = load_processor(sources["clip"])
    load_model(sources["clip"], processor).save_pretrained(tmp_path / "llava")
    processor.save_pretrained(tmp_path / "llava")
    assert load_processor(ModelSource(base=str(tmp_path / "llava"))).patch_size == 8
    folder = edited(str(tmp_path / "llava"), tmp_path / "edited", "processor_config.json", **changes)
    with pytest.raises(ModelSourceError, match=f"{why}.*Remedy"):
        load_processor(ModelSource(base=folder))


def test_a_complete_model_without_a_template(sources, tmp_path):
    shutil.copytree(sources["qwen3_vl"].base, tmp_path / "model")
    (tmp_path / "model" / "chat_template.jinja").unlink()
    with pytest.raises(ModelSourceError, match=r"no chat template.*--model\.source\.chat_template"):
        load_processor(ModelSource(base=str(tmp_path / "model")))


def test_a_text_model_and_a_family_without_a_row(sources, parts, tmp_path):
    with pytest.raises(TokenizerWithoutImageError):
        load_processor(ModelSource(base=parts["language"]))
    folder = edited(parts["clip"], tmp_path / "tower", "config.json", model_type="convnext")
    with pytest.raises(UnknownFamilyError, match=r"convnext.*families\.py"):
        load_processor(ModelSource(vision=folder, language=parts["language"]))
