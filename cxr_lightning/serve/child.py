"""A server as a process of ours: its last lines are kept, and whatever ends us ends it, with all that it started."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

from cxr_lightning.serve.engine import Launch

_KEPT = 30
_PR_SET_PDEATHSIG = 1


class Child:
    """A running server.

    Args:
        launch: How it is started.
        folder: Where it runs.
        echo: Whether its lines are shown from the beginning.

    Attributes:
        echo: Whether its lines are shown, on stderr.
    """

    def __init__(self, launch: Launch, folder: Path, *, echo: bool) -> None:
        self.echo = echo
        self._last: deque[str] = deque(maxlen=_KEPT)
        self._process = subprocess.Popen(
            launch.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**os.environ, **launch.env, **launch.secrets, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # Ctrl-C of the terminal is ours to hand on
            preexec_fn=_die_with_parent,
        )
        self._reader = threading.Thread(target=self._read, name="server's lines", daemon=True)
        self._reader.start()

    @property
    def ended(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.poll()

    @property
    def last(self) -> list[str]:
        """Its last lines; those that a process wrote before it ended are all there."""
        if self.ended is not None:
            self._reader.join(timeout=2)
        return list(self._last)

    def stop(self, grace: float) -> None:
        """Ends it, by force if it takes too long; returns when nothing of it is left.

        Args:
            grace: Seconds it has to end by itself.
        """
        try:
            if self.ended is None:
                self._process.terminate()
                self._process.wait(grace)
        except subprocess.TimeoutExpired:
            pass
        finally:  # also where we are told a second time and wait no longer
            self.kill()

    def kill(self) -> None:
        """Ends it and what it started, at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for raw in self._process.stdout:
            # Of a progress bar, which draws over itself, the last state.
            line = re.split(r"\r(?!\n)", raw.decode(errors="replace").rstrip())[-1].rstrip()
            if line:
                self._last.append(line)
                if self.echo:
                    try:
                        print(line, file=sys.stderr, flush=True)
                    except (OSError, ValueError):  # nobody is there to read; unread, the server would stand still
                        self.echo = False


def _die_with_parent() -> None:
    """Has Linux end a child whose parent was killed and could not do it."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
