"""How likely a model finds an answer that somebody else gave: the loss of training, asked of any model that sees.

What a model would write is one thing; how surprised it is by what a radiologist wrote is measured on every study, even
where its own words never come near.
"""

# Shapes: B conversations, L tokens of prompt and answer, K tokens of the longest answer and one, V vocabulary.

from __future__ import annotations

import inspect
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from cxr_lightning.model.generation import encode_texts
from cxr_lightning.model.likely import Likelihood
from cxr_lightning.shards.contract import Turn
from cxr_lightning.stream.conversation import UnstableTemplateError, as_messages, render


class NoLikelihoodError(ValueError):
    """A model's processor does not let an answer stand at the end of what is read."""


@torch.inference_mode()
def likelihoods(
    model: Any,
    processor: Any,
    prompts: Sequence[Sequence[Turn]],
    answers: Sequence[str],
    pictures: list[list[Image.Image]],
) -> list[Likelihood]:
    """Asks a model how likely it finds answers.

    Args:
        model: A Hugging Face image-text-to-text model.
        processor: Its processor.
        prompts: Turns of each conversation up to the answer, `<image>` where each image goes.
        answers: The answers.
        pictures: The images of each conversation, RGB.

    Returns:
        One of each; of an answer without a token zero nats.

    Raises:
        NoLikelihoodError: The processor writes something behind the answer (Fuyu's does).
    """
    written = [_written(processor, prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)]
    counts = [_new_tokens(processor.tokenizer, before, after) for before, after in written]
    inputs = encode_texts(model, processor, [before + after for before, after in written], pictures)
    if "qformer_input_ids" in inputs:  # which reads the question, and would pass the answer on
        questions = encode_texts(model, processor, [before for before, _ in written], pictures)
        inputs.update({name: questions[name] for name in ("qformer_input_ids", "qformer_attention_mask")})
    _require_last(processor, inputs["input_ids"], written, counts)
    kept = max(counts) + 1
    # The logits of a prompt are a gigabyte that nobody reads; BLIP-2 makes them all the same.
    keeps = "logits_to_keep" in inspect.signature(model.forward).parameters
    logits_BKV = model(**inputs, use_cache=False, **({"logits_to_keep": kept} if keeps else {})).logits[:, -kept:]
    targets_BK = inputs["input_ids"][:, -kept:]
    found = []
    for logits_KV, targets_K, count in zip(logits_BKV, targets_BK, counts, strict=True):
        if not count:
            found.append(Likelihood(0.0, 0))
            continue
        certain_KV = logits_KV[-count - 1 : -1].float().log_softmax(-1)
        nats = -certain_KV.gather(1, targets_K[-count:, None]).sum()
        found.append(Likelihood(round(float(nats), 6), count))
    return found


def _written(processor: Any, prompt: Sequence[Turn], answer: str) -> tuple[str, str]:
    """Returns prompt and answer as the template writes them, the end of the answer included."""
    try:
        *before, last = render(processor, [*prompt, {"role": "assistant", "content": answer}])
    except UnstableTemplateError:  # one that we could not train, and can ask all the same
        asked = processor.apply_chat_template(as_messages(prompt), add_generation_prompt=True, tokenize=False)
        return asked, answer + (processor.tokenizer.eos_token or "")
    return "".join(piece.text for piece in before), last.text


def _require_last(processor: Any, ids_BL: Tensor, written: Sequence[tuple[str, str]], counts: Sequence[int]) -> None:
    for ids_L, (before, answer), count in zip(ids_BL.tolist(), written, counts, strict=True):
        whole = processor.tokenizer(before + answer, add_special_tokens=False).input_ids
        if ids_L[len(ids_L) - count :] != whole[len(whole) - count :]:
            raise NoLikelihoodError(
                f"{type(processor).__name__} writes something behind what it is given, so an answer cannot be put to "
                "the model word by word."
            )


def _new_tokens(tokenizer: Any, before: str, answer: str) -> int:
    """Counts the tokens that an answer adds; the seam may lie inside of what would be one token."""
    prompt = tokenizer(before, add_special_tokens=False).input_ids
    whole = tokenizer(before + answer, add_special_tokens=False).input_ids
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(prompt, whole, strict=False)))
    return len(whole) - common
