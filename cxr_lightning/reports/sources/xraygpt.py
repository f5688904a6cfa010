"""Source `xraygpt`: XrayGPT's captions (`filter_cap.json`) and image folder enter, studies leave.

There every image has a caption of its own and the views of a study the same one. Open-i's images are named by report
and number, so a report's are joined. MIMIC's are named by their DICOM id alone: its metadata, laid beside the captions,
says which study and patient they are of; without it every image is a study and a patient, and each is told of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cxr_lightning.reports.sources.dicoms import Dicoms
from cxr_lightning.reports.sources.found import Flaw, Found, SourceError, StudyError, view_missing
from cxr_lightning.reports.sources.inside import MISSING, readable
from cxr_lightning.reports.sources.joined import grouped
from cxr_lightning.reports.sources.layout import layout_of
from cxr_lightning.reports.sources.lists import Uses
from cxr_lightning.reports.sources.position import hung
from cxr_lightning.reports.sources.records import Records
from cxr_lightning.reports.sources.rows import Row
from cxr_lightning.reports.sources.source import Reading
from cxr_lightning.study import Position, Report, Split, Study, View

CAPTIONS = "filter_cap.json"
HOMES = ("image", "images", ".")
ENDINGS = (".png", ".jpg", ".jpeg")
_UNKNOWN = (
    "patient unknown",
    "its image counts as a patient of its own, so that splits may part one patient's films; put "
    "mimic-cxr-2.0.0-metadata.csv.gz (and -split.csv.gz) beside the captions",
)
_NUMBERED = re.compile(r"(?:CXR)?([0-9]{1,6})_[0-9]{1,2}")


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose an image is.

    Attributes:
        study: The study's name.
        patient: The patient's.
        position: From which side it was taken.
        split: The use that the source prescribes.
        known: Whether study and patient are known; else the image's name stands for both.
    """

    study: str
    patient: str
    position: Position = "unknown"
    split: Split | None = None
    known: bool = True


def read_xraygpt(root: Path, reading: Reading) -> Iterator[Found | Flaw]:
    """Read XrayGPT's annotations.

    Args:
        root: The folder with filter_cap.json and image/, or the file itself.
        reading: Whether images are wanted.

    Yields:
        Studies in the order of their first captions, and flaws.

    Raises:
        SourceError: There are no captions.
    """
    path = captions_of(root)
    owners = Owners(path.parent)
    for item in grouped(Records(path, under="annotations"), lambda row: owners.of(_id(row)).study, mark="#"):
        if isinstance(item, Flaw):
            yield item
            continue
        where, rows = item
        try:
            study, missing = _study(rows, owners, path.parent if reading.images else None)
        except StudyError as error:
            yield error.flaw(where)
            continue
        if missing:
            yield view_missing(where, f"{missing} of {len(rows)} images")
        if not owners.of(_id(rows[0])).known:
            yield Flaw(where, *_UNKNOWN, bad=False)
        yield Found(study, where)


def captions_of(root: Path) -> Path:
    """Find the captions.

    Args:
        root: What the user gave.

    Raises:
        SourceError: There are none.
    """
    if root.is_file():
        return root
    if (root / CAPTIONS).is_file():
        return root / CAPTIONS
    raise SourceError(f"{root}: holds no {CAPTIONS}; give the folder with it and with image/, or the file of captions")


def tables_of(root: Path) -> list[Path]:
    """List the files that make other studies when they change: captions, and MIMIC's lists.

    Args:
        root: What the user gave.
    """
    path = captions_of(root)
    layout = layout_of(path.parent)
    return [path, *(path for path in (layout.metadata, layout.split) if path)]


class Owners:
    """Tells whose an image is.

    Args:
        folder: The folder that may hold MIMIC's lists.
    """

    def __init__(self, folder: Path) -> None:
        self._layout = layout_of(folder)
        self._dicoms: Dicoms | None = None
        self._uses: Uses | None = None

    def of(self, image: str) -> Owner:
        """Say whose an image is.

        Args:
            image: Its name.

        Raises:
            StudyError: MIMIC's lists are there and do not have it.
        """
        numbered = _NUMBERED.fullmatch(image)
        if numbered:
            name = f"CXR{int(numbered[1])}"  # as the source `openi` calls it, so that their splits agree
            return Owner(name, name)
        if self._layout.metadata is None:
            return Owner(image, image, known=False)
        if self._dicoms is None:
            self._dicoms = Dicoms(self._layout.metadata)
            self._uses = Uses(self._layout.split) if self._layout.split else None
        patient, study, position = self._dicoms.of(image)
        return Owner(study, patient, position, self._uses.of(study) if self._uses else None)


def _study(rows: list[Row], owners: Owners, folder: Path | None) -> tuple[Study, int]:
    captions = {_caption(row) for row in rows}
    if len(captions) > 1:
        raise StudyError("rows disagree", f"its images have {len(captions)} different captions; a study has one")
    owner = owners.of(_id(rows[0]))
    views: dict[Path, View] = {}
    for row in rows:
        path = _find(folder, _id(row)) if folder else None
        if path:
            views.setdefault(path, View(path, owners.of(_id(row)).position))
    if folder and not views:
        raise StudyError(MISSING, f"none of its {len(rows)} images is there")
    caption = captions.pop()
    study = Study(
        study_id=owner.study,
        patient_id=owner.patient,
        views=hung(views.values()),
        report=Report(text=caption, findings=caption),
        source="xraygpt",
        split=owner.split,
    )
    return study, len({_id(row) for row in rows}) - len(views) if folder else 0


def _find(folder: Path, image: str) -> Path | None:
    return next((path for home in HOMES if (path := readable(folder / home, image, ENDINGS)) is not None), None)


def _id(row: Row) -> str:
    value = row.cells.get("image_id")
    name = str(value).strip() if isinstance(value, str | int) else ""
    if not name:
        raise StudyError("row incomplete", "it has no image_id")
    return name


def _caption(row: Row) -> str:
    value = row.cells.get("caption")
    return " ".join(value.split()) if isinstance(value, str) else ""
