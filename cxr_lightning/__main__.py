"""Entry point of `cxr` and `python -m cxr_lightning`."""

from __future__ import annotations

import os
import sys

from cxr_lightning.cli import READER_GONE, reader_gone, run


def main() -> None:
    """Runs the verb that the command line names."""
    try:
        status = run(sys.argv[1:])
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        status = READER_GONE
    if reader_gone():  # Python's own last flush would call it an error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(status)


if __name__ == "__main__":
    main()
