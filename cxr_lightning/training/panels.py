"""A few validation studies in TensorBoard: the radiograph, the reference, and what the model writes now."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch

from cxr_lightning.model.generation import generate
from cxr_lightning.reports.conversations import IMAGE_MARK
from cxr_lightning.stream.conversation import as_messages
from cxr_lightning.stream.encode import images


class Panels(pl.Callback):
    """Writes panels after every n-th validation.

    Args:
        studies: How many studies; 0 writes none.
        every_n_validations: Validations between panels.
        max_new_tokens: Longest text.
    """

    def __init__(self, studies: int = 4, every_n_validations: int = 1, max_new_tokens: int = 128) -> None:
        self.studies, self.every_n_validations, self.max_new_tokens = studies, every_n_validations, max_new_tokens
        self._validations = 0

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Generates on all ranks alike, since under ZeRO-3 each holds a part of every weight; rank 0 writes."""
        self._validations += 0 if trainer.sanity_checking else 1
        if trainer.sanity_checking or not self.studies or self._validations % self.every_n_validations:
            return
        data: Any = trainer.datamodule
        samples = data.first_samples(self.studies)
        if not samples:
            return
        turns = [data.encoder.turns(sample)[:2] for sample in samples]
        films = [images(sample) for sample in samples]
        pictures = [film[: turn[0]["content"].count(IMAGE_MARK)] for film, turn in zip(films, turns, strict=True)]
        conversations = [as_messages(turn[:1]) for turn in turns]
        texts = generate(
            pl_module.model,
            pl_module.processor,
            conversations,
            pictures,
            max_new_tokens=self.max_new_tokens,
            synced_ranks=trainer.world_size > 1,
        )
        for logger in trainer.loggers:
            board: Any = getattr(logger, "experiment", None)
            if trainer.is_global_zero and hasattr(board, "add_image"):
                for number, (film, turn, text) in enumerate(zip(films, turns, texts, strict=True)):
                    pixels_HWC = torch.from_numpy(np.array(film[0]))
                    board.add_image(f"study {number}/radiograph", pixels_HWC, trainer.global_step, dataformats="HWC")
                    body = f"**reference**\n\n{turn[1]['content']}\n\n**model**\n\n{text}"
                    board.add_text(f"study {number}/text", body, trainer.global_step)
