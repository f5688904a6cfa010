"""Sources `mimic-cxr-jpg` and `mimic-cxr`: PhysioNet's downloads enter, as they lie on disk, studies leave.

Both are one layout that differs in the images' ending. The list of images is read once, study by study; reports are
read where they lie, in a tree or in their zip. Without images wanted no list need be there; what there is tells each
report's split, date and labels all the same, so that nobody learns the reports of the official test set.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

from cxr_lightning.reports.sections import split_sections
from cxr_lightning.reports.sources.archive import text_of
from cxr_lightning.reports.sources.found import Flaw, Found, SourceError, StudyError, view_missing
from cxr_lightning.reports.sources.inside import readable
from cxr_lightning.reports.sources.layout import Layout, Texts, layout_of
from cxr_lightning.reports.sources.lists import Listed, Uses, dates, listed, observed, taken
from cxr_lightning.reports.sources.observed import Observed
from cxr_lightning.reports.sources.position import hung, position_of
from cxr_lightning.reports.sources.source import Reading
from cxr_lightning.study import Report, Study, View

_IMAGE_NAME = re.compile(r"[0-9A-Za-z_-]{1,128}")
LICENCE = "PhysioNet Credentialed Health Data License 1.5.0"


def read_mimic_jpg(root: Path, reading: Reading) -> Iterator[Found | Flaw]:
    """Read MIMIC-CXR-JPG.

    Args:
        root: The download, with the reports of MIMIC-CXR beside it; for reports alone, their tree or zip.
        reading: Whether images are wanted, and whether studies may lack them.

    Yields:
        Studies in the order of the metadata, and flaws.

    Raises:
        SourceError: Reports or metadata are not there, or damaged.
    """
    return _read(root, reading, "mimic-cxr-jpg")


def read_mimic(root: Path, reading: Reading) -> Iterator[Found | Flaw]:
    """Read MIMIC-CXR with its DICOM files.

    Args:
        root: The download; the metadata, split and labels of MIMIC-CXR-JPG are used where they lie beside it.
        reading: Whether images are wanted, and whether studies may lack them.

    Yields:
        Studies in the order of the list of images, and flaws.

    Raises:
        SourceError: Reports or list are not there, or damaged.
    """
    return _read(root, reading, "mimic-cxr")


def tables_of(root: Path) -> list[Path]:
    """List the files that make other studies when they change: lists, and the reports' zip.

    Args:
        root: The download.
    """
    layout = layout_of(root)
    return [
        path for path in (layout.images_list, layout.split, layout.chexpert, layout.texts) if path and path.is_file()
    ]


def _read(root: Path, reading: Reading, source: str) -> Iterator[Found | Flaw]:
    layout = layout_of(root)
    with layout.open_texts() as texts:
        if not reading.images:
            spoken = Spoken(texts, source, *_beside(layout), dates=dates(layout.metadata) if layout.metadata else None)
            for patient, study, name in texts.studies():
                yield _attempt(partial(spoken.study, patient, study, name), f"s{study}.txt")
            return
        archive = Archive.under(layout, texts, source)
        yield from archive.studies(text_only=reading.text_only)


def _beside(layout: Layout) -> tuple[Uses | None, Observed | None]:
    return (
        Uses(layout.split) if layout.split else None,
        observed(layout.chexpert) if layout.chexpert else None,
    )


def _attempt(make: Callable[[], Study], where: str) -> Found | Flaw:
    try:
        return Found(make(), where)
    except StudyError as error:
        return error.flaw(where)


@dataclass(frozen=True, slots=True)
class Spoken:
    """Reports as studies without images, with what the lists say of them.

    Attributes:
        texts: The reports.
        source: The source's name.
        uses: The split list, or None where no split is prescribed.
        observations: Labels, or None.
        dates: Study number to its date and time, or None.
    """

    texts: Texts
    source: str
    uses: Uses | None
    observations: Observed | None
    dates: dict[int, str] | None = None

    def study(self, patient: str, study: str, name: str) -> Study:
        """Read one.

        Args:
            patient: The patient's number.
            study: The study's number.
            name: The report's file.

        Raises:
            StudyError: The report cannot be read, or has several splits.
        """
        return Study(
            study_id=study,
            patient_id=patient,
            views=(),
            report=_report(self.texts.read(name)),
            source=self.source,
            licence=LICENCE,
            split=self.uses.of_report(study, patient) if self.uses else None,
            taken=self.dates.get(int(study), "") if self.dates else "",
            observations=self.observations.of(int(study)) if self.observations else None,
        )


def _report(raw: bytes) -> Report:
    return split_sections(text_of(raw))


@dataclass(frozen=True, slots=True)
class Archive:
    """The images' list with what is known beside it.

    Attributes:
        path: The list of images.
        images: The folder that holds p10 ... p19.
        suffix: Ending of images.
        texts: The reports.
        uses: The split list, or None where no split is prescribed.
        observations: Labels, or None.
        source: The source's name.
    """

    path: Path
    images: Path
    suffix: str
    texts: Texts
    uses: Uses | None
    observations: Observed | None
    source: str

    @classmethod
    def under(cls, layout: Layout, texts: Texts, source: str) -> Archive:
        """Read the lists.

        Args:
            layout: What lies where.
            texts: The reports.
            source: The source's name.

        Raises:
            SourceError: The list of images is missing.
        """
        path = layout.metadata if source == "mimic-cxr-jpg" else layout.images_list
        if path is None:
            wanted = "mimic-cxr-2.0.0-metadata.csv.gz" + (
                "" if source == "mimic-cxr-jpg" else " or cxr-record-list.csv.gz"
            )
            raise SourceError(f"{layout.root}: holds no {wanted}, which lists the images; download it into this folder")
        uses, observations = _beside(layout)
        return cls(
            path=path,
            images=layout.images,
            suffix=".jpg" if source == "mimic-cxr-jpg" else ".dcm",
            texts=texts,
            uses=uses,
            observations=observations,
            source=source,
        )

    def studies(self, *, text_only: bool) -> Iterator[Found | Flaw]:
        """Read study by study.

        Args:
            text_only: Whether reports without images are studies too.
        """
        seen: set[int] = set()
        for key, group in groupby(listed(self.path, "dicom_id"), key=_study_of):
            if key is None:
                yield from (row for row in group if isinstance(row, Flaw))
                continue
            rows = [row for row in group if isinstance(row, Listed)]
            where = f"{self.path.name}:{rows[0].line}" + (f"-{rows[-1].line}" if len(rows) > 1 else "")
            if int(key) in seen:
                yield Flaw(where, "study again", "its rows do not stand together; sort the list by study_id")
                continue
            seen.add(int(key))
            yield from self._study(rows, where)
        yield from self._unlisted(seen, text_only=text_only)

    def _study(self, rows: list[Listed], where: str) -> Iterator[Found | Flaw]:
        try:
            study, missing = self._made(rows)
        except StudyError as error:
            yield error.flaw(where)
            return
        if missing:
            yield view_missing(where, f"{missing} of {len(rows)} images")
        yield Found(study, where)

    def _made(self, rows: list[Listed]) -> tuple[Study, int]:
        first = rows[0]
        if len({row.patient for row in rows}) > 1:
            raise StudyError("several patients", "one study has several patients; a study belongs to one")
        study, patient = first.study, first.patient
        views = [view for row in rows if (view := self._view(row)) is not None]
        if not views:
            raise StudyError("image missing", f"none of its {len(rows)} images is there ({self.suffix})")
        report = _report(self.texts.read(self.texts.name_of(patient, study)))
        made = Study(
            study_id=study,
            patient_id=patient,
            views=hung(views),
            report=report,
            source=self.source,
            licence=LICENCE,
            split=self.uses.of(study) if self.uses else None,
            taken=taken(first.cells),
            observations=self.observations.of(int(study)) if self.observations else None,
        )
        return made, len(rows) - len(views)

    def _view(self, row: Listed) -> View | None:
        name = row.cells["dicom_id"]
        if not _IMAGE_NAME.fullmatch(name):
            raise StudyError("row incomplete", "its dicom_id is no name of an image")
        path = readable(self.images, f"p{row.patient[:2]}/p{row.patient}/s{row.study}/{name}{self.suffix}")
        word = row.cells.get("ViewPosition") or row.cells.get("ViewCodeSequence_CodeMeaning") or ""
        return None if path is None else View(path, position_of(word))

    def _unlisted(self, seen: set[int], *, text_only: bool) -> Iterator[Found | Flaw]:
        """Reports that no row of the list names: text alone, or counted and left out."""
        spoken = Spoken(self.texts, self.source, self.uses, self.observations)
        for patient, study, name in self.texts.studies():
            if int(study) in seen:
                continue
            where = f"s{study}.txt"
            if text_only:
                yield _attempt(partial(spoken.study, patient, study, name), where)
            else:
                yield Flaw(where, "report without image", f"{self.path.name} lists no image of this study", bad=False)


def _study_of(row: Listed | Flaw) -> str | None:
    return None if isinstance(row, Flaw) else row.study
