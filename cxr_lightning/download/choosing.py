"""Which of a data set's files are fetched, and whether there is room for them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from cxr_lightning.download.catalogue import KINDS, Collection, Kind
from cxr_lightning.download.listing import OWN, Item
from cxr_lightning.download.manifest import size_of
from cxr_lightning.download.trouble import DownloadError


@dataclass(frozen=True)
class Choice:
    """What the user wants of a data set.

    Attributes:
        kinds: Which kinds of files.
        only: Patterns of names, of which one must fit; none is everything that is usual.
        limit: How many images at most.
    """

    kinds: tuple[Kind, ...] = KINDS
    only: tuple[str, ...] = ()
    limit: int | None = None

    def concerns(self, collection: Collection) -> bool:
        """Tells whether anything of a collection may be wanted, before its list is fetched."""
        names = [each for each in collection.takes if not set(each) & set("*?[")]
        if (
            self.only
            and len(names) == len(collection.takes)
            and not any(self._wants(collection, name) for name in names)
        ):
            return False
        return bool(set(self.kinds) & set(collection.kinds))

    def of(self, collection: Collection, items: Sequence[Item]) -> list[Item]:
        """Returns what is wanted of a collection."""
        return [item for item in items if item.kind in self.kinds and self._wants(collection, item.name)]

    def _wants(self, collection: Collection, name: str) -> bool:
        if self.only:
            return any(fnmatchcase(name, pattern) for pattern in self.only)
        return not collection.is_rare(name)

    def limited(self, items: Sequence[Item]) -> list[Item]:
        """Returns items in the order in which they are fetched, what is small and needed by all first.

        Raises:
            DownloadError: There are none.
        """
        if not items:
            patterns = ", ".join(self.only)
            raise DownloadError(
                f"no file fits {patterns}. Remedy: patterns are of whole paths, such as 'files/p10/*'"
                if patterns
                else "nothing of this kind is in this data set"
            )
        images = [item for item in items if item.kind == "images"]
        others = [item for kind in ("tables", "reports") for item in items if item.kind == kind]
        return others + images[: self.limit]


def require_room(out: Path, items: Sequence[Item], guess: Callable[[str], int], unpacked: Sequence[str]) -> None:
    """Sees that there is room before hours are spent.

    Args:
        out: Where files go.
        items: What lacks.
        guess: Says about how large a file is.
        unpacked: Names of archives that will be unpacked beside themselves.

    Raises:
        DownloadError: There is not; it says how much lacks.
    """
    partial = out / OWN / "partial"
    here = sum(file.stat().st_size for file in partial.iterdir()) if partial.is_dir() else 0
    missing = [item for item in items if size_of(out / item.name) is None]  # others stand there, and are looked at
    needed = sum(guess(item.name) * (2 if item.name in unpacked else 1) for item in missing) - here
    free = shutil.disk_usage(out).free
    if needed > free:
        raise DownloadError(
            f"{out}: about {needed / 1e9:,.1f} GB are to come, and {free / 1e9:,.1f} GB are free. Remedy: another "
            "--out, or less: --only 'files/p10/*', --limit 1000, --tables_only true, --reports_only true"
        )
