"""Signals as wishes: a handler only notes what was asked; the training answers at a step's end, on all ranks together.

To save inside a handler would cut a step in two, with every rank at another place. Imports nothing heavy: the command
line listens before anything else is loaded, for Slurm may send a signal while a job is still importing.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from types import FrameType
from typing import Literal, get_args

Wish = Literal["requeue", "terminate", "interrupt", "limit"]
"""USR1 and USR2: save and go back to the queue. TERM and Ctrl-C: save and end. The time limit: save and go back."""
WISHES: tuple[Wish, ...] = get_args(Wish)

# USR2 beside USR1, because libraries of a GPU job (NCCL) may take USR1 for themselves.
_MEANS: dict[int, Wish] = {
    signal.SIGUSR1: "requeue",
    signal.SIGUSR2: "requeue",
    signal.SIGTERM: "terminate",
    signal.SIGINT: "interrupt",
}
_ONCE_MORE = b"\nCtrl-C: saves at the end of this step and stops. Once more stops at once, without saving.\n"


class Listener:
    """Notes the signals of this process."""

    def __init__(self) -> None:
        self.heard: Counter[Wish] = Counter()
        self.training = False
        """Whether steps are being made, so that a wish will be answered at the end of one."""
        self._process = os.getpid()

    def listen(self) -> None:
        """Installs the handlers; before it, a signal ends the process."""
        self._process = os.getpid()
        for number in _MEANS:
            signal.signal(number, self._hear)

    def wishes(self) -> list[float]:
        """Returns how often each of `WISHES` was heard."""
        return [float(self.heard[wish]) for wish in WISHES]

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a fork: Slurm signals every process of a step, and only ranks may answer
            return
        wish = _MEANS[number]
        self.heard[wish] += 1
        if wish == "interrupt":
            if not self.training or self.heard[wish] > 1:
                raise KeyboardInterrupt
            if os.environ.get("LOCAL_RANK", "0") == "0":
                os.write(2, _ONCE_MORE)  # a console may be locked by what the handler interrupted
        elif wish == "terminate" and not self.training and "SLURM_JOB_ID" not in os.environ:
            raise SystemExit(128 + signal.SIGTERM)  # nothing to save; in a job the training decides what it means


listener = Listener()
"""Of this process: signals are a process's own."""
