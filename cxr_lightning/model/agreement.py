"""Processor and model must mean the same by an image: the same token, as many times as there are features.

Both are read from files that people edit and mix. Where they disagree, a forward pass ends in an error about shapes
after hours of preparation, or in none; so they are compared before anything is loaded.
"""

from __future__ import annotations

from typing import Any

from cxr_lightning.model.families import image_tokens
from cxr_lightning.model.source import ModelSourceError
from cxr_lightning.stream.placeholders import Placeholders


def require_agreement(processor: Any, config: Any, name: str) -> None:
    """Compares a complete model's processor with its configuration.

    Args:
        processor: Its processor.
        config: Its configuration.
        name: What it was named, for messages.

    Raises:
        ModelSourceError: If they disagree, or the family is one that cannot be trained here.
    """
    token = Placeholders(processor).token
    if token != config.image_token_id:
        raise _disagree(name, "the number of the image token", token, config.image_token_id, "image_token_id")
    compare = {
        "llava": _llava,
        "gemma3": _gemma,
        "blip-2": _blip,
        "instructblip": _blip,
        "qwen2_vl": _qwen,
        "qwen2_5_vl": _qwen,
        "qwen3_vl": _qwen,
    }.get(config.model_type)
    if compare is not None:
        compare(processor, config, name)


def _llava(processor: Any, config: Any, name: str) -> None:
    select, model_select = processor.vision_feature_select_strategy, config.vision_feature_select_strategy
    if select != model_select:
        raise _disagree(name, "which tokens are read", select, model_select, "vision_feature_select_strategy")
    if processor.patch_size is None:
        raise ModelSourceError(
            f"--model.source.base={name}: its processor_config.json has no patch_size, so nobody knows how many tokens "
            "an image is. Remedy: add patch_size, num_additional_image_tokens (1 with CLS) and "
            "vision_feature_select_strategy as config.json has them."
        )
    side = int(config.vision_config.image_size) // int(processor.patch_size)
    written = side * side + processor.num_additional_image_tokens - (select == "default")
    made = image_tokens(config.vision_config, select)
    if written != made:
        raise _disagree(name, "the tokens of an image", written, made, "patch_size and num_additional_image_tokens")


def _gemma(processor: Any, config: Any, name: str) -> None:
    if processor.image_seq_length != config.mm_tokens_per_image:
        raise _disagree(
            name, "the tokens of an image", processor.image_seq_length, config.mm_tokens_per_image, "image_seq_length"
        )
    patches = int(config.vision_config.image_size) // int(config.vision_config.patch_size)
    tokens = int(config.mm_tokens_per_image**0.5)
    if tokens * tokens != config.mm_tokens_per_image or patches % tokens:
        raise ModelSourceError(
            f"--model.source.base={name}: {patches} x {patches} patches cannot be averaged to "
            f"{config.mm_tokens_per_image} tokens. Remedy: set mm_tokens_per_image in config.json to the square of a "
            f"divisor of {patches}."
        )


def _blip(processor: Any, config: Any, name: str) -> None:
    if not config.use_decoder_only_language_model:
        raise ModelSourceError(
            f"--model.source.base={name}: its language model ({config.text_config.model_type}) has an encoder, and "
            "only decoders are trained here. Remedy: choose a BLIP-2 with OPT, or an InstructBLIP with Vicuna."
        )
    if processor.num_query_tokens != config.num_query_tokens:
        raise _disagree(
            name, "the query tokens", processor.num_query_tokens, config.num_query_tokens, "num_query_tokens"
        )


def _qwen(processor: Any, config: Any, name: str) -> None:
    images, vision = processor.image_processor, config.vision_config
    for what, theirs, ours in (
        ("a patch's side in pixels", images.patch_size, vision.patch_size),
        ("the patches of a token's side", images.merge_size, vision.spatial_merge_size),
    ):
        if theirs != ours:
            raise _disagree(name, what, theirs, ours, "patch_size and merge_size of preprocessor_config.json")


def _disagree(name: str, what: str, processor: Any, model: Any, key: str) -> ModelSourceError:
    return ModelSourceError(
        f"--model.source.base={name}: its processor and its model disagree about {what}: {processor} and {model}. "
        f"Remedy: set {key} of the processor to what config.json means, or take both from one release."
    )
