"""Only rank 0 speaks: what libraries print on the others is kept aside, for it may say why something failed."""

from __future__ import annotations

import os
import sys
import tempfile


class Voice:
    """Standard output and error of this process.

    Args:
        speaks: Whether they are left as they are.
    """

    def __init__(self, *, speaks: bool) -> None:
        self._aside, self._error = None, 2
        if not speaks:
            sys.stdout.flush()
            sys.stderr.flush()
            self._aside, self._error = tempfile.TemporaryFile(), os.dup(2)  # noqa: SIM115 (for the process's life)
            for number in (1, 2):
                os.dup2(self._aside.fileno(), number)

    def warned(self) -> str:
        """Returns the last warning of NCCL that was kept aside, or nothing."""
        if self._aside is None:
            return ""
        text = os.pread(self._aside.fileno(), 1 << 20, 0).decode(errors="replace")
        lines = [line.partition("NCCL WARN")[2].strip() for line in text.splitlines() if "NCCL WARN" in line]
        return lines[-1] if lines else ""

    def cry(self, text: str) -> None:
        """Says something all the same: rank 0 cannot be reached, and nobody else would say it."""
        os.write(self._error, f"{text}\n".encode())
