"""A few validation studies in TensorBoard: the radiograph, and the reference beside what the model writes now."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import numpy as np
from PIL import Image

from cxr_lightning.checkpoint.writing import gather
from cxr_lightning.model.generation import generate
from cxr_lightning.reports.conversations import IMAGE_MARK
from cxr_lightning.shards.sample import RawSample
from cxr_lightning.stream.conversation import as_messages
from cxr_lightning.stream.encode import images

_HEIGHT = 384
"""Of the radiographs shown, in pixels."""


class Panels(pl.Callback):
    """Writes panels after every n-th validation; ranks share the studies.

    Args:
        studies: How many studies; 0 writes none.
        every_n_validations: Validations between panels.
        max_new_tokens: Longest text.
    """

    def __init__(self, studies: int = 4, every_n_validations: int = 1, max_new_tokens: int = 128) -> None:
        self.studies, self.every_n_validations, self.max_new_tokens = studies, every_n_validations, max_new_tokens
        self._validations = 0
        self._shown: set[int] = set()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Generates on all ranks, since under ZeRO-3 each holds a part of every weight; rank 0 writes."""
        self._validations += 0 if trainer.sanity_checking else 1
        if trainer.sanity_checking or not self.studies or self._validations % self.every_n_validations:
            return
        samples = self._samples(trainer.datamodule)
        if not samples:
            return
        # A rank without a study of its own generates for the first, unread: it may not stay away while others generate.
        mine = range(trainer.global_rank, len(samples), trainer.world_size) or range(1)
        texts = self._generate(trainer, pl_module, [samples[number] for number in mine])
        everyones = dict(sorted(pair for pairs in gather(list(zip(mine, texts, strict=True))) for pair in pairs))
        if trainer.is_global_zero:
            for number, text in everyones.items():
                self._show(trainer, number, samples[number], text)

    def _samples(self, data: Any) -> list[RawSample]:
        """Returns the studies, the same on all ranks: those that each of them could read.

        With images or without, for under ZeRO-3 all ranks need the tower or none does.
        """
        found: dict[int, RawSample] = data.first_samples(self.studies)
        everywhere = set[int].intersection(*map(set, gather(list(found))))
        samples = [sample for number, sample in found.items() if number in everywhere]
        return [sample for sample in samples if sample.images] or samples

    def _generate(self, trainer: pl.Trainer, pl_module: Any, samples: Sequence[RawSample]) -> list[str]:
        data: Any = trainer.datamodule
        questions = [data.encoder.turns(sample)[:1] for sample in samples]
        marks = [question[0]["content"].count(IMAGE_MARK) for question in questions]
        return generate(
            pl_module.model,
            pl_module.processor,
            [as_messages(question) for question in questions],
            [images(sample)[:count] for sample, count in zip(samples, marks, strict=True)],
            max_new_tokens=self.max_new_tokens,
            synced_ranks=trainer.world_size > 1,
        )

    def _show(self, trainer: Any, number: int, sample: RawSample, text: str) -> None:
        """Writes one study; its radiographs once, for they stay the same."""
        question, reference = (turn["content"] for turn in trainer.datamodule.encoder.turns(sample)[:2])
        told = {"asked": question.replace(IMAGE_MARK, ""), "reference": reference, "model": text}
        body = "\n\n".join(f"**{name}**: {_paragraph(each)}" for name, each in told.items())
        films = [] if number in self._shown else images(sample)[: question.count(IMAGE_MARK)]
        self._shown.add(number)
        for logger in trainer.loggers:
            board: Any = getattr(logger, "experiment", None)
            if hasattr(board, "add_text"):
                board.add_text(f"study {number}", body, trainer.global_step)
                if films:
                    board.add_image(f"studies/study {number}", _beside(films), trainer.global_step, dataformats="HWC")


def _paragraph(text: str) -> str:
    """Returns a text as one paragraph of Markdown, its marks as they are written."""
    plain = re.sub(r"([\\`*_{}\[\]<>#|~])", r"\\\1", text.strip())
    return plain.replace("\n", "  \n") or "(nothing)"


def _beside(films: Sequence[Image.Image]) -> Any:
    """Returns a study's images as one, of shape (height, width, 3)."""
    scaled = [film.resize((max(1, round(film.width * _HEIGHT / film.height)), _HEIGHT)) for film in films]
    return np.concatenate([np.asarray(film.convert("RGB")) for film in scaled], axis=1)
