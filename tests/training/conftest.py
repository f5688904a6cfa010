from __future__ import annotations

import pytest

from tests.golden.studies import make_parts, make_shards
from tests.zygote import Zygote


@pytest.fixture(scope="package")
def zygote():
    """Forks runs from a process that has imported everything."""
    process = Zygote()
    yield process
    process.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder, shards and the parts of a tiny model."""
    root = tmp_path_factory.mktemp("runs")
    return root, make_shards(root / "studies"), make_parts(root / "parts")
