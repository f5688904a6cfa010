from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.slurm.cluster import Cluster, cluster, missing


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A two-node Slurm cluster for all tests that ask for one."""
    if why := missing():
        pytest.skip(f"no Slurm here: {why}")
    with cluster(tmp_path_factory.mktemp("slurm")) as made:
        yield made
