"""Where a rank stands when a run hangs: RUN/hangs/WHEN/rank-R.txt, written by itself, or by a neighbour on its node.

The stacks of all threads are written by C code that needs no lock, so those of threads that wait inside a collective
are there too. Of a process that is stopped only the kernel can tell something.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from cxr_lightning.training import processes

_COLLECTIVES = ("torch/distributed/", "deepspeed/comm/")
_MARK = "# "
_SIGNAL = signal.SIGRTMIN + 7
_PATIENCE = 1.0
"""Seconds that a process has for its stacks."""


@dataclass(frozen=True)
class Trace:
    """Where one rank stands.

    Attributes:
        rank: Which.
        host: Its node.
        process: Its process there.
        moves: How many things it has begun: a rank with fewer than the others is the one they wait for.
        doing: What it was doing.
        idle: For how many seconds.
        where: The call that its training is in; of a silent rank, what the kernel knows.
        waits: Whether that call waits for other ranks.
        silent: Whether a neighbour wrote this, since the rank itself could not.
    """

    rank: int
    host: str
    process: int
    moves: int
    doing: str
    idle: float
    where: str
    waits: bool = False
    silent: bool = False

    def __str__(self) -> str:
        if self.silent:
            return f"rank {self.rank} on {self.host}, last said: {self.doing}; its process {self.process} {self.where}"
        return f"rank {self.rank} on {self.host}, process {self.process}: {self.doing}, for {self.idle:.0f} s"


class Box:
    """Takes the stacks of a process whose interpreter C code keeps, so that none of its threads can write them.

    A neighbour sends a signal, a handler in C answers it, and the neighbour reads what it wrote to a file in memory.
    Not a timer of this process: that would also strike when a suspended job goes on, and to read the stacks of threads
    that run may end a process.
    """

    def __init__(self) -> None:
        self.number = -1

    def open(self) -> None:
        """Begins to listen."""
        self.number = os.memfd_create("stacks")
        faulthandler.register(_SIGNAL, file=self.number, all_threads=True)

    def close(self) -> None:
        """Stops."""
        faulthandler.unregister(_SIGNAL)
        os.close(self.number)
        self.number = -1


def wrung(process: int, box: int) -> str:
    """Returns the stacks of another process of this machine, or nothing where it is stopped.

    Args:
        process: Its number.
        box: The number of its `Box`.
    """
    if box < 0:
        return ""
    with contextlib.suppress(OSError):
        os.kill(process, _SIGNAL)
        time.sleep(_PATIENCE)
        return Path(f"/proc/{process}/fd/{box}").read_text(errors="replace")
    return ""


def write(folder: Path, trace: Trace, told: str = "") -> None:
    """Writes a rank's file, whole or not at all.

    Args:
        folder: Where to.
        trace: Where the rank stands.
        told: The stacks of another process; of this one they are written here.
    """
    final = folder / f"rank-{trace.rank}.txt"
    partial = final.with_suffix(".partial")
    with partial.open("w") as file:
        print(f"{_MARK}{json.dumps(asdict(trace))}\n{trace}\n{told}", file=file)
        if not trace.silent:
            frame = sys._current_frames().get(threading.main_thread().ident or 0)
            stack = "".join(traceback.format_stack(frame)) if frame is not None else ""
            print(f"The training's thread (most recent call last):\n{stack}\nAll threads:", file=file, flush=True)
            faulthandler.dump_traceback(file, all_threads=True)
        print(f"\nThreads, as the kernel sees them:\n{processes.threads(trace.process)}", file=file)
    partial.replace(final)


def wrote(folder: Path) -> set[int]:
    """Returns the ranks of which there is a file."""
    return {int(path.stem.removeprefix("rank-")) for path in folder.glob("rank-*.txt")}


def read(folder: Path) -> list[Trace]:
    """Returns what ranks wrote, by rank."""
    found = []
    for path in folder.glob("rank-*.txt"):
        first = path.read_text().partition("\n")[0]
        found.append(Trace(**json.loads(first.removeprefix(_MARK))))
    return sorted(found, key=lambda trace: trace.rank)


def own(rank: int, moves: int, doing: str, idle: float) -> Trace:
    """Returns where this process stands."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    where, waits = _where(frame)
    return Trace(rank, socket.gethostname(), os.getpid(), moves, doing, idle, where, waits)


def _where(frame: FrameType | None) -> tuple[str, bool]:
    """Returns the innermost call, who wanted it, and whether it waits for other ranks."""
    if frame is None:
        return "nowhere", False
    inner, waits = frame, False
    while frame is not None and any(part in frame.f_code.co_filename for part in _COLLECTIVES):
        frame, waits = frame.f_back, True
    wanted = f", for {_call(frame)}" if waits and frame is not None else ""
    return _call(inner) + wanted, waits


def _call(frame: FrameType) -> str:
    return f"{frame.f_code.co_name} ({Path(frame.f_code.co_filename).name}:{frame.f_lineno})"


def debugged() -> bool:
    """Returns whether somebody looks into this process with a debugger, who may take his time."""
    if processes.read(os.getpid(), "status").partition("TracerPid:")[2].split()[:1] not in ([], ["0"]):
        return True
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None:
        if frame.f_globals.get("__name__", "").split(".")[0] in ("bdb", "pdb", "pydevd", "debugpy", "ipdb"):
            return True
        frame = frame.f_back
    return False
