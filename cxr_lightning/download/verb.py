"""`cxr download`: the name of a data set enters, its files stand in a folder as the sources of `cxr pack` read them."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from cxr_lightning.download.catalogue import DATASETS, KINDS, Kind, Name
from cxr_lightning.download.choosing import Choice
from cxr_lightning.download.credentials import cookies_from
from cxr_lightning.download.errand import Errand
from cxr_lightning.download.fetching import Fetching, Gate, Place
from cxr_lightning.download.listing import OWN
from cxr_lightning.download.trouble import AccessError, DownloadError
from cxr_lightning.download.way import Way
from cxr_lightning.download.web import Server
from cxr_lightning.site import is_loopback

log = logging.getLogger(__name__)


def download(
    source: Name,
    *,
    out: Path,
    only: list[str] | str | None = None,
    limit: int | None = None,
    tables_only: bool = False,
    reports_only: bool = False,
    parallel: int = 8,
    verify: bool = False,
    unpack: bool = True,
    dry_run: bool = False,
    base_url: str | None = None,
    cookies: Path | None = None,
    attempts: int = 8,
    timeout: float = 60.0,
) -> None:
    """Fetch a data set, or what lacks of it, and check every byte.

    Args:
        source: openi (everybody's; reports and PNG), mimic-cxr-jpg or mimic-cxr (PhysioNet's, for who signed for them).
        out: The folder to fill. The same command again goes on, or fetches what lacks.
        only: Fetch only files whose paths fit a pattern, such as "files/p10/*", or one of a list; * fits slashes too.
        limit: Fetch at most so many images; tables and reports come whole.
        tables_only: Fetch only tables: metadata, labels, splits. With --reports_only: both.
        reports_only: Fetch only reports.
        parallel: Files at once. A server that says it is busy is waited for by all.
        verify: Read again what stands there, and fetch what is not as published.
        unpack: Unpack Open-i's archives, as `cxr pack openi` reads them.
        dry_run: Say what would be fetched, and about how large it is.
        base_url: Another server with the same paths, such as a mirror on your site.
        cookies: File of a browser's cookies in Netscape's format, where a server takes no password from programs.
        attempts: Attempts in a row that may bring nothing of a file before it is given up.
        timeout: Seconds without a byte after which an attempt is given up.
    """
    for name, value in (("--limit", limit), ("--parallel", parallel), ("--attempts", attempts)):
        if value is not None and value < 1:
            raise DownloadError(f"{name} {value}: at least 1")
    dataset, stop = DATASETS[source], threading.Event()
    server = Server(_address(base_url or dataset.server), cookies_from(cookies) if cookies else None, timeout)
    choice = Choice(_kinds(tables_only, reports_only), _patterns(only), limit)
    with _alone(out), contextlib.closing(Way(server, stop)) as way:
        fetching = Fetching(way, Place(out, _mode()), Gate(stop), attempts)
        errand = Errand(dataset, server.address, fetching, stop, Console(stderr=True))
        errand.run(choice, parallel, verify=verify, unpack=unpack, dry_run=dry_run)


def _kinds(tables_only: bool, reports_only: bool) -> tuple[Kind, ...]:
    wanted = {"tables": tables_only, "reports": reports_only}
    return tuple(kind for kind in KINDS if wanted.get(kind)) or KINDS


def _patterns(only: list[str] | str | None) -> tuple[str, ...]:
    return (only,) if isinstance(only, str) else tuple(only or ())


def _address(url: str) -> str:
    parts = urlsplit(url)
    if "@" in url:  # anywhere: a # in a password ends the host before it
        raise AccessError(
            "--base_url holds a user name or password, which others see. Remedy: ~/.netrc (docs/download.md)"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise DownloadError("--base_url is not an address such as https://mirror.example/files")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        log.warning("%s: without TLS, so no password is told there, and anybody between could change the files.", url)
    return url.rstrip("/")


def _mode() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask


@contextlib.contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Keeps a second download out of the folder: both would write into one partial file.

    Raises:
        DownloadError: There is another.
    """
    (out / OWN / "partial").mkdir(parents=True, exist_ok=True)
    with (out / OWN / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DownloadError(
                f"{out}: another download is at work here. Remedy: wait for it, or another --out"
            ) from None
        except OSError:  # a file system that knows no locks
            pass
        yield
