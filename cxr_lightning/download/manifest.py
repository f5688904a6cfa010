"""What stands in the folder: a line of JSON for each file that came whole, with its size and checksum.

By it a second run knows what it need not fetch, without reading half a terabyte.
"""

from __future__ import annotations

import json
import stat
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from cxr_lightning import durable
from cxr_lightning.download.listing import OWN

NAME = "manifest.jsonl"


@dataclass(frozen=True, slots=True)
class Held:
    """A file that came whole.

    Attributes:
        file: Its name under OUT.
        bytes: Its size.
        sha256: Its checksum.
    """

    file: str
    bytes: int
    sha256: str


class Manifest:
    """The files that came whole; safe in threads.

    Args:
        out: The folder.
    """

    def __init__(self, out: Path) -> None:
        self.file = out / OWN / NAME
        self._out = out
        self._lock = threading.Lock()
        self._held: dict[str, Held] = {}
        for row in durable.json_lines(self.file):
            if isinstance(row.get("file"), str) and isinstance(row.get("bytes"), int):
                self._held[row["file"]] = Held(row["file"], row["bytes"], str(row.get("sha256", "")))

    def add(self, held: Held) -> None:
        """Notes a file."""
        with self._lock:
            durable.append(self.file, [json.dumps(asdict(held))])
            self._held[held.file] = held

    def holds(self, name: str, sha256: str) -> bool:
        """Tells whether a file stands as it came, by its size.

        Args:
            name: The file.
            sha256: What is published of it; what came of another version does not count.
        """
        held = self._held.get(name)
        return held is not None and held.bytes == size_of(self._out / name) and sha256 in ("", held.sha256)

    def of(self, name: str) -> Held | None:
        """Returns what came under a name."""
        return self._held.get(name)


def size_of(file: Path) -> int | None:
    """Returns a file's size; none of what is not there, or is a link or folder."""
    try:
        found = file.lstat()
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None
