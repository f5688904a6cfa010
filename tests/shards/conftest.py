"""A file that the tests of this folder read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

DATA = np.random.default_rng(0).bytes(300_000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one file of noise, `a.tar`."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.tar").write_bytes(DATA)
    return tmp_path / "files"
