"""Settings that hold for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

# Time is measured by tests that mean it; on a busy machine an example's deadline only says that the machine is busy.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

DATA = np.random.default_rng(0).bytes(300_000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one file of noise, `a.tar`."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.tar").write_bytes(DATA)
    return tmp_path / "files"
