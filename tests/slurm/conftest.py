from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, cluster, missing


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A two-node Slurm cluster for all tests that ask for one."""
    if why := missing():
        pytest.skip(f"no Slurm here: {why}")
    with cluster(tmp_path_factory.mktemp("slurm")) as made:
        yield made


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny tower, a tiny language model, and shards of 24 studies."""
    from cxr_lightning.model.tiny import write_language, write_tower
    from cxr_lightning.shards.packing import pack
    from cxr_lightning.shards.splits import Fractions
    from tests.shards.tables import table_of

    folder = tmp_path_factory.mktemp("parts")
    write_tower(folder / "tower", "siglip")
    write_language(folder / "language")
    shares = Fractions(train=0.8, validate=0.2, test=0.0)
    pack("table", table_of(folder / "table", 24), out=folder / "shards", split=shares, workers=1)
    return folder
