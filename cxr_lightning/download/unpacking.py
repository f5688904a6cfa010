"""Archives unpacked: a .tgz enters, its files stand in a folder of a known name, as a source reads it.

An archive is not trusted: of its members only plain files are taken, only where they belong, and never through a link.
Each appears whole; a further run goes on where one was ended. No header of it is held in memory beyond 1 MiB.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

from cxr_lightning import durable
from cxr_lightning.download.listing import OWN, unsafe
from cxr_lightning.download.manifest import size_of
from cxr_lightning.download.trouble import DownloadError
from cxr_lightning.tar import Entry, Stream, TarError, streamed

_BLOCK = 1 << 20


def unpack(out: Path, archive: str, folder: str, sha256: str, told: Callable[[int], None]) -> int:
    """Unpacks an archive, if that was not done.

    Args:
        out: The folder that holds it.
        archive: Its name.
        folder: The folder, under OUT, in which its files shall stand; one of that name in the archive is the same.
        sha256: The archive's checksum: of another archive it is done again.
        told: Called with the number of compressed bytes read so far.

    Returns:
        How many files stand there now; 0 if it had been done.

    Raises:
        DownloadError: It is damaged.
        OSError: The disk is full, or may not be written.
    """
    done = out / OWN / "unpacked" / folder
    before = done.read_text() if done.exists() else ""
    if before == sha256 and (out / folder).is_dir():
        return 0
    count = 0
    try:
        with (out / archive).open("rb") as raw, gzip.open(raw) as content:
            for member in streamed(content):
                count += _place(content, member, out, folder, keep=not before)
                told(raw.tell())
            while content.read(_BLOCK):  # to the end, where the checksum stands
                pass
    except (EOFError, zlib.error, gzip.BadGzipFile, TarError) as error:
        raise DownloadError(
            f"{out / archive} is damaged ({type(error).__name__}). Remedy: delete it, then the same command again"
        ) from error
    done.parent.mkdir(parents=True, exist_ok=True)
    durable.write_text(done, sha256)
    return count


def _place(content: Stream, member: Entry, out: Path, folder: str, *, keep: bool) -> bool:
    """Puts a member where it belongs, unless it is to be kept; tells whether it is a file that does belong."""
    name = member.name.removeprefix("./")
    name = name if name.startswith(f"{folder}/") else f"{folder}/{name}"
    if member.kind != "file" or unsafe(name):
        return False
    target = out / name
    if not target.parent.resolve().is_relative_to(out.resolve()):
        return False
    if keep and size_of(target) == member.size:
        return True
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = out / OWN / "unpacking"
    content.seek(member.data)
    with aside.open("wb") as written:
        left = member.size
        while left:
            block = content.read(min(left, _BLOCK))
            if not block:
                raise EOFError
            left -= written.write(block)
    aside.replace(target)
    return True
