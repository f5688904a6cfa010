"""Small real things that many tests share: drawn radiographs packed into shards, tiny towers and language models."""

from __future__ import annotations

import os

# One thread a process: with more, two ranks on two cores fight for them. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # CPU ranks are tested, on a machine with GPUs too
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Time is measured by tests that mean it; on a busy machine an example's deadline only says that the machine is busy.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts what takes long first, the Slurm before all: processes that test beside each other then end together."""
    items.sort(key=lambda item: next((n for n, place in enumerate(LONG) if item.nodeid.startswith(place)), len(LONG)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keeps in one process what shares costly fixtures: a file's tests, and all that need the one Slurm."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFixtures(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _together(nodeid)

    config.option.loadscopereorder = False
    return ByFixtures(config, log)


SLURM = "tests/slurm"
LONG = (SLURM, "tests/training", "tests/families", "tests/journey", "tests/cluster", "tests/benchmarks")


def _together(nodeid: str) -> str:
    return SLURM if nodeid.startswith(f"{SLURM}/") else nodeid.partition("::")[0]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real radiographs, or a visible skip."""
    folder = os.environ.get("CXR_REAL_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("CXR_REAL_DATA names no folder of real radiographs")
    return Path(folder)


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of 60 drawn studies."""
    from cxr_lightning.phantoms.archive import draw

    folder = tmp_path_factory.mktemp("phantoms") / "archive"
    draw(folder, studies=60, seed=1, size=64, workers=1)
    return folder


@pytest.fixture(scope="session")
def shards(phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive packed."""
    from cxr_lightning.shards.packing import pack

    folder = tmp_path_factory.mktemp("packed") / "shards"
    pack("table", phantoms, out=folder, size=64, samples_per_shard=20, workers=1)
    return folder


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Folders of tiny vision towers by family, and of a tiny language model."""
    from cxr_lightning.model import tiny

    folder = tmp_path_factory.mktemp("parts")
    towers = {name: str(tiny.write_tower(folder / name, name)) for name in ("clip", "siglip", "dinov2", "vit", "swin")}
    return {**towers, "language": str(tiny.write_language(folder / "language"))}


@pytest.fixture(scope="session")
def runs(shards: Path, parts: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both stages trained for a few steps on one rank."""
    from tests.fitting import train_both

    return train_both(shards, parts, tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium, the system's, or a visible skip; not for longer, since its loop bars others from theirs."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        pytest.skip("no chromium on this machine")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()
