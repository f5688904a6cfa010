"""A result and the films of its contact sheet enter, the files that were asked for leave: a page, a list for machines.

Where they go is tried before the work: hours of reading are not to end at a folder that nobody may write to.
"""

from __future__ import annotations

import stat
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from cxr_lightning.durable import write_text
from cxr_lightning.shards.inspection.result import Result, as_json
from cxr_lightning.shards.inspection.shard import Shown

_OTHER_PAGE = "name another folder by --out DIR, or leave the page out: --page false"
_OTHER_JSON = "name another file by --json FILE, or --json - for standard output"


@dataclass(frozen=True, slots=True)
class Output:
    """Where an inspection's result goes.

    Attributes:
        folder: Folder of the page; None for no page.
        json: File of the list for machines; "-" is standard output, None none.
        texts: Whether the page shows summaries.
    """

    folder: Path | None
    json: str | None
    texts: bool

    def prepare(self) -> None:
        """Make the folders, and write to them.

        Raises:
            OSError: One cannot be written to; it says what helps.
        """
        if self.folder is not None:
            _prepare(self.folder, 0o700, _OTHER_PAGE)
        if self.json is None or self.json == "-":
            return
        if Path(self.json).is_dir():
            raise OSError(f"--json {self.json}: that is a folder. Remedy: {_OTHER_JSON}")
        if not _is_device(Path(self.json)):
            _prepare(Path(self.json).parent, 0o777, _OTHER_JSON)

    def write(self, result: Result, films: Sequence[Shown], console: Console) -> None:
        """Write what was asked for.

        Args:
            result: What the inspection came to.
            films: For the contact sheet.
            console: Where it says so.

        Raises:
            OSError: It cannot be written.
        """
        if self.json is not None:
            _write(self.json, as_json(result))
        if self.folder is not None:
            from cxr_lightning.shards.inspection.page import write_page  # jinja2 is slow to import

            console.print(f"page: {write_page(self.folder, result, films, texts=self.texts)}", soft_wrap=True)


def _prepare(folder: Path, mode: int, remedy: str) -> None:
    try:
        folder.mkdir(mode, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"{folder}: cannot be written to ({error.strerror}). Remedy: {remedy}") from error


def _is_device(path: Path) -> bool:
    """Tell a pipe or /dev/null, which no file may take the place of."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False


def _write(where: str, text: str) -> None:
    if where == "-":
        sys.stdout.write(text)
    elif _is_device(Path(where)):
        with Path(where).open("w", encoding="utf-8") as stream:
            stream.write(text)
    else:
        write_text(Path(where), text)
