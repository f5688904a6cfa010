"""What every way of training is asked for, on the command line of its process."""

from __future__ import annotations

import argparse
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """Returns a parser of what all ways take; each adds its own."""
    asked = argparse.ArgumentParser()
    asked.add_argument("folder", type=Path)
    asked.add_argument("--base", type=Path, required=True)
    asked.add_argument("--stage", type=int, required=True)
    asked.add_argument("--samples", type=int, required=True)
    asked.add_argument("--steps", type=int, required=True)
    asked.add_argument("--warm", type=int, required=True)
    asked.add_argument("--checkpointing", action="store_true")
    return asked
