"""Greedy text from a model and its processor, for a batch of conversations with images."""

# Shapes: B conversations, L tokens of prompt and answer, N tokens of the answer.

from __future__ import annotations

from typing import Any

import torch
from PIL import Image
from torch import Tensor


def generate(
    model: Any,
    processor: Any,
    conversations: list[list[dict[str, Any]]],
    pictures: list[list[Image.Image]],
    *,
    max_new_tokens: int = 256,
    synced_ranks: bool = False,
) -> list[str]:
    """Answers the last turn of each conversation.

    Args:
        model: A Hugging Face image-text-to-text model.
        processor: Its processor.
        conversations: Hugging Face messages of each conversation, ending with a user turn.
        pictures: The images of each conversation, RGB, in the order of their marks.
        max_new_tokens: Longest answer.
        synced_ranks: Keep going until all ranks are done, which ZeRO-3 needs to gather weights together.

    Returns:
        The answers.
    """
    inputs = encode(model, processor, conversations, pictures)
    new_BN = generate_ids(model, processor, inputs, max_new_tokens=max_new_tokens, synced_gpus=synced_ranks)
    return [text.strip() for text in processor.batch_decode(new_BN, skip_special_tokens=True)]


def encode(
    model: Any, processor: Any, conversations: list[list[dict[str, Any]]], pictures: list[list[Image.Image]]
) -> Any:
    """Makes a model's inputs of conversations, padded on the left, for answers begin where rows end.

    Args:
        model: The model, for its device and data type.
        processor: Its processor.
        conversations: Hugging Face messages of each conversation, ending with a user turn.
        pictures: The images of each conversation, RGB, in the order of their marks.
    """
    texts = [
        processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False) for turns in conversations
    ]
    return encode_texts(model, processor, texts, pictures)


def encode_texts(model: Any, processor: Any, texts: list[str], pictures: list[list[Image.Image]]) -> Any:
    """Makes a model's inputs of what a chat template wrote, padded on the left.

    Args:
        model: The model, for its device and data type.
        processor: Its processor.
        texts: What a template wrote of each conversation.
        pictures: The images of each conversation, RGB, in the order of their marks.
    """
    begins = processor.tokenizer.bos_token is not None and texts[0].startswith(processor.tokenizer.bos_token)
    # By conversation, where each shows an image: Gemma 3 would else give all of them to the first.
    images = pictures if all(pictures) else [picture for each in pictures for picture in each] or None
    side, processor.tokenizer.padding_side = processor.tokenizer.padding_side, "left"
    try:
        inputs = processor(images=images, text=texts, padding=True, add_special_tokens=not begins, return_tensors="pt")
    finally:
        processor.tokenizer.padding_side = side
    inputs = inputs.to(model.device)
    if "pixel_values" in inputs:
        inputs["pixel_values"] = inputs["pixel_values"].to(model.dtype)
    return inputs


@torch.inference_mode()
def generate_ids(model: Any, processor: Any, inputs: Any, *, max_new_tokens: int, **more: Any) -> Tensor:
    """Answers what `encode` made, greedily.

    Args:
        model: The model.
        processor: Its processor.
        inputs: What `encode` made.
        max_new_tokens: Longest answer.
        **more: What else `generate` of transformers takes.

    Returns:
        new_BN, the answers' tokens; behind the end of a shorter one is padding.
    """
    ids_BL: Tensor = model.generate(
        **inputs,
        do_sample=False,
        max_new_tokens=max_new_tokens,
        pad_token_id=processor.tokenizer.pad_token_id,
        **more,
    )
    return ids_BL[:, inputs["input_ids"].shape[1] :]
