"""What a source is: how it is read, and what must be known about it before its texts are used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cxr_lightning.reports.sources.columns import Columns
from cxr_lightning.reports.sources.found import Flaw, Found


@dataclass(frozen=True, slots=True)
class Reading:
    """How a source is to be read.

    Attributes:
        columns: Column names, for sources that are tables.
        text_only: Whether studies may lack an image; a path that is given and leads nowhere is an error all the same.
        images: Whether images are wanted. If not, neither they nor the lists that name them need be there, and studies
            come without views; what lists there are tells split and date all the same.
    """

    columns: Columns = field(default_factory=Columns)
    text_only: bool = False
    images: bool = True


@dataclass(frozen=True, slots=True)
class Source:
    """One kind of data set.

    Attributes:
        does: What lies under its root, in a line of help.
        read: Yields its studies, and flaws for what makes no study; never holds more of them than it must.
        tables: Lists the files under a root whose change makes other studies of them: tables and archives, not the
            files of single studies.
        reports: Whether its texts are radiologists' reports in sections: XrayGPT's policy is the default for them.
        public: Whether its licence lets its texts leave the site without an agreement.
    """

    does: str
    read: Callable[[Path, Reading], Iterator[Found | Flaw]]
    tables: Callable[[Path], list[Path]]
    reports: bool = False
    public: bool = False
