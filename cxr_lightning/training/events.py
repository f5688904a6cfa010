"""TensorBoard's event files: made when training begins, so that a refused run leaves none, and no reason to end one.

`metrics.jsonl` has the same figures. Where an event file cannot be written (a full disk), they are left out of it, and
another is begun once there is room.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from lightning.fabric.loggers.logger import _DummyExperiment
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

log = logging.getLogger(__name__)

FOLDER = "tensorboard"
_PATIENCE = 60.0
"""Seconds until a file that could not be written is followed by another."""


class Events(TensorBoardLogger):
    """Lightning's logger, whose writer comes late and may fail.

    Args:
        run: The run directory.
    """

    def __init__(self, run: str) -> None:
        super().__init__(run, name="", version=FOLDER)
        self.begun = False
        """Whether training has: Lightning asks for the writer before anything was looked at."""
        self._again = 0.0

    @property
    def experiment(self) -> Any:
        """What has the methods of TensorBoard's writer."""
        return _Patient(self) if self.begun and rank_zero_only.rank == 0 else _DummyExperiment()

    def finalize(self, status: str) -> None:
        """Closes the file; what cannot be written now is lost to TensorBoard alone."""
        try:
            super().finalize(status)
        except OSError as error:
            self._failed(error)

    def attempt(self, name: str, *args: Any, **options: Any) -> Any:
        """Calls a method of the writer, if there is one or one can be made.

        Args:
            name: The method.
            *args: What it takes.
            **options: What it takes by name.
        """
        if time.monotonic() < self._again:
            return None
        try:
            return getattr(super().experiment, name)(*args, **options)
        except OSError as error:
            self._failed(error)
            return None

    def _failed(self, error: OSError) -> None:
        log.warning("%s: nothing could be written (%s); metrics.jsonl has all figures", self.log_dir, error)
        self._experiment, self._again = None, time.monotonic() + _PATIENCE


class _Patient:
    """Stands for the writer of TensorBoard."""

    def __init__(self, events: Events) -> None:
        self._events = events

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **options: self._events.attempt(name, *args, **options)
