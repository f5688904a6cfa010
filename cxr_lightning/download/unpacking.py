"""Archives unpacked: a .tgz enters, its files stand in a folder of a known name, as a source reads it.

An archive is not trusted: of its members only plain files are taken, only where they belong, and never through a link.
Each appears whole, and is noted with its size and checksum, by which a further run knows what lacks. No header of it is
held in memory beyond 1 MiB.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from cxr_lightning import durable
from cxr_lightning.download.listing import OWN, unsafe
from cxr_lightning.download.manifest import size_of
from cxr_lightning.download.partial import sha256_of
from cxr_lightning.download.trouble import DownloadError
from cxr_lightning.tar import Entry, Stream, TarError, streamed

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class _Member:
    """A file of an archive, as it must stand."""

    name: str
    bytes: int
    sha256: str


def unpack(
    out: Path, archive: str, folder: str, sha256: str, told: Callable[[int], None], *, verify: bool = False
) -> int:
    """Unpacks an archive, or what lacks of it.

    Args:
        out: The folder that holds it.
        archive: Its name.
        folder: The folder, under OUT, in which its files shall stand; one of that name in the archive is the same.
        sha256: The archive's checksum: of another archive it is done again.
        told: Called with the number of compressed bytes read so far.
        verify: Whether files that stand there are read again; else their sizes tell.

    Returns:
        How many files stand there now; 0 if all of them were right.

    Raises:
        DownloadError: It is damaged, or a file cannot be put in its place.
        OSError: The disk is full, or may not be written.
    """
    done = out / OWN / "unpacked" / folder
    before, known = _read(done)
    known = known if before == sha256 else {}
    right = {name for name, member in known.items() if _stands(out, member, verify=verify)}
    if known and len(right) == len(known):
        return 0
    # Where nothing was noted a run was killed, and what stands there came whole.
    keep = (lambda member: member.name in right) if before else (lambda member: not verify and _stands(out, member))
    there: dict[str, _Member] = {}
    try:
        with (out / archive).open("rb") as raw, gzip.open(raw) as content:
            for entry in streamed(content):
                if member := _place(content, entry, out, folder, keep):
                    there[member.name] = member
                told(raw.tell())
            while content.read(_BLOCK):  # to the end, where the checksum stands
                pass
    except (EOFError, zlib.error, gzip.BadGzipFile, TarError) as error:
        raise DownloadError(
            f"{out / archive} is damaged ({type(error).__name__}). Remedy: delete it, then the same command again"
        ) from error
    if lost := sorted(known.keys() - there.keys()):
        raise DownloadError(
            f"{out / lost[0]} cannot be put there: a link leads out of {out}. Remedy: remove the link, then the same "
            "command again"
        )
    done.parent.mkdir(parents=True, exist_ok=True)
    with durable.written(done) as lines:
        for row in ({"archive": sha256}, *map(asdict, there.values())):
            lines.write(json.dumps(row) + "\n")
    return len(there)


def _read(done: Path) -> tuple[str, dict[str, _Member]]:
    """Returns the checksum of the archive that was unpacked, and its files; of an older version's note no files."""
    if not done.exists():
        return "", {}
    rows = durable.json_lines(done)
    try:
        return str(rows[0]["archive"]), {row["name"]: _Member(**row) for row in rows[1:]}
    except (IndexError, KeyError, TypeError):
        return "another", {}


def _stands(out: Path, member: _Member, *, verify: bool = False) -> bool:
    target = out / member.name
    return size_of(target) == member.bytes and (not verify or sha256_of(target) == member.sha256)


def _place(content: Stream, entry: Entry, out: Path, folder: str, keep: Callable[[_Member], bool]) -> _Member | None:
    """Puts a member where it belongs, unless it is to be kept; returns it if it is a file that does belong."""
    name = entry.name.removeprefix("./")
    name = name if name.startswith(f"{folder}/") else f"{folder}/{name}"
    if entry.kind != "file" or unsafe(name):
        return None
    target = out / name
    if not target.parent.resolve().is_relative_to(out.resolve()):
        return None
    digest = hashlib.sha256()
    kept = keep(_Member(name, entry.size, ""))
    if not kept:
        target.parent.mkdir(parents=True, exist_ok=True)
    aside = out / OWN / "unpacking"
    content.seek(entry.data)
    with open(os.devnull if kept else aside, "wb") as written:
        left = entry.size
        while left:
            block = content.read(min(left, _BLOCK))
            if not block:
                raise EOFError
            digest.update(block)
            left -= written.write(block)
    if not kept:
        aside.replace(target)
    return _Member(name, entry.size, digest.hexdigest())
