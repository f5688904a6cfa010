"""A folder with a download of MIMIC-CXR enters, where its lists, images and reports lie leaves.

People lay it out in many ways: as `wget` does, as `cxr download` does, the reports unpacked here or there or still in
their zip. What is there is looked for in the order of the tables below; what is not is named with where it may lie.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from cxr_lightning.reports.sources.archive import Folder, Zip
from cxr_lightning.reports.sources.found import SourceError

VERSIONS = ("mimic-cxr-jpg/*", "mimic-cxr/*", "physionet.org/files/mimic-cxr-jpg/*", "physionet.org/files/mimic-cxr/*")
TREES = ("reports/files", "reports", "mimic-cxr-reports/files", "mimic-cxr-reports", "files", ".")
ZIPS = ("mimic-cxr-reports.zip", "reports.zip")
_WITHIN = ("files", "reports", "mimic-cxr-reports")
_TEXT = re.compile(r"(?:^|/)p([0-9]{1,18})/s([0-9]{1,18})\.txt$")
_PROBED = 100
"""Patients' folders that are looked into before a tree counts as one without reports."""


class Texts:
    """The reports of MIMIC-CXR: a tree p10/p10000032/s50414267.txt, or the zip of it.

    Args:
        path: The folder that holds p10 ... p19, or the zip.
    """

    def __init__(self, path: Path) -> None:
        self._archive = Folder(path) if path.is_dir() else Zip(path)
        first = next((name for name in self._zipped() if _TEXT.search(name)), "")
        if isinstance(self._archive, Zip) and not first:
            raise SourceError(f"{path}: holds no report named as p10/p10000032/s50414267.txt")
        self._prefix = re.sub(r"p[0-9]{1,2}/p[0-9]+/s[0-9]+\.txt$", "", first)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._archive.__exit__(kind, error, at)

    def studies(self) -> Iterator[tuple[str, str, str]]:
        """List the reports in the order of their names: patient's number, study's number, name."""
        # Two folders deep: the images of a study may lie one deeper, in a quarter of a million folders.
        for name in self._archive.names(".txt", depth=2):
            named = _TEXT.search(name)
            if named:
                yield named[1], named[2], name

    def name_of(self, patient: str, study: str) -> str:
        """Say what a report's file is called.

        Args:
            patient: The patient's number.
            study: The study's number.
        """
        return f"{self._prefix}p{patient[:2]}/p{patient}/s{study}.txt"

    def read(self, name: str) -> bytes:
        """Read a report.

        Args:
            name: Its file.

        Raises:
            StudyError: It is missing or cannot be read.
        """
        return self._archive.read(name)

    def _zipped(self) -> Iterator[str]:
        return self._archive.names(".txt") if isinstance(self._archive, Zip) else iter(())


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things lie; None for what is not there.

    Attributes:
        root: What the user gave.
        images: The folder that holds p10 ... p19 with the images.
        texts: The folder that holds p10 ... p19 with the reports, or their zip.
        metadata: The list of images with their views and times.
        records: The list of images without.
        split: The official split.
        chexpert: CheXpert's labels.
    """

    root: Path
    images: Path
    texts: Path | None
    metadata: Path | None = None
    records: Path | None = None
    split: Path | None = None
    chexpert: Path | None = None

    @property
    def images_list(self) -> Path | None:
        """The best list of images that is there."""
        return self.metadata or self.records

    def open_texts(self) -> Texts:
        """Open the reports.

        Raises:
            SourceError: There are none.
        """
        if self.texts is None:
            raise SourceError(
                f"{self.root}: no reports; there must be {ZIPS[0]}, or its files as "
                "reports/p10/p10000032/s50414267.txt (in reports/, mimic-cxr-reports/files/ or files/)"
            )
        return Texts(self.texts)


def layout_of(root: Path) -> Layout:
    """Look for a download's parts.

    Args:
        root: The folder of a version, the folder above both projects, the folder of reports, or their zip.

    Raises:
        SourceError: There is no such file or folder.
    """
    if not root.exists():
        raise SourceError(f"{root}: no such file or folder; give the folder that MIMIC-CXR was downloaded into")
    bases = [
        *_around(root),
        *(base for pattern in VERSIONS for base in sorted(root.glob(pattern), reverse=True) if base.is_dir()),
    ]
    metadata = _listed(bases, "mimic-cxr-*-metadata.csv")
    records = _listed(bases, "cxr-record-list.csv")
    home = (metadata or records or root / "absent").parent
    return Layout(
        root=root,
        images=home / "files",
        texts=root if root.is_file() else _texts(bases),
        metadata=metadata,
        records=records,
        split=_listed(bases, "mimic-cxr-*-split.csv"),
        chexpert=_listed(bases, "mimic-cxr-*-chexpert.csv"),
    )


def _around(root: Path) -> Iterator[Path]:
    """Folders that lists may lie in: of a zip or a tree of reports they lie beside it, or beside the folder above."""
    base = root
    while base.is_file() or base.name in _WITHIN:
        if base.is_dir():
            yield base
        base = base.parent
    yield base


def _listed(bases: list[Path], pattern: str) -> Path | None:
    found = (path for base in bases for end in ("", ".gz") for path in sorted(base.glob(pattern + end), reverse=True))
    return next((path for path in found if path.is_file()), None)


def _texts(bases: list[Path]) -> Path | None:
    trees = (base / tree for base in bases for tree in TREES)
    zips = (base / name for base in bases for name in ZIPS)
    return next((tree for tree in trees if _holds_reports(tree)), None) or next((z for z in zips if z.is_file()), None)


def _holds_reports(tree: Path) -> bool:
    if not tree.is_dir():
        return False
    for group in sorted(tree.glob("p[0-9][0-9]")):
        patients = (patient for _, patient in zip(range(_PROBED), group.iterdir(), strict=False))
        if any(next(patient.glob("s*.txt"), None) for patient in patients):
            return True
    return False
