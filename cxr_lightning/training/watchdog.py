"""A rank that hangs: found by the clock, traced on all ranks, and the job ended so that it may run again elsewhere.

Ranks wait for one another in every step, so when one hangs all stand still, each in its own place. A thread of each
rank sees that its training made no move for too long, and calls the others; all write their stacks down, one says who
is to blame, and all end. Nothing of it is a collective, and the training only notes the time. Files of the run carry
it, and not the store of the process group, which lives in rank 0 and is silent when rank 0 is what hangs. A disk that
hangs blocks only threads that nobody waits for.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from cxr_lightning.checkpoint import attempts
from cxr_lightning.checkpoint.writing import gather
from cxr_lightning.stream.rows import Batch
from cxr_lightning.training import processes, pulse, stacks
from cxr_lightning.training.stacks import Trace
from cxr_lightning.training.verdict import verdict

STATUS = 70
"""Exit status of a run that hung."""
FOLDER = "hangs"
VERDICT = "verdict.txt"
_ROUNDS = 3
"""Looks at the clock for each time that a rank says where it stands: a thousand of them do so on one disk."""


@dataclass(frozen=True)
class Peer:
    """A rank's process, as all ranks know it from the beginning.

    Attributes:
        host: Its node.
        process: Its number there.
        started: When it began.
        kernel: Where that number means something.
        box: The file among its open ones that takes its stacks.
    """

    host: str = field(default_factory=socket.gethostname)
    process: int = field(default_factory=os.getpid)
    started: str = field(default_factory=lambda: processes.started(os.getpid()))
    kernel: str = field(default_factory=processes.kernel)
    box: int = -1

    @property
    def visible(self) -> bool:
        """Whether it runs here, where this process could end it."""
        return self.kernel == processes.kernel() != "" and self.started == processes.started(self.process) != ""


class Watchdog(pl.Callback):
    """Ends a run that hangs.

    Args:
        run: The run directory.
        timeout_s: Seconds that a micro-batch, or the wait for its data, may take; 0 watches nothing.
        slow_timeout_s: Seconds for what is long by nature: loading, the first step (compilation), a save, the end of a
            validation with its generated reports.
    """

    def __init__(self, run: str, timeout_s: float = 600.0, slow_timeout_s: float = 3600.0) -> None:
        self.run, self.timeout_s, self.slow_timeout_s = Path(run), timeout_s, max(slow_timeout_s, timeout_s)
        self.every = max(0.2, min(10.0, timeout_s / 10))
        """Seconds between two looks at the clock."""
        self.grace = max(3.0, 3 * self.every)
        """Seconds that ranks have to come to the end of a run that hangs."""
        self._rank = self._step = 0
        self._box = stacks.Box()
        self._peers: list[Peer] = []
        self._folder = self.run / FOLDER
        self._done = threading.Event()
        self._called = False
        self._held = False
        """Whether a rank is in a debugger."""
        self._threads: list[threading.Thread] = []
        self._move: tuple[int, str, float, float] = (0, "", 0.0, 0.0)
        """Number, name, beginning on the monotonic clock, and allowance of what the training does now: one assignment,
        so that the thread never sees half of it."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Begins to watch, before the model is loaded."""
        if self.timeout_s <= 0:
            return
        self._box.open()
        self._rank, self._peers = trainer.global_rank, gather(Peer(box=self._box.number))
        began = trainer.strategy.broadcast(datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S"))
        self._folder = self.run / FOLDER / began
        self._mark("loading", slow=True)
        self._threads = [
            threading.Thread(target=target, name=target.__name__, daemon=True) for target in (self._watch, self._talk)
        ]
        for thread in self._threads:
            thread.start()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """From here on the ranks say where they stand: nothing can be refused any more, and leave that behind."""
        self._step = trainer.global_step
        if self._threads and trainer.is_global_zero:
            pulse.clear(self.run)
            (self.run / pulse.FOLDER).mkdir(parents=True, exist_ok=True)
        self._mark("beginning to train", slow=True)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Notes that a micro-batch begins."""
        first = trainer.global_step == self._step
        self._mark(f"step {trainer.global_step + 1}, micro-batch {batch_idx}", slow=first)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Notes that one ended; a save that comes now may have to wait for the one before."""
        self._mark(f"after step {trainer.global_step}", slow=bool(getattr(trainer.strategy, "writing", False)))

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Notes that a checkpoint is made."""
        self._mark(f"saving after step {trainer.global_step}", slow=True)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Notes that a validation begins."""
        self._mark(f"validation after step {trainer.global_step}", slow=True)

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:  # fmt: skip
        """Notes that it goes on."""
        self._mark(f"validation after step {trainer.global_step}, batch {batch_idx + 1}")

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Notes that what comes is long: reports are generated, and a checkpoint may be saved."""
        self._mark(f"end of the validation after step {trainer.global_step}", slow=True)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Notes that only the last save is left."""
        self._mark("the end of the training", slow=True)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Stops to watch."""
        if self._stop() and trainer.is_global_zero:
            pulse.clear(self.run)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Stops to watch: what ends is no training that hangs."""
        self.teardown(trainer, pl_module, "fit")

    def _stop(self) -> bool:
        threads, self._threads = self._threads, []
        self._done.set()
        for thread in threads:
            thread.join(2 * self.every)
        if threads:
            self._box.close()
        return bool(threads)

    def _mark(self, doing: str, *, slow: bool = False) -> None:
        allowed = self.slow_timeout_s if slow else self.timeout_s
        self._move = (self._move[0] + 1, doing, time.monotonic(), allowed)

    def _watch(self) -> None:
        """Looks at the clock, until the training ends or hangs; touches no file, for a disk may be what hangs."""
        looked, watched, excused = time.monotonic(), -1, 0.0
        while not self._done.wait(self.every):
            now = time.monotonic()
            number, _, began, allowed = self._move
            watched, excused = number, excused if number == watched else 0.0
            # A job that was suspended as a whole, a debugger, and what takes as long as it takes, are no hang.
            free = self._held or pulse.unhurried()
            excused += now - looked if free else max(0.0, now - looked - 3 * self.every - 1.0)
            looked, idle = now, now - began - excused
            if idle > allowed or self._called:
                self._end(idle)

    def _talk(self) -> None:
        """Says where this rank stands, and hears whether another one found that the run hangs."""
        rounds = 0
        while not self._done.wait(self.every):
            number, doing, began, _ = self._move
            with contextlib.suppress(OSError):  # a full disk has its own error
                if rounds % _ROUNDS == 0:
                    pulse.tell(self.run, self._rank, number, doing, time.time() - (time.monotonic() - began))
                rounds += 1
                if stacks.debugged():
                    pulse.hold(self.run)
                self._held = pulse.held(self.run, self._rank, 2 * _ROUNDS * self.every)
            self._called = self._folder.exists()

    def _end(self, idle: float) -> None:
        """Has this rank write where it stands, and one rank say it for all; ends the process, also if that fails."""
        longest = 2 * self.grace + 2.0
        # The last word has a thread that no lock and no disk can stop.
        faulthandler.dump_traceback_later(longest + 10.0, exit=True, file=os.open(os.devnull, os.O_WRONLY))
        report = threading.Thread(target=self._report, args=(idle,), daemon=True)
        report.start()
        report.join(longest)
        if report.is_alive():
            os.write(2, f"\nRank {self._rank} on {socket.gethostname()} made no move for {idle:.0f} s "
                        f"({self._move[1]}), and {self._folder} cannot be written.\n".encode())  # fmt: skip
            faulthandler.dump_traceback(2, all_threads=True)
        os._exit(STATUS)

    def _report(self, idle: float) -> None:
        number, doing, *_ = self._move
        self._folder.mkdir(parents=True, exist_ok=True)  # which calls the others
        stacks.write(self._folder, stacks.own(self._rank, number, doing, idle))
        end = time.monotonic() + self.grace
        while time.monotonic() < end and len(stacks.wrote(self._folder)) < len(self._peers):
            time.sleep(self.every)
        silent = self._write_for_neighbours()
        # Rank 0 speaks for all; should it be what hangs, the first to see that.
        end = time.monotonic() + (self.every if self._rank == 0 else 3 * self.every)
        while time.monotonic() < end and not (self._folder / VERDICT).exists():
            time.sleep(self.every / 2)
        with contextlib.suppress(FileExistsError):
            self._speak(idle)
        time.sleep(self.every)  # the first process that ends has srun end the others: let the word be out
        for peer in silent:  # nothing else would, where ranks have no srun above them
            if peer.visible:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(peer.process, signal.SIGKILL)

    def _write_for_neighbours(self) -> list[Peer]:
        """Writes for the ranks of this node that could not, if this is the first that could; returns all of them."""
        wrote = stacks.wrote(self._folder)
        silent = [rank for rank, peer in enumerate(self._peers) if rank not in wrote and peer.visible]
        if self._rank == min(rank for rank in wrote | {self._rank} if self._peers[rank].host == socket.gethostname()):
            self._write_for(silent)
        return [self._peers[rank] for rank in silent]

    def _write_for(self, silent: Iterable[int]) -> None:
        said = {beat.rank: beat for beat in pulse.beats(self.run)} if silent else {}
        for rank in silent:
            peer, beat = self._peers[rank], said.get(rank)
            moves, doing = (0, "nothing yet") if beat is None else (beat.moves, beat.doing)
            where = processes.state(peer.process) if peer.visible else "cannot be seen from another node"
            trace = Trace(rank, peer.host, peer.process, moves, doing, 0.0, where, silent=True)
            stacks.write(self._folder, trace, stacks.wrung(peer.process, peer.box) if peer.visible else "")

    def _speak(self, idle: float) -> None:
        with (self._folder / VERDICT).open("x") as file:
            self._write_for(sorted(set(range(len(self._peers))) - stacks.wrote(self._folder)))
            told = verdict(stacks.read(self._folder), idle, self._folder, STATUS)
            print(told, file=file)
        os.write(2, f"\n{told}\n".encode())
        attempts.end(self.run, told.partition("\n")[0])
