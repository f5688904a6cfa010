"""Entry point of `cxr` and `python -m cxr_lightning`."""

from __future__ import annotations

import sys

from cxr_lightning.cli import run


def main() -> None:
    """Runs the verb that the command line names."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
