"""What an export is tried on: questions about drawn radiographs, and what two models make of them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from cxr_lightning.phantoms.phantom import draw_study

QUESTIONS = ("Describe this chest radiograph.", "Is there a pleural effusion, and on which side?")
_TEXTS = (
    "Write the impression: the heart is normal in size. The lungs are clear.",
    "Write the impression: there is a small left pleural effusion.",
)
_AS_LONG_AS_TOKENS = ("attention_mask", "token_type_ids", "mm_token_type_ids")

Inputs = Mapping[str, Any]


def trial_inputs(processor: Any, number: int = 0, image_size: int = 96) -> dict[str, Any]:
    """Returns a prompt, with a drawn radiograph where the model takes images, as the processor makes it.

    Args:
        processor: The model's processor.
        number: Which question and radiograph, 0 or 1.
        image_size: Side of the drawing in pixels.
    """
    sees = processor.image_processor is not None
    question: Any = QUESTIONS[number] if sees else _TEXTS[number]
    content = [{"type": "image"}, {"type": "text", "text": question}] if sees else question
    turns = [{"role": "user", "content": content}]
    if number:  # a second turn: a template writes an answer otherwise than a question
        more = [("assistant", "The lungs are clear."), ("user", "And the heart?")]
        turns += [{"role": who, "content": [{"type": "text", "text": said}] if sees else said} for who, said in more]
    text = processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    options: dict[str, Any] = {"add_special_tokens": not text.startswith(processor.tokenizer.bos_token or "<none>")}
    if sees:
        film_HW = draw_study(0, number, size=image_size).image_HW
        if number:  # no square: how one is made of it is the image processor's business
            film_HW = film_HW[: image_size * 2 // 3]
        options["images"] = [Image.fromarray(film_HW).convert("RGB")]
    return dict(processor(text=text, return_tensors="pt", **options))


def trials(processor: Any) -> list[dict[str, Any]]:
    """Returns the prompts of a trial."""
    return [trial_inputs(processor, number) for number in range(len(QUESTIONS))]


@torch.inference_mode()
def trial_logits(model: Any, inputs: Inputs, dtype: torch.dtype | None = None, keep: int | None = None) -> Tensor:
    """Returns a model's logits, in float32.

    Args:
        model: The model.
        inputs: The prompt.
        dtype: What its images are made; None takes the model's own type.
        keep: How many positions from the end; None takes all. A vocabulary is wide, and image tokens are many.
    """
    can = keep is not None and "logits_to_keep" in inspect.signature(model.forward).parameters
    options = {"logits_to_keep": keep} if can else {}
    logits_BLV: Tensor = model(**_typed(inputs, dtype or model.dtype), **options).logits
    return (logits_BLV if keep is None else logits_BLV[:, -keep:]).float().clone()


@torch.inference_mode()
def greedy(model: Any, inputs: Inputs, most_tokens: int = 16) -> list[int]:
    """Returns the tokens that a model answers with, among those that stand for no image."""
    ids_BL = model.generate(
        **_typed(inputs, model.dtype),
        do_sample=False,
        max_new_tokens=most_tokens,
        suppress_tokens=image_ids(model.config) or None,
    )
    tokens: list[int] = ids_BL[0, inputs["input_ids"].shape[1] :].tolist()
    return tokens


def image_ids(config: Any) -> list[int]:
    """Returns the tokens that stand for images and videos: behind a prompt they would ask for pictures."""
    names = ("image_token_id", "image_token_index", "video_token_id", "video_token_index")
    return sorted({int(found) for name in names if (found := getattr(config, name, None)) is not None})


def continued(inputs: Inputs, tokens: Sequence[int]) -> dict[str, Any]:
    """Returns a prompt with an answer behind it."""
    ids_BL, more_BL = inputs["input_ids"], torch.tensor([list(tokens)], dtype=torch.long)
    longer = {**inputs, "input_ids": torch.cat([ids_BL, more_BL], dim=1)}
    for name in _AS_LONG_AS_TOKENS:
        if name in inputs:
            filling = torch.ones_like(more_BL) if name == "attention_mask" else torch.zeros_like(more_BL)
            longer[name] = torch.cat([inputs[name], filling.to(inputs[name].dtype)], dim=1)
    return longer


def _typed(inputs: Inputs, dtype: torch.dtype) -> dict[str, Any]:
    floats = {name: each.to(dtype) for name, each in inputs.items() if torch.is_floating_point(each)}
    return {**inputs, **floats}
