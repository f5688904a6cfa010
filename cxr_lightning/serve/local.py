"""Answers from an exported folder: dialogues enter, greedy text leaves, in batches or piece by piece.

Films are shrunk to what training saw: a full film would reach some towers in many more tokens.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoModelForImageTextToText, AutoProcessor, StoppingCriteria

from cxr_lightning.model.generation import encode, generate_ids
from cxr_lightning.model.templates import write_template
from cxr_lightning.serve.dialogue import Dialogue, Reply, trimmed
from cxr_lightning.serve.folder import NotAnExportError, image_size_of, require_export
from cxr_lightning.serve.streamer import Streamer
from cxr_lightning.shards.images import shrink


class Local:
    """A model in this process.

    Args:
        folder: The folder that `cxr export` wrote.
        device: Where to compute; None takes a GPU if there is one.

    Attributes:
        name: The folder's name.
        image_size: Longest side of the images that it was trained on, where its provenance tells.

    Raises:
        NotAnExportError: If the folder is not a complete model.
    """

    serves_many = False

    def __init__(self, folder: Path, device: str | None = None) -> None:
        require_export(folder)
        self.name = folder.resolve().name
        self.image_size = image_size_of(folder)
        try:
            self.processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
            model, found = AutoModelForImageTextToText.from_pretrained(
                folder, dtype="auto", local_files_only=True, output_loading_info=True
            )
        except (OSError, ValueError, SafetensorError) as error:
            raise NotAnExportError(
                f"{folder} cannot be loaded: {error}\nRemedy: export the run again: cxr export RUN --out {folder}"
            ) from error
        wrong = sorted(map(str, [*found["missing_keys"], *found["mismatched_keys"], *found["unexpected_keys"]]))
        if wrong:  # transformers would answer with random weights in their place
            raise NotAnExportError(
                f"{folder}: {len(wrong)} weights are missing or not those of its config.json, such as {wrong[0]}. "
                "Remedy: export the run again."
            )
        write_template(self.processor)
        tokenizer = self.processor.tokenizer
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        self.model = model.to(device or ("cuda" if torch.cuda.is_available() else "cpu")).eval()
        self._ends = _end_tokens(self.model, tokenizer)
        self._encoding = threading.Lock()  # tokenizers may not be used by two threads at once

    def replies(self, dialogues: Sequence[Dialogue], *, max_new_tokens: int) -> list[Reply]:
        """Answers a batch; one that does not fit into the GPU's memory is answered in halves.

        Args:
            dialogues: What is asked.
            max_new_tokens: Longest answer.

        Raises:
            ValueError: If not even one dialogue fits.
        """
        try:
            return self._replies(dialogues, max_new_tokens)
        except torch.OutOfMemoryError:
            if len(dialogues) == 1:
                raise ValueError(
                    "the GPU has no memory for one dialogue. Remedy: free it, or add --device cpu"
                ) from None
        torch.cuda.empty_cache()
        half = len(dialogues) // 2
        return [
            *self.replies(dialogues[:half], max_new_tokens=max_new_tokens),
            *self.replies(dialogues[half:], max_new_tokens=max_new_tokens),
        ]

    def answers(self, dialogues: Sequence[Dialogue], *, max_new_tokens: int) -> list[str]:
        """Answers a batch; the texts alone.

        Args:
            dialogues: What is asked.
            max_new_tokens: Longest answer.
        """
        return [reply.text for reply in self.replies(dialogues, max_new_tokens=max_new_tokens)]

    def stream(self, dialogue: Dialogue, *, max_new_tokens: int, stop: threading.Event) -> Generator[str, None, Reply]:
        """Answers piece by piece.

        Args:
            dialogue: What is asked.
            max_new_tokens: Longest answer.
            stop: Ends the answer at the next token after it is set.

        Yields:
            Text.

        Returns:
            The answer, and how it ended.
        """
        inputs = self._encode([dialogue])
        streamer, leaving = Streamer(self.processor.tokenizer), threading.Event()
        more = {"streamer": streamer, "stopping_criteria": [_Stop(stop, leaving)]}

        made: list[Tensor] = []

        def generate() -> None:
            try:
                made.append(generate_ids(self.model, self.processor, inputs, max_new_tokens=max_new_tokens, **more)[0])
            except BaseException as error:
                streamer.fail(error)  # else the reader would wait for ever

        thread = threading.Thread(target=generate, name="answer", daemon=True)
        thread.start()
        try:
            text = yield from trimmed(streamer.pieces())
        finally:
            leaving.set()
            thread.join()
        reply = self._reply(text, made[0])
        cut = reply.finish == "length" and len(made[0]) < max_new_tokens
        return replace(reply, finish="stopped") if cut else reply

    def close(self) -> None:
        """Lets go of nothing: the model goes with the object."""

    def _replies(self, dialogues: Sequence[Dialogue], max_new_tokens: int) -> list[Reply]:
        inputs = self._encode(dialogues)
        new_BN = generate_ids(self.model, self.processor, inputs, max_new_tokens=max_new_tokens)
        texts = self.processor.batch_decode(new_BN, skip_special_tokens=True)
        return [self._reply(text, new_N) for text, new_N in zip(texts, new_BN, strict=True)]

    def _reply(self, text: str, new_N: Tensor) -> Reply:
        ends = torch.isin(new_N, self._ends.to(new_N.device)).nonzero()
        tokens = int(ends[0]) + 1 if len(ends) else len(new_N)
        return Reply(text.strip(), tokens, "stop" if len(ends) else "length")

    def _encode(self, dialogues: Sequence[Dialogue]) -> Any:
        with self._encoding:
            return encode(
                self.model,
                self.processor,
                [_messages(dialogue) for dialogue in dialogues],
                [self._pictures(dialogue) for dialogue in dialogues],
            )

    def _pictures(self, dialogue: Dialogue) -> list[Image.Image]:
        size = self.image_size
        films = dialogue.films if size is None else [shrink(film, size) for film in dialogue.films]
        return [Image.fromarray(film).convert("RGB") for film in films]


class _Stop(StoppingCriteria):
    """Ends generation once any of some events is set."""

    def __init__(self, *events: threading.Event) -> None:
        self._events = events

    def __call__(self, input_ids: Tensor, scores: Any, **more: Any) -> Tensor:
        stopped = any(event.is_set() for event in self._events)
        return torch.full((input_ids.shape[0],), stopped, dtype=torch.bool, device=input_ids.device)


def _end_tokens(model: Any, tokenizer: Any) -> Tensor:
    ends = model.generation_config.eos_token_id
    if ends is None:
        ends = model.generation_config.eos_token_id = tokenizer.eos_token_id
    return torch.tensor([ends] if isinstance(ends, int) else list(ends))


def _messages(dialogue: Dialogue) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [
        {"role": speaker, "content": [{"type": "text", "text": text}]} for speaker, text in dialogue.turns
    ]
    messages[0]["content"][:0] = [{"type": "image"} for _ in dialogue.films]
    return messages
