"""Turns to text with the answers marked: what the model reads, and which of it the loss may see.

The model family's own chat template writes the text. Each assistant turn is found by rendering the conversation up to
it with and without it, so no template has to be known here; a template that rewrites earlier turns is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cxr_lightning.reports.conversations import IMAGE_MARK
from cxr_lightning.shards.contract import Turn


class UnstableTemplateError(ValueError):
    """A chat template writes earlier turns differently once later ones follow."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of rendered text.

    Attributes:
        text: The text.
        answer: Whether an assistant said it, so that the loss sees it.
    """

    text: str
    answer: bool


def as_messages(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """Returns stored turns as Hugging Face messages, in which images are parts of the content.

    Args:
        turns: `{"role", "content"}` of each turn; `<image>` at its place in the content.
    """
    messages: list[dict[str, Any]] = []
    for turn in turns:
        parts: list[dict[str, str]] = []
        for number, text in enumerate(turn["content"].split(IMAGE_MARK)):
            if number > 0:
                parts.append({"type": "image"})
                text = text.removeprefix("\n")  # the line break after an image is the template's to write
            if text:
                parts.append({"type": "text", "text": text})
        messages.append({"role": turn["role"], "content": parts})
    return messages


def render(processor: Any, turns: Sequence[Turn]) -> list[Piece]:
    """Renders a conversation by the processor's chat template and cuts it where answers begin and end.

    Args:
        processor: A Hugging Face processor with a chat template.
        turns: The conversation; assistant turns are answers.

    Returns:
        The pieces; joined they are the whole text. Whatever a template writes after the end token of the last answer
        is dropped: no server ever shows it to the model.

    Raises:
        UnstableTemplateError: If the text of a conversation's beginning is not the beginning of its text.
    """
    messages = as_messages(turns)
    end = processor.tokenizer.eos_token
    pieces: list[Piece] = []
    done = ""
    for number, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        before = _apply(processor, messages[:number], prompt=True)
        after = _apply(processor, messages[: number + 1], prompt=False)
        if not (before.startswith(done) and after.startswith(before)):
            raise UnstableTemplateError(
                f"The chat template does not extend what it wrote when turn {number + 1} is added, so answers "
                "cannot be told from prompts. "
                "Remedy: give --model.source.chat_template a template that writes every turn the same way."
            )
        answer, tail = after[len(before) :], ""
        if end and end in answer:
            cut = answer.rindex(end) + len(end)
            answer, tail = answer[:cut], answer[cut:]
        pieces += [Piece(before[len(done) :], answer=False), Piece(answer, answer=True)]
        if tail and number + 1 < len(messages):
            pieces.append(Piece(tail, answer=False))
        done = after
    return pieces


def _apply(processor: Any, messages: list[dict[str, Any]], *, prompt: bool) -> str:
    text = processor.apply_chat_template(messages, add_generation_prompt=prompt, tokenize=False)
    assert isinstance(text, str)
    return text
