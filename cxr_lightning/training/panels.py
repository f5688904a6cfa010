"""A few validation studies in TensorBoard: what the model writes now, beside the reference, and how that scores.

What is generated once is both scored and shown: each study with its own images and with another patient's, so that one
sees when the model begins to look.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import lightning.pytorch as pl
import numpy as np
from PIL import Image

from cxr_lightning.checkpoint.writing import gather
from cxr_lightning.model.generation import generate
from cxr_lightning.reports.conversations import IMAGE_MARK
from cxr_lightning.shards.images import open_stored
from cxr_lightning.shards.sample import RawSample
from cxr_lightning.stream.conversation import as_messages
from cxr_lightning.training.scores import Asked, scores, swapped

if TYPE_CHECKING:
    from cxr_lightning.training.monitor import Monitor

_HEIGHT = 384
"""Of the radiographs shown, in pixels."""
_AT_ONCE = 4
"""Answers that a rank generates at once: no more memory than a small training batch takes."""


class Panels(pl.Callback):
    """Scores some studies after every n-th validation, and shows a few of them; ranks share the work.

    Args:
        studies: How many studies are answered and scored, each also with another patient's images; 0 asks none.
        every_n_validations: Validations between panels.
        max_new_tokens: Longest text.
        shown: How many of the studies are shown.
        monitor: What logs the scores.
    """

    def __init__(
        self,
        studies: int = 16,
        every_n_validations: int = 1,
        max_new_tokens: int = 128,
        shown: int = 4,
        monitor: Monitor | None = None,
    ) -> None:
        self.studies, self.every_n_validations, self.max_new_tokens = studies, every_n_validations, max_new_tokens
        self.shown, self.monitor = shown, monitor
        self._validations = 0
        self._shown: set[int] = set()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Generates on all ranks, since under ZeRO-3 each holds a part of every weight; rank 0 writes."""
        self._validations += 0 if trainer.sanity_checking else 1
        if trainer.sanity_checking or not self.studies or self._validations % self.every_n_validations:
            return
        data: Any = trainer.datamodule
        asked = [Asked.of(sample, data.encoder) for sample in self._samples(data)]
        if not asked:
            return
        lent = swapped(asked) or []
        tasks = [(study.question, study.images) for study in asked]
        tasks += [(study.question, images) for study, images in zip(asked, lent, strict=False)]
        texts = self._generate(trainer, pl_module, tasks)
        if trainer.is_global_zero:
            own, other = texts[: len(asked)], texts[len(asked) :]
            self._log(asked, own, other)
            for number, study in enumerate(asked[: self.shown]):
                self._show(trainer, number, study, own[number], other[number] if other else None)

    def _samples(self, data: Any) -> list[RawSample]:
        """Returns the studies, the same on all ranks: those that each of them could read.

        With images or without, for under ZeRO-3 all ranks need the tower or none does.
        """
        found: dict[int, RawSample] = data.first_samples(self.studies)
        everywhere = set[int].intersection(*map(set, gather(list(found))))
        samples = [sample for number, sample in found.items() if number in everywhere]
        return [sample for sample in samples if sample.images] or samples

    def _generate(
        self, trainer: pl.Trainer, pl_module: Any, tasks: Sequence[tuple[str, tuple[bytes, ...]]]
    ) -> list[str]:
        """Answers all questions, each on one rank; every rank goes through as many batches as the others."""
        ranks = trainer.world_size
        mine = range(trainer.global_rank, len(tasks), ranks)
        texts: list[tuple[int, str]] = []
        for batch in range(ceil(ceil(len(tasks) / ranks) / _AT_ONCE)):
            own = mine[batch * _AT_ONCE : (batch + 1) * _AT_ONCE]
            numbers = own or range(1)  # a rank without a question may not stay away while others generate
            written = generate(
                pl_module.model,
                pl_module.processor,
                [as_messages([{"role": "user", "content": tasks[number][0]}]) for number in numbers],
                [list(map(open_stored, tasks[number][1])) for number in numbers],
                max_new_tokens=self.max_new_tokens,
                synced_ranks=ranks > 1,
            )
            texts += zip(own, written, strict=False)  # what such a rank wrote is not read
        everyones = dict(pair for pairs in gather(texts) for pair in pairs)
        return [everyones[number] for number in range(len(tasks))]

    def _log(self, asked: Sequence[Asked], own: Sequence[str], other: Sequence[str]) -> None:
        """Hands the scores to the monitor, which logs them with the validation."""
        if self.monitor is not None:
            self.monitor.scores = scores(asked, own) | (scores(asked, other, "_swapped") if other else {})

    def _show(self, trainer: Any, number: int, study: Asked, own: str, other: str | None) -> None:
        """Writes one study; its radiographs once, for they stay the same."""
        told = {"asked": study.question.replace(IMAGE_MARK, ""), "reference": study.reference, "model": own}
        told |= {} if other is None else {"model, shown another patient": other}
        body = "\n\n".join(f"**{name}**: {_paragraph(each)}" for name, each in told.items())
        films = [] if number in self._shown else list(map(open_stored, study.images))
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
