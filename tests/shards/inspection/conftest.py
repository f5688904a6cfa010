"""A good set of shards, in memory and on disk, and how the tests inspect."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from cxr_lightning.shards.inspection.verb import WrongShardsError, inspect
from tests.shards.inspection.planting import Set, read_set


@pytest.fixture(scope="session")
def good(shards: Path) -> Set:
    """The packed phantoms, taken apart."""
    return read_set(shards)


@pytest.fixture(scope="session")
def few(good: Set) -> Set:
    """The first samples of each of its tars, where many sets are written."""
    return Set({name: samples[:4] for name, samples in good.shards.items()}, good.record)


@pytest.fixture
def planted(good: Set) -> Set:
    """A copy of them to put something wrong in."""
    return deepcopy(good)


@pytest.fixture
def inspected(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Inspects a folder, and returns the JSON; the exit status as `status`, what was raised as `raised`."""

    def run(folder: Path | str, **options: Any) -> dict[str, Any]:
        out = tmp_path / "inspection.json"
        out.unlink(missing_ok=True)
        options = {"page": False, "workers": 1, **options}
        raised = ""
        try:
            inspect(str(folder), json=str(out), **options)
        except WrongShardsError as error:
            raised = str(error)
        result: dict[str, Any] = json.loads(out.read_text())
        return {**result, "raised": raised}

    return run
