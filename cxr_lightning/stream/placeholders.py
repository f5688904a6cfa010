"""How a family's text says where an image is, as its Hugging Face processor writes it.

Most families have a mark in the chat template's text that becomes as many image tokens as the image takes (Gemma 3
marks with another token than it then repeats). BLIP-2 has none: its image tokens lead, before the text and its begin
token, so it reads one image. InstructBLIP's Q-Former reads the instruction as well, by a tokenizer of its own.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cxr_lightning.shards.contract import ShardError
from cxr_lightning.stream.conversation import Piece


class Placeholders:
    """The image tokens of one family.

    Args:
        processor: Its Hugging Face processor.
    """

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        written = getattr(processor, "image_token", None)
        text: str | None = getattr(written, "content", written)  # BLIP-2's is a token with settings
        self.token: int | None = None
        """The token at image positions."""
        if text is not None:
            number = next(iter(getattr(processor, "image_token_ids", None) or [None]), None)
            self.token = processor.tokenizer.convert_tokens_to_ids(text) if number is None else int(number)
        self.typed: int | None = self.token if getattr(processor, "return_mm_token_type_ids", False) else None
        """The same, where the family's forward wants to know which positions are image."""
        self.leading: int | None = getattr(processor, "num_query_tokens", None)
        """Image tokens that stand before the text, where the family has no mark within it."""
        self._mark = text
        mark = None if text is None else processor.tokenizer.convert_tokens_to_ids(text)
        self.reserved = np.asarray([each for each in (self.token, mark) if each is not None], dtype=np.int64)
        """Tokens that no answer may hold."""
        # Threads encode with it while others pad with the processor's own: padding is a state of a tokenizer.
        self._instructions = copy.deepcopy(getattr(processor, "qformer_tokenizer", None))

    def expand(self, pieces: list[Piece], vision: dict[str, Tensor]) -> list[Piece]:
        """Writes each image's mark as often as the image has tokens, by the family's own rule.

        Args:
            pieces: What the chat template wrote.
            vision: The image processor's tensors, or ones of their shapes.
        """
        if self._mark is None or self.leading is not None:
            return pieces
        expanded, number = [], 0
        for piece in pieces:
            text = piece.text
            if not piece.answer:
                text, *tails = piece.text.split(self._mark)
                for tail in tails:
                    text += self._processor.replace_image_token(vision, number) + tail
                    number += 1
            expanded.append(Piece(text, piece.answer))
        return expanded

    def lead(self, images: int) -> NDArray[np.int64]:
        """Returns the tokens before the text.

        Args:
            images: Images of the sample.

        Raises:
            ShardError: If the family can read one image and there are more.
        """
        if self.leading is None or not images:
            return np.empty(0, dtype=np.int64)
        if images > 1:
            raise ShardError(
                f"The turns mark {images} images, and this family reads one. Remedy: mark one image in the turns, or "
                "choose a family that reads several (Llava, Qwen-VL, Gemma 3)."
            )
        return np.full(self.leading, self.token, dtype=np.int64)

    def instruction(self, prompt: str, *, special: bool) -> dict[str, Tensor]:
        """Returns what the Q-Former reads beside the image: the first request alone, never its answer.

        Args:
            prompt: The text before the first answer.
            special: Whether tokenizers add their begin and end tokens to it.
        """
        if self._instructions is None:
            return {}
        tokens = self._instructions(prompt, add_special_tokens=special, return_token_type_ids=False)
        names = ("input_ids", "attention_mask")
        return {f"qformer_{name}": torch.tensor(tokens[name], dtype=torch.long)[None] for name in names}
