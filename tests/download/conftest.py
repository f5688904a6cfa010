"""A server of radiographs, and a home of one's own: no test sees the user's netrc."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cxr_lightning.download import fetching
from cxr_lightning.download.verb import download
from tests.download.archive import PASSWORD, USER, Archive, radiographs, serving


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in ("NETRC", "PHYSIONET_USERNAME", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(fetching, "FIRST_WAIT", 0.01)
    return folder


@pytest.fixture
def archive() -> Iterator[Archive]:
    with serving(Archive()) as archive:
        archive.publish("mimic-cxr-jpg/2.1.0", radiographs())
        archive.publish(
            "mimic-cxr/2.1.0", {"mimic-cxr-reports.zip": b"reports" * 9000, "files/p10/p1/s5.txt": b"FINDINGS"}
        )
        yield archive


@pytest.fixture
def netrc(home: Path) -> Callable[..., Path]:
    def write(text: str = f"machine 127.0.0.1 login {USER} password {PASSWORD}\n", mode: int = 0o600) -> Path:
        file = home / ".netrc"
        file.write_text(text)
        file.chmod(mode)
        return file

    return write


@pytest.fixture
def fetch(archive: Archive, tmp_path: Path) -> Callable[..., Path]:
    """Downloads from the server."""

    def run(source: str = "mimic-cxr-jpg", **options) -> Path:
        out = options.pop("out", tmp_path / "out")
        download(source, out=out, base_url=archive.url, **options)
        return out

    return run


def tree(out: Path) -> dict[str, bytes]:
    """Returns what stands in a folder, but for what is the download's own."""
    return {
        str(file.relative_to(out)): file.read_bytes()
        for file in out.rglob("*")
        if file.is_file() and ".download" not in file.parts
    }


def published(archive: Archive, *collections: str) -> dict[str, bytes]:
    """Returns what of a server's files should stand there."""
    return {
        path.removeprefix(f"/{each}/"): data
        for each in collections or ("mimic-cxr-jpg/2.1.0",)
        for path, data in archive.files.items()
        if path.startswith(f"/{each}/") and not path.endswith(("SHA256SUMS.txt", "s5.txt"))
    }
