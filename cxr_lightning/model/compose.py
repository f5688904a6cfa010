"""Builds the frozen base: two parts joined, or a complete VLM as it is.

A vision tower and a language model are joined as one Hugging Face Llava. What comes out is a plain
`AutoModelForImageTextToText` with its processor, so nothing has to be converted between training and serving but the
merge of what was learned.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
)

from cxr_lightning.model.agreement import require_agreement
from cxr_lightning.model.families import image_tokens, pixels_per_token, tower_family, vlm_family
from cxr_lightning.model.language import load_language, load_text_processor, load_tokenizer
from cxr_lightning.model.opening import Dtype, open_part
from cxr_lightning.model.projector import draw, make_linear
from cxr_lightning.model.source import ModelSource, ModelSourceError
from cxr_lightning.model.templates import IMAGE_TOKEN, lacks_begin, with_images, write_template
from cxr_lightning.model.towers import image_processor, layer_of, load_tower, select_of, tower_config


class TokenizerWithoutImageError(ValueError):
    """A complete model's tokenizer has no single token that stands for an image."""


def load_processor(source: ModelSource) -> Any:
    """Returns the processor (tokenizer, image processor, chat template) of a model, without its weights.

    Raises:
        ModelSourceError: If a folder or a file that is named does not hold what it should.
        TokenizerWithoutImageError: If a complete model's tokenizer does not know the image token.
    """
    if source.text_only:
        return load_text_processor(source)
    if source.composed:
        return _composed_processor(source)
    processor = open_part(AutoProcessor, source.base, "--model.source.base")
    _require_image_token(processor, source)
    config = open_part(AutoConfig, source.base, "--model.source.base")
    vlm_family(config)
    require_agreement(processor, config, str(source.base))
    write_template(processor, None if source.chat_template is None else Path(source.chat_template).read_text())
    if not processor.chat_template:
        raise ModelSourceError(
            f"--model.source.base={source.base} has no chat template, so nobody knows how it is asked. Remedy: give "
            "one as --model.source.chat_template."
        )
    return processor


def load_model(source: ModelSource, processor: Any, *, dtype: Dtype = torch.float32) -> Any:
    """Returns the untrained base model in evaluation mode, every parameter frozen.

    Args:
        source: Which model to build.
        processor: What `load_processor` returned for the same source.
        dtype: Data type of the weights; `stored` leaves each part as it lies on disk.

    Raises:
        ModelSourceError: If a folder does not hold what it should, or the parts do not fit.
    """
    if source.text_only:
        model = load_language(source, dtype=dtype)
    elif source.composed:
        model = _composed_model(source, processor, dtype)
    else:
        model = open_part(AutoModelForImageTextToText, source.base, "--model.source.base", dtype=dtype)
        vlm_family(model.config)
    _forget_storage_format(model.config)
    return model.requires_grad_(False).eval()


def _composed_processor(source: ModelSource) -> LlavaProcessor:
    tokenizer = load_tokenizer(source)
    tokenizer.add_tokens([IMAGE_TOKEN], special_tokens=True)
    vision_config = tower_config(source)
    template = Path(source.chat_template).read_text() if source.chat_template else tokenizer.chat_template
    tokenizer.chat_template = None  # the processor's template is the one that counts; two would drift apart
    return LlavaProcessor(
        image_processor=image_processor(source, vision_config),
        tokenizer=tokenizer,
        patch_size=pixels_per_token(vision_config),
        vision_feature_select_strategy=select_of(source, vision_config),
        num_additional_image_tokens=tower_family(vision_config).extra_tokens,
        image_token=IMAGE_TOKEN,
        chat_template=with_images(template, begins=lacks_begin(tokenizer, template)),
    )


def _composed_model(source: ModelSource, processor: LlavaProcessor, dtype: Dtype) -> LlavaForConditionalGeneration:
    vision_config = tower_config(source)
    language = load_language(source, dtype=dtype)
    _forget_storage_format(language.config)
    generator = torch.Generator().manual_seed(source.seed)
    _make_room_for_image_token(language, processor, generator)
    select = select_of(source, vision_config)
    config = LlavaConfig(
        vision_config=vision_config,
        text_config=language.config,
        image_token_index=processor.image_token_id,
        image_seq_length=image_tokens(vision_config, select),
        projector_hidden_act="gelu",
        vision_feature_select_strategy=select,
        vision_feature_layer=layer_of(source),
        tie_word_embeddings=bool(language.config.tie_word_embeddings),
    )
    with torch.device("meta"):  # an empty frame: each part brings its own weights, so none is allocated twice
        model = LlavaForConditionalGeneration(config)
    wanted = {name: tensor.shape for name, tensor in model.state_dict().items() if "projector" not in name}
    model.model.vision_tower = load_tower(source, dtype=dtype)
    model.model.language_model = language.get_decoder()
    model.lm_head = language.get_output_embeddings()
    model.model.multi_modal_projector = _fresh_projector(source, config, generator)
    if dtype != "stored":
        model.model.multi_modal_projector.to(dtype)
    found = {name: tensor.shape for name, tensor in model.state_dict().items() if "projector" not in name}
    _require_same_tensors(wanted, found, source)
    model.generation_config = language.generation_config
    model.config.architectures = ["LlavaForConditionalGeneration"]
    model.config.text_config.architectures = [type(language).__name__]
    return model


def _require_same_tensors(wanted: dict[str, Any], found: dict[str, Any], source: ModelSource) -> None:
    odd = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if odd:
        raise ModelSourceError(
            f"{source.vision} and {source.language} do not fit into a Llava: {odd[0]} and {len(odd) - 1} more tensors "
            "differ from what transformers would load again. Remedy: choose a tower or language model of another "
            "family."
        )


def _fresh_projector(source: ModelSource, config: LlavaConfig, generator: torch.Generator) -> torch.nn.Module:
    if source.projector == "linear":
        return make_linear(config, generator)
    from transformers.models.llava.modeling_llava import LlavaMultiModalProjector

    projector = LlavaMultiModalProjector(config)
    with torch.no_grad():
        for layer in (projector.linear_1, projector.linear_2):
            layer.weight.copy_(draw(tuple(layer.weight.shape), generator) * layer.in_features**-0.5)
            layer.bias.zero_()
    return projector


def _make_room_for_image_token(language: Any, processor: LlavaProcessor, generator: torch.Generator) -> None:
    """Adds an embedding row for `<image>` where the table is full; its value never reaches the model's layers."""
    needed = processor.image_token_id + 1
    if needed <= language.get_input_embeddings().num_embeddings:
        return
    language.resize_token_embeddings(needed, mean_resizing=False)
    with torch.no_grad():
        for table in {language.get_input_embeddings(), language.get_output_embeddings()}:
            width = table.weight.shape[1]
            table.weight[needed - 1] = (draw((width,), generator) * 0.02).to(table.weight.dtype)


def _require_image_token(processor: Any, source: ModelSource) -> None:
    token = str(getattr(processor, "image_token", None) or IMAGE_TOKEN)
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is None or tokenizer.convert_tokens_to_ids(token) in (None, tokenizer.unk_token_id):
        raise TokenizerWithoutImageError(
            f"The tokenizer of {source.base} has no image token {token!r}, so text cannot say where an image stands. "
            "Remedy: name a complete vision-language model, or join parts with --model.source.vision and "
            "--model.source.language, which adds the token."
        )


def _forget_storage_format(config: Any) -> None:
    """Drops how the base was stored (gguf, awq): the weights are plain now; a server would refuse to load them."""
    for part in (config, getattr(config, "text_config", None), getattr(config, "vision_config", None)):
        if part is not None and getattr(part, "quantization_config", None) is not None:
            del part.quantization_config
