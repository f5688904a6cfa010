"""One stored sample to what the model reads: token ids, targets and pixels.

Text goes through the family's chat template and tokenizer, images through its image processor, the very ones that the
export carries, so that training sees what serving will see.
"""

# Shapes: L tokens of the sample, I images, C channels, H height, W width.

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from cxr_lightning.reports.conversations import IMAGE_MARK, Said
from cxr_lightning.reports.textual import converse_in_text
from cxr_lightning.shards.contract import ShardError, Turn
from cxr_lightning.shards.images import open_stored
from cxr_lightning.shards.sample import RawSample
from cxr_lightning.stream.conversation import Piece, UnstableTemplateError, render
from cxr_lightning.stream.pixels import Decode, Pixels
from cxr_lightning.stream.placeholders import Placeholders

TextKind = Literal["summary", "conversation", "report"]
IGNORED = -100
"""Target of positions that the loss does not see (PyTorch's own default)."""

ALIGNMENT_PROMPT = f"{IMAGE_MARK}\nDescribe this chest radiograph."
"""The one user turn of stage 1: alignment learns to see, not to follow varied instructions."""


class AnswerLostError(ValueError):
    """A sample is so long before its answer that nothing is left to learn from."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A sample ready to be put into a row.

    Attributes:
        key: The sample's key, for messages.
        ids_L: Token ids, images expanded.
        targets_L: The next token at each position, or -100 where the loss does not look.
        views: The decoded images, where `Pixels` finishes them a batch at a time.
        vision: Else the image processor's tensors (`pixel_values`, and what the family needs beside), each with I rows
            or more.
        truncated: Whether the answer was cut at the length limit.
        images: How many images its turns show.
    """

    key: str
    ids_L: NDArray[np.int64]
    targets_L: NDArray[np.int64]
    views: list[Tensor]
    vision: dict[str, Tensor]
    truncated: bool
    images: int

    @property
    def extent(self) -> tuple[int, int]:
        """Its tokens, and its images."""
        return len(self.ids_L), self.images

    @property
    def supervised(self) -> int:
        """Number of positions the loss looks at."""
        return int((self.targets_L != IGNORED).sum())


class Encoder:
    """Encodes samples for one model family.

    Args:
        processor: The model's Hugging Face processor.
        text: `summary` for alignment, `conversation` for instruction tuning, `report` for a language model alone.
        max_tokens: Longest sample; longer answers are cut at their end and counted.
        decode: How images are decoded; see `Pixels`.
    """

    def __init__(self, processor: Any, text: TextKind, max_tokens: int, decode: Decode = "exact") -> None:
        self.processor, self.text, self.max_tokens = processor, text, max_tokens
        self.pixels = Pixels(processor.image_processor, decode, getattr(processor, "unused_input_names", ()))
        self.placeholders = Placeholders(processor)
        # Threads encode with it while others pad with the processor's own: padding is a state of a tokenizer.
        self.tokenizer = copy.deepcopy(processor.tokenizer)
        self.typed_image_token = self.placeholders.typed
        """The image token, where the family's forward wants to know which positions are image."""
        self.sees = self.placeholders.token is not None
        """Whether the model takes images."""
        self.blank: Tensor | None = None
        """Features that stand for an image without meaning, where features are read instead of images."""
        self._to_check = 8
        """Samples whose prompt is still to be compared with what a server would send."""

    def turns(self, sample: RawSample) -> list[Turn]:
        """Returns the conversation that a sample teaches at this stage.

        A study that brought only questions and answers has no summary, and a text-only sample no image to describe;
        they align by their conversation.
        """
        if self.text == "report":
            return text_turns(sample)
        if self.text == "conversation" or not sample.record["summary"] or not sample.images:
            return list(sample.record["conversation"])
        return [
            {"role": "user", "content": ALIGNMENT_PROMPT},
            {"role": "assistant", "content": sample.record["summary"]},
        ]

    def __call__(self, sample: RawSample, features: Callable[[int], Tensor] | None = None) -> Encoded:
        """Encodes one sample.

        Args:
            sample: The sample.
            features: Returns what a frozen tower made of its first so many images; then they are not decoded.

        Raises:
            AnswerLostError: If no answer token fits into `max_tokens`.
            ShardError: If the turns mark more images than the sample stores.
        """
        turns = self.turns(sample)
        wanted = sum(turn["content"].count(IMAGE_MARK) for turn in turns)
        if wanted > len(sample.images):
            raise ShardError(
                f"Sample {sample.key}: its turns mark {wanted} images with {IMAGE_MARK}, and {len(sample.images)} "
                "are stored. Remedy: pack the source again; `cxr pack` now names such studies."
            )
        files = list(sample.images.values())[:wanted]
        return self._encode(sample.key, turns, files if features is None or not wanted else features(wanted))

    def stand_in(self) -> Encoded:
        """Returns a sample that teaches nothing, with an image where the family takes images.

        It keeps company with text-only samples: parameters that meet no image in a micro-batch would have no gradient
        on one rank and one on another, which then wait for each other for ever (under ZeRO-3 even to be gathered).
        """
        turns: list[Turn] = [
            {"role": "user", "content": IMAGE_MARK if self.sees else "-"},
            {"role": "assistant", "content": "-"},
        ]
        image = [_black()] if self.blank is None else self.blank
        encoded = self._encode("stand-in", turns, image if self.sees else [])
        return replace(encoded, targets_L=np.full_like(encoded.targets_L, IGNORED))

    def _encode(self, key: str, turns: list[Turn], files: list[bytes] | Tensor) -> Encoded:
        views, vision, outline = self._see(files)
        pieces = self.placeholders.expand(render(self.processor, turns), outline)
        ids, answer = self._tokenize(pieces, len(files))
        if np.isin(ids[answer], self.placeholders.reserved).any():
            raise ShardError(
                f"Sample {key}: its answer holds the model's own image token. Remedy: take it out of the text."
            )
        if self._to_check:
            self._to_check -= 1
            self._require_prompt(pieces[:1], ids, len(files))
        truncated = len(ids) > self.max_tokens
        if np.isin(ids[self.max_tokens :], self.placeholders.reserved).any():
            raise AnswerLostError(
                f"Sample {key}: --data.max_tokens={self.max_tokens} ends before its last image does. "
                "Remedy: raise --data.max_tokens."
            )
        ids, answer = ids[: self.max_tokens], answer[: self.max_tokens]
        targets = np.full(len(ids), IGNORED, dtype=np.int64)
        targets[:-1][answer[1:]] = ids[1:][answer[1:]]
        if not answer.any():
            raise AnswerLostError(
                f"Sample {key}: its prompt and image alone take all {self.max_tokens} tokens. "
                "Remedy: raise --data.max_tokens."
            )
        if len(files):
            prompt = pieces[0].text
            vision |= self.placeholders.instruction(prompt, special=not self._begins(prompt))
        return Encoded(key, ids, targets, views, vision, truncated, len(files))

    def _require_prompt(self, prompt: list[Piece], ids_L: NDArray[np.int64], images: int) -> None:
        """Refuses a template whose prompt, tokenized alone, is not the beginning of the trained tokens."""
        served, _ = self._tokenize(prompt, images)
        if not np.array_equal(served, ids_L[: len(served)]):
            raise UnstableTemplateError(
                "The chat template's prompt runs into the answer: tokenized alone, as a server does, it is not the "
                "beginning of the text that training sees. Remedy: let --model.source.chat_template end its prompt in "
                "a line break or a special token, not in a space."
            )

    def _see(self, files: list[bytes] | Tensor) -> tuple[list[Tensor], dict[str, Tensor], dict[str, Tensor]]:
        """Returns views or the processor's tensors, and what tells the family's rule how many tokens an image has."""
        if isinstance(files, Tensor):  # what the tower made of them before
            beside = self.pixels.beside(len(files))
            return [], {"pixel_values": files, **beside}, self.pixels.outline(len(files))
        if not files:
            return [], {}, {}
        if self.pixels.late:
            return [self.pixels.decode(file) for file in files], {}, self.pixels.outline(len(files))
        vision = dict(self.processor.image_processor(images=list(map(open_stored, files)), return_tensors="pt"))
        return [], {name: vision[name] for name in vision if name not in self.pixels.unused}, vision

    def _begins(self, text: str) -> bool:
        """Returns whether a text writes its begin token itself, so that a tokenizer need not."""
        begin = self.tokenizer.bos_token
        return begin is not None and text.startswith(begin)

    def _tokenize(self, pieces: list[Piece], images: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Tokenizes the whole text at once, as a server does, and marks the tokens that begin inside an answer."""
        text = "".join(piece.text for piece in pieces)
        special = not self._begins(text)  # else two begin tokens would lead
        tokens = self.tokenizer(text, add_special_tokens=special, return_offsets_mapping=True)
        spans_L2 = np.asarray(tokens["offset_mapping"], dtype=np.int64).reshape(-1, 2)
        answer_L = np.zeros(len(spans_L2), dtype=bool)
        place = 0
        for piece in pieces:
            if piece.answer:
                inside = (spans_L2[:, 1] > place) & (spans_L2[:, 1] <= place + len(piece.text))
                answer_L |= inside & (spans_L2[:, 1] > spans_L2[:, 0])
            place += len(piece.text)
        lead = self.placeholders.lead(images)
        ids_L = np.concatenate([lead, np.asarray(tokens["input_ids"], dtype=np.int64)])
        return ids_L, np.concatenate([np.zeros(len(lead), dtype=bool), answer_L])


def text_turns(sample: RawSample) -> list[Turn]:
    """Returns the conversation that a sample teaches without its image: its own, where that shows none."""
    record = sample.record
    if record["conversation"] and not any(IMAGE_MARK in turn["content"] for turn in record["conversation"]):
        return list(record["conversation"])
    return converse_in_text(Said(record["summary"], record["findings"], record["impression"]), sample.key)


def images(sample: RawSample) -> list[Image.Image]:
    """Decodes a sample's views in their stored order, as RGB because every tower was trained on three channels."""
    return list(map(open_stored, sample.images.values()))


def _black() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (64, 64)).save(buffer, "PNG")
    return buffer.getvalue()
