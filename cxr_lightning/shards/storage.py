"""Bytes by location: a path or a URL enters, bytes leave, whatever lies between tried again until it is hopeless.

All that is remote goes through fsspec; settings (keys, region, endpoint) come from the environment as its file systems
read them. Safe in threads and after a fork: nothing is kept but file systems, and those by process.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from cxr_lightning.site import shown

log = logging.getLogger(__name__)

T = TypeVar("T")
_EXTRAS = {"s3": "cxr-lightning[s3]", "s3a": "cxr-lightning[s3]", "http": "fsspec[http]", "https": "fsspec[http]"}
_HOPELESS = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)
_HOPELESS_NUMBERS = (errno.EINVAL, errno.ENAMETOOLONG, errno.EMFILE, errno.ELOOP)
_WAIT_AND_SEE = (408, 425, 429)
# Errors of optional packages, known by name so that none of them need be installed: aiohttp's, botocore's, urllib3's.
_PASSING = {
    "ClientConnectionError",
    "ClientPayloadError",
    "ConnectionError",
    "HTTPClientError",
    "IncompleteRead",
    "IncompleteReadError",
}
_PIECE = 16 << 20
_CHANCE = random.SystemRandom()  # of its own: training's generators must not move when a connection breaks


@dataclass(frozen=True, slots=True)
class Retry:
    """How long to try.

    Attributes:
        attempts: Reads before giving up.
        first: Seconds before the second attempt; each further wait is twice as long.
        longest: No wait is longer, in seconds.
    """

    attempts: int = 6
    first: float = 0.25
    longest: float = 15.0

    def wait(self, failures: int) -> float:
        """Draw a wait, half of it by chance, so that a thousand ranks do not come back at one moment.

        Args:
            failures: Attempts that failed so far.
        """
        return min(self.longest, self.first * 2.0 ** (failures - 1)) * _CHANCE.uniform(0.5, 1.0)


RETRY = Retry()


class StorageError(ValueError):
    """A location cannot be read; the message says which, why, and what to do.

    Attributes:
        location: What was to be read.
        missing: Whether there is nothing there.
        unreachable: Whether it might be read otherwise: all attempts failed, or the server will not.
    """

    def __init__(self, location: str, message: str, *, missing: bool = False, unreachable: bool = False) -> None:
        super().__init__(f"{shown(location)}: {message}")
        self.location, self.missing, self.unreachable = location, missing, unreachable


class _ShortRead(Exception):
    """Fewer bytes came than were asked for."""


def is_remote(location: str | os.PathLike[str]) -> bool:
    """Tell URLs from paths; `file://` is a path.

    Args:
        location: A path or URL.
    """
    scheme, mark, _ = os.fspath(location).partition("://")
    return bool(mark) and scheme != "file"


def local_path(location: str | os.PathLike[str]) -> Path:
    """Returns the path of what is not remote.

    Args:
        location: A path or a `file://` URL.
    """
    text = os.fspath(location)
    return Path(unquote(urlsplit(text).path) if text.startswith("file://") else text)


def join(root: str | os.PathLike[str], name: str) -> str:
    """Name what lies in a folder.

    Args:
        root: A folder, by path or URL.
        name: A name inside it, or an absolute path or URL, which stands for itself.
    """
    if is_remote(name) or os.path.isabs(name):
        return name
    if not is_remote(root):
        return str(local_path(root) / name)
    return f"{os.fspath(root).rstrip('/')}/{name}"


def require_file(path: Path) -> None:
    """Refuse pipes and devices: reading one may never end.

    Args:
        path: A path; that nothing is there, opening it will say.

    Raises:
        StorageError: It is no regular file.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        raise StorageError(str(path), "is a pipe or a device, not a file; look at the path")


def size_of(location: str, retry: Retry = RETRY) -> int:
    """Returns the size in bytes.

    Args:
        location: A path or URL.
        retry: How long to try.

    Raises:
        StorageError: It is not there, or cannot be reached.
    """
    return _tried(location, lambda: _size(location), retry)


def read_bytes(location: str, retry: Retry = RETRY) -> bytes:
    """Read all of it.

    Args:
        location: A path or URL.
        retry: How long to try.

    Raises:
        StorageError: It is not there, or cannot be read.
    """

    def read() -> bytes:
        if not is_remote(location):
            require_file(local_path(location))
            return local_path(location).read_bytes()
        files, path = _opened(location)
        data: bytes = files.cat_file(path)
        return data

    return _tried(location, read, retry)


def read_range(location: str, offset: int, size: int, retry: Retry = RETRY) -> bytes:
    """Read a stretch of bytes, exactly.

    Args:
        location: A path or URL.
        offset: First byte.
        size: Number of bytes.
        retry: How long to try.

    Returns:
        `size` bytes, never fewer.

    Raises:
        StorageError: It is not there, ends earlier, cannot be read, or its server sends no ranges.
    """
    return _tried(location, lambda: _range(location, offset, size), retry) if size else b""


def digest(location: str, retry: Retry = RETRY) -> str:
    """Returns the SHA-256 of all of it, read in pieces.

    Args:
        location: A path or URL.
        retry: How long to try, for each piece.

    Raises:
        StorageError: It is not there, or cannot be read.
    """
    sha256 = hashlib.sha256()
    for piece in pieces(location, size_of(location, retry), retry):
        sha256.update(piece)
    return sha256.hexdigest()


def pieces(location: str, size: int, retry: Retry = RETRY) -> Iterator[bytes]:
    """Read its first bytes one stretch after another, so that no more than a stretch is held in memory.

    Args:
        location: A path or URL.
        size: Number of bytes.
        retry: How long to try, for each stretch.

    Raises:
        StorageError: It is not there, ends earlier, or cannot be read.
    """
    for offset in range(0, size, _PIECE):
        yield read_range(location, offset, min(_PIECE, size - offset), retry)


def find(pattern: str, retry: Retry = RETRY) -> list[str]:
    """List what a URL with wild cards means, by name.

    Args:
        pattern: A URL with `*`, `?` or `[...]` behind its server.
        retry: How long to try.

    Raises:
        StorageError: It cannot be listed.
    """

    def listed() -> list[str]:
        files, path = _opened(pattern)
        return sorted(files.unstrip_protocol(name) for name in files.glob(path))

    return _tried(pattern, listed, retry)


def _size(location: str) -> int:
    if not is_remote(location):
        require_file(local_path(location))
        return local_path(location).stat().st_size
    files, path = _opened(location)
    size: int | None = files.info(path).get("size")
    if size is None:
        raise StorageError(location, "its server does not tell its size; serve it by one that answers range requests")
    return size


def _range(location: str, offset: int, size: int) -> bytes:
    data = _stretch(location, offset, size)
    if len(data) == size:
        return data
    if len(data) > size:
        told = "its server ignores range requests; serve it by one that answers them"
        raise StorageError(location, told, unreachable=True)
    there = _size(location)
    if there < offset + size:
        raise StorageError(location, f"ends after {there} bytes, and {offset + size} are needed; copy it again")
    raise _ShortRead(f"{len(data)} of {size} bytes came")


def _stretch(location: str, offset: int, size: int) -> bytes:
    if not is_remote(location):
        with local_path(location).open("rb", buffering=0) as file:
            return os.pread(file.fileno(), size, offset)
    files, path = _opened(location)
    data: bytes = files.cat_file(path, start=offset, end=offset + size)
    return data


_FILES: dict[tuple[int, str], Any] = {}


def _opened(location: str) -> tuple[Any, str]:
    """Find the file system of a URL: one for each process and server, so that its connections are shared by threads."""
    import fsspec  # here: a folder on disk needs none of it

    # No lock: one held by another thread at a fork would never open in the child. Two at once make one too many.
    server = (os.getpid(), "/".join(location.split("/", 3)[:3]))
    if server not in _FILES:
        _FILES[server] = fsspec.core.url_to_fs(location)[0]
    files = _FILES[server]
    return files, files._strip_protocol(location)


def _tried(location: str, read: Callable[[], T], retry: Retry) -> T:
    for failures in range(1, retry.attempts + 1):
        try:
            return read()
        except StorageError:
            raise
        except Exception as error:
            if not _passing(error):
                raise _explained(location, error) from error
            if failures == retry.attempts:
                raise StorageError(
                    location,
                    f"cannot be read after {failures} attempts ({_named(error)}). Remedy: see that it can be reached "
                    "from this node, and start again",
                    unreachable=True,
                ) from error
            level = logging.DEBUG if failures < 3 else logging.WARNING
            log.log(level, "%s: attempt %d failed (%s); trying again", shown(location), failures, _named(error))
        time.sleep(retry.wait(failures))
    raise AssertionError("at least one attempt is made")


def _status(error: BaseException) -> int | None:
    """Find the HTTP status behind an error, where there is one."""
    for link in (error, error.__cause__):
        status = getattr(link, "status", None)
        if isinstance(status, int):
            return status
        response = getattr(link, "response", None)
        if isinstance(response, dict):
            code = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            return code if isinstance(code, int) else None
    return None


def _passing(error: Exception) -> bool:
    """Tell what may pass (a cut connection, a busy server) from what will not (no such object, no permission)."""
    if isinstance(error, _HOPELESS):
        # fsspec's HTTP says "not found" whatever went wrong, and names the reason as the cause.
        return isinstance(error.__cause__, Exception) and _passing(error.__cause__)
    status = _status(error)
    if status is not None and status >= 300:
        return status in _WAIT_AND_SEE or status >= 500
    if isinstance(error, OSError):
        return error.errno not in _HOPELESS_NUMBERS
    return isinstance(error, (_ShortRead, EOFError)) or any(kind.__name__ in _PASSING for kind in type(error).__mro__)


def _explained(location: str, error: Exception) -> StorageError:
    scheme = location.partition("://")[0]
    if isinstance(error, PermissionError) or _status(error) in (401, 403) or "Credentials" in type(error).__name__:
        told = f"may not be read ({_named(error)}); look at the permissions and credentials"
        return StorageError(location, told, unreachable=True)
    if isinstance(error, FileNotFoundError):
        return StorageError(location, "no such file or object; look at its name", missing=True)
    if isinstance(error, ImportError):
        extra = _EXTRAS.get(scheme)
        return StorageError(location, f"needs a further package: pip install '{extra}'" if extra else str(error))
    return StorageError(location, f"cannot be read ({_named(error)}); look at its name and the storage's settings")


def _named(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__
