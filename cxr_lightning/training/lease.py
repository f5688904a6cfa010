"""Who trains into a run directory: one file that its rank 0 keeps fresh, so that two live runs never share one.

A lock of the file system would be simpler, but many shared ones grant it to everyone or to no one; a hard link is made
by one process only, on all of them. Whether a holder still lives is known from the process itself on the same machine,
from Slurm, or else from the file: its time is the file server's, set anew every few seconds.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cxr_lightning.training import processes
from cxr_lightning.training.job import Job

log = logging.getLogger(__name__)

NAME = "lock.json"
_BEAT = 15.0
_QUIET = 90.0
"""Seconds without a sign after which a holder that cannot be asked otherwise is taken for dead."""
_ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "PENDING",
          "BOOT_FAIL", "DEADLINE", "REQUEUED", "REVOKED")  # fmt: skip
_STANDING_STILL = ("SUSPENDED", "STOPPED")
"""States in which a job's run gives no sign of life and goes on later."""
_LONGER = 10


class RunLockedError(ValueError):
    """Another run trains into this directory, or took it over."""


@dataclass(frozen=True)
class Holder:
    """A process that trains into a run directory.

    Attributes:
        token: Of this one lease.
        host: Its machine.
        pid: Its number there.
        started: When the process began, in the kernel's ticks: numbers of processes are used again.
        kernel: The machine's boot and the space of process numbers, in which `pid` means something.
        user: Whose it is.
        job: Its Slurm job, or empty.
        restart: How often that had been requeued.
        since: When it took the directory.
    """

    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    started: str = field(default_factory=lambda: processes.started(os.getpid()))
    kernel: str = field(default_factory=processes.kernel)
    user: str = field(default_factory=lambda: _user())
    job: str = ""
    restart: int = 0
    since: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def __str__(self) -> str:
        job = f"job {self.job}, " if self.job else ""
        return f"process {self.pid} on {self.host} ({job}{self.user}, since {self.since})"

    @property
    def lives(self) -> bool | None:
        """Whether its process is there; None where that cannot be seen from here."""
        return self.started == processes.started(self.pid) if self.kernel == processes.kernel() != "" else None


class Lease:
    """A run directory that is taken.

    Args:
        run: The run directory; it is made if it is not there.
        job: This process's Slurm job.
        beat: Seconds between signs of life.
        quiet: Seconds without one after which another holder counts as dead.
        say: Tells why it takes long, or what was taken over.

    Raises:
        RunLockedError: If somebody else holds it.
        OSError: If nothing can be written there.
    """

    def __init__(
        self,
        run: Path,
        job: Job | None = None,
        beat: float = _BEAT,
        quiet: float = _QUIET,
        say: Callable[[str], None] = log.warning,
    ) -> None:
        self.file, self.beat, self.quiet, self._say = run / NAME, beat, quiet, say
        self.holder = Holder() if job is None else Holder(job=job.number, restart=job.restarts)
        self._made = [folder for folder in (run, *run.parents) if not folder.exists()]
        run.mkdir(parents=True, exist_ok=True)
        self._aside = run / f"{NAME}.{self.holder.token}"
        self._text = json.dumps(asdict(self.holder)) + "\n"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True, name="lease")
        try:
            self._aside.write_text(self._text)
            while not self._linked():
                self._displace()
        except BaseException:
            self._aside.unlink(missing_ok=True)
            self._sweep()
            raise
        self._aside.unlink(missing_ok=True)
        self._thread.start()

    def release(self) -> None:
        """Gives the directory free, and takes away what was made for the lease alone."""
        self._over.set()
        with contextlib.suppress(OSError):
            if self._held_by() == self.holder:
                self.file.unlink()
        self._sweep()

    def lost(self) -> Holder | None:
        """Returns who else holds the directory now, if anybody does."""
        found = self._held_by()
        return None if found in (None, self.holder) else found

    def _linked(self) -> bool:
        try:
            os.link(self._aside, self.file)
        except FileExistsError:
            return (
                self._aside.stat().st_nlink == 2
            )  # made, but the file server's answer was lost and it was asked again
        except OSError:  # a file system without links
            return self._created()
        return True

    def _created(self) -> bool:
        try:
            with self.file.open("x") as file:
                file.write(self._text)
        except FileExistsError:
            return False
        return True

    def _displace(self) -> None:
        """Takes a dead holder's lease away.

        Raises:
            RunLockedError: If it is not dead.
        """
        holder = self._held_by()
        if holder is None:
            return  # released meanwhile
        why = self._why_over(holder)
        stale = self._aside.with_suffix(".stale")
        try:
            self.file.rename(stale)
        except FileNotFoundError:
            return
        if _read(stale) == holder:
            self._say(f"{self.file.parent} was held by {holder}, and {why}: taken over.")
        else:  # another process was quicker, and this is its lease
            with contextlib.suppress(OSError):
                os.link(stale, self.file)
        stale.unlink(missing_ok=True)

    def _why_over(self, holder: Holder) -> str:
        """Returns why a holder does not hold any more."""
        if (holder.pid, holder.started, holder.kernel) == (self.holder.pid, self.holder.started, self.holder.kernel):
            return "that is this process"
        if holder.job and holder.job == self.holder.job and holder.restart < self.holder.restart:
            return "that is this job before it was requeued"
        if holder.lives is not None:
            return "that process has ended" if not holder.lives else self._refuse(holder)
        other = holder.job and holder.job != self.holder.job
        state = Job(holder.job).state() if other else ""
        if state in _ENDED:
            return f"that job is {state}"
        if state in _STANDING_STILL:
            return self._refuse(holder, f", which is {state},")
        # A job that lives on may have lost its run: a notebook, an allocation. Its silence has to last.
        return self._watched(holder, self.quiet * (_LONGER if state == "RUNNING" else 1))

    def _watched(self, holder: Holder, quiet: float) -> str:
        """Waits for a sign of life."""
        seen, waits = _time(self.file), False
        os.utime(self._aside)
        end = time.monotonic() + quiet - max(0.0, (_time(self._aside) or 0.0) - (seen or 0.0))
        while time.monotonic() < end:
            if not waits:
                waits = True
                self._say(f"{self.file.parent} is held by {holder}. Waiting up to {quiet:.0f} s for a sign of it.")
            time.sleep(min(1.0, self.beat))
            if _time(self.file) != seen:
                self._refuse(holder)
        return f"nothing was heard of it for {quiet:.0f} s"

    def _refuse(self, holder: Holder, state: str = "") -> str:
        raise RunLockedError(
            f"{self.file.parent} is in use: {holder}{state} trains into it. Remedy: name another --run, or wait "
            f"until that one has ended. (In the scripts of slurm/ the run is the job's name: sbatch --job-name OTHER.) "
            f"If you are certain that it has ended, delete {self.file}."
        )

    def _keep(self) -> None:
        while not self._over.wait(self.beat):
            other = None
            with contextlib.suppress(OSError):  # a file server that stumbles must not silence this holder for ever
                other = self.lost()
            if other is not None:
                # Two that write into one directory would spoil both; this one was taken for dead, and gives way.
                log.error(
                    "%s was taken over by %s. This run ends, for two may not write there.", self.file.parent, other
                )
                os._exit(1)
            with contextlib.suppress(OSError):  # a full or slow disk; whoever looks is patient
                if not self.file.exists():  # somebody deleted it, and nobody took the directory
                    self._created()
                os.utime(self.file)

    def _held_by(self) -> Holder | None:
        try:
            return _read(self.file)
        except FileNotFoundError:
            return None

    def _sweep(self) -> None:
        for folder in self._made:
            with contextlib.suppress(OSError):  # no longer empty, or gone
                folder.rmdir()


def in_use(run: Path, job: Job | None) -> Holder | None:
    """Returns who is seen to train into a directory now, if that is not this job; takes nothing.

    Args:
        run: The run directory.
        job: This process's Slurm job.
    """
    try:
        holder = _read(run / NAME)
    except OSError:
        return None
    if job is not None and holder.job == job.number:
        return None
    lives = holder.lives
    if lives is None and holder.job:
        lives = Job(holder.job).state() == "RUNNING"
    return holder if lives else None


def _read(file: Path) -> Holder:
    try:
        return Holder(**json.loads(file.read_text()))
    except (ValueError, TypeError):  # of another version, or being written on a file system without links
        return Holder("", "?", 0, "", "", "?", since="?")


def _time(file: Path) -> float | None:
    """Returns a file's time, as the file server has it now: opened, for what was known of it may be a minute old."""
    try:
        with file.open("rb") as opened:
            return os.fstat(opened.fileno()).st_mtime
    except FileNotFoundError:
        return None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return str(os.getuid())
