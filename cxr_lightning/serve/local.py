"""Answers from an exported folder: dialogues enter, greedy text leaves, in batches or piece by piece.

Films are shrunk to what training saw: a full film would reach some towers in many more tokens.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoModelForImageTextToText, AutoProcessor, StoppingCriteria

from cxr_lightning.endpoint.reply import Reply
from cxr_lightning.model.generation import encode, generate_ids
from cxr_lightning.model.likelihood import likelihoods
from cxr_lightning.model.likely import Likelihood
from cxr_lightning.model.templates import plain_template, write_template
from cxr_lightning.serve.dialogue import Dialogue, trimmed
from cxr_lightning.serve.folder import NotAnExportError, image_size_of, is_ours, require_export
from cxr_lightning.serve.streamer import Streamer
from cxr_lightning.shards.images import shrink
from cxr_lightning.stream.conversation import as_messages


class Local:
    """A model in this process.

    Args:
        folder: The folder that `cxr export` wrote, or any complete image-text-to-text model.
        device: Where to compute; None takes a GPU if there is one.
        dtype: Data type to compute in; None takes the one that the weights are stored in.

    Attributes:
        name: The folder's name.
        image_size: Longest side of the images that it was trained on, where its provenance tells.

    Raises:
        NotAnExportError: If the folder is not a complete model.
    """

    serves_many = False

    def __init__(self, folder: Path, device: str | None = None, dtype: torch.dtype | None = None) -> None:
        require_export(folder)
        model, processor = _loaded(folder, dtype)
        self._take(model, processor, folder.resolve().name, image_size_of(folder), device)

    @classmethod
    def around(cls, model: Any, processor: Any, *, name: str, image_size: int | None, device: str | None) -> Self:
        """Returns a model that is loaded already, such as a run's.

        Args:
            model: The model.
            processor: Its processor.
            name: What to show.
            image_size: Longest side of the images that it was trained on, if that is known.
            device: Where to compute; None takes a GPU if there is one.
        """
        made = cls.__new__(cls)
        made._take(model, processor, name, image_size, device)
        return made

    def _take(self, model: Any, processor: Any, name: str, image_size: int | None, device: str | None) -> None:
        self.name, self.image_size, self.processor = name, image_size, processor
        write_template(processor)
        processor.chat_template = processor.chat_template or plain_template()
        tokenizer = processor.tokenizer
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

    def likelihoods(self, dialogues: Sequence[Dialogue], answers: Sequence[str]) -> list[Likelihood]:
        """Tells how likely it finds answers that somebody else gave.

        Args:
            dialogues: What is asked.
            answers: The answers.
        """
        turns = [dialogue.marked for dialogue in dialogues]
        pictures = [self._pictures(dialogue) for dialogue in dialogues]
        with self._encoding:
            return likelihoods(self.model, self.processor, turns, answers, pictures)

    @property
    def blank(self) -> int:
        """The gray level that its image processor normalises to about zero: a film that says nothing."""
        mean = getattr(self.processor.image_processor, "image_mean", None) or 0.5
        means = [mean] if isinstance(mean, int | float) else list(mean)
        return round(255 * sum(map(float, means)) / len(means))

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
                [as_messages(dialogue.marked) for dialogue in dialogues],
                [self._pictures(dialogue) for dialogue in dialogues],
            )

    def _pictures(self, dialogue: Dialogue) -> list[Image.Image]:
        size = self.image_size
        films = dialogue.films if size is None else [shrink(film, size) for film in dialogue.films]
        return [Image.fromarray(film).convert("RGB") for film in films]


def _loaded(folder: Path, dtype: torch.dtype | None) -> tuple[Any, Any]:
    """Loads a folder's model and processor, all weights or none."""
    try:
        processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
        model, found = AutoModelForImageTextToText.from_pretrained(
            folder, dtype=dtype or "auto", local_files_only=True, output_loading_info=True
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise NotAnExportError(
            f"{folder} cannot be loaded: {error}\nRemedy: export the run again: cxr export RUN --out {folder}"
        ) from error
    kinds = ("missing_keys", "mismatched_keys", *(("unexpected_keys",) if is_ours(folder) else ()))
    wrong = sorted(str(key) for kind in kinds for key in found[kind])
    if wrong:  # transformers would answer with random weights in their place
        raise NotAnExportError(
            f"{folder}: {len(wrong)} weights are missing or not those of its config.json, such as {wrong[0]}. "
            "Remedy: export the run again."
        )
    return model, processor


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
