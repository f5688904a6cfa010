"""Source `chexpert-plus`: Stanford's table of reports enters, with its folders of images, studies leave.

The table has one row an image, a study's rows not always together, and the sections apart. A study is named as its
folder is: "patient42142/study5".
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from cxr_lightning.reports.sources.apart import report_of
from cxr_lightning.reports.sources.found import Flaw, Found, SourceError, StudyError, view_missing
from cxr_lightning.reports.sources.inside import readable
from cxr_lightning.reports.sources.joined import grouped
from cxr_lightning.reports.sources.observed import Observed
from cxr_lightning.reports.sources.position import hung, position_of
from cxr_lightning.reports.sources.records import Records
from cxr_lightning.reports.sources.rows import Row, Table, csv_rows
from cxr_lightning.reports.sources.source import Reading
from cxr_lightning.reports.sources.uses import use_named
from cxr_lightning.study import Report, Study, View

TABLE = "df_chexpert_plus*.csv"
LABELS = ("chexbert_labels/report_fixed.json", "chexbert_labels/impression_fixed.json", "report_fixed.json")
NEEDED = ("path_to_image", "deid_patient_id", "report", "section_findings", "section_impression")
HOMES = ("PNG/PNG", "PNG", "PNGs", ".", "CheXpert-v1.0", "CheXpert-v1.0-small", "DICOM/DICOM", "DICOM")
"""Folders that hold train/ and valid/, as the downloads unpack."""

LICENCE = "Stanford University Dataset Research Use Agreement"
_ENDINGS = (".png", ".jpg", ".dcm")


def read_chexpert_plus(root: Path, reading: Reading) -> Iterator[Found | Flaw]:
    """Read CheXpert Plus.

    Args:
        root: The folder with the table and the images; for reports alone the table itself will do.
        reading: Whether images are wanted.

    Yields:
        Studies in the order of their first rows, and flaws.

    Raises:
        SourceError: There is no table, it lacks a column, or there are no images.
    """
    path = table_of(root)
    next(csv_rows(path, *NEEDED), None)
    labels = _labels(path.parent)
    images = Images(path.parent) if reading.images else None
    for item in grouped(Table(path), _name):
        if isinstance(item, Flaw):
            yield item
            continue
        where, rows = item
        try:
            study, missing = _study(rows, images, labels)
        except StudyError as error:
            yield error.flaw(where)
            continue
        if missing:
            yield view_missing(where, f"{missing} of {len(rows)} images")
        yield Found(study, where)


def table_of(root: Path) -> Path:
    """Find the table.

    Args:
        root: What the user gave.

    Raises:
        SourceError: There is none.
    """
    if root.is_file() and root.suffix.lower() == ".csv":
        return root
    found = sorted(root.glob(TABLE)) if root.is_dir() else []
    if not found:
        raise SourceError(f"{root}: holds no {TABLE}; give the folder with it, unpacked, and with the images")
    return found[-1]


def tables_of(root: Path) -> list[Path]:
    """List the files that make other studies when they change: the table and the labels.

    Args:
        root: What the user gave.
    """
    path = table_of(root)
    return [path, *(path.parent / name for name in LABELS if (path.parent / name).is_file())]


class Images:
    """The folders that may hold images, the one that held the last first.

    Args:
        root: The folder of the table.

    Raises:
        SourceError: None of them is there.
    """

    def __init__(self, root: Path) -> None:
        self._homes = [root / home for home in HOMES if any((root / home / use).is_dir() for use in ("train", "valid"))]
        if not self._homes:
            raise SourceError(f"{root}: holds no images; unpack them so that PNG/train/ or train/ lies in this folder")

    def find(self, name: str) -> Path | None:
        """Find an image.

        Args:
            name: Its path in the table, whose ending need not be the file's.

        Raises:
            StudyError: The path leads out of the folder.
        """
        stem = str(PurePosixPath(name).with_suffix(""))
        for place, home in enumerate(self._homes):
            path = readable(home, stem, _ENDINGS)
            if path is not None:
                self._homes.insert(0, self._homes.pop(place))
                return path
        return None


def _labels(root: Path) -> Observed | None:
    path = next((root / name for name in LABELS if (root / name).is_file()), None)
    if path is None:
        return None
    labels = Observed()
    for row in Records(path).each():
        if isinstance(row, Row) and "path_to_image" in row.cells:
            labels.note(_name(row), row.cells)
    return labels


def _name(row: Row) -> str:
    folder = PurePosixPath(str(row.cells["path_to_image"]).strip()).parent
    if len(folder.parts) < 2:
        raise StudyError("row incomplete", "its path_to_image does not name patient, study and view")
    return "/".join(folder.parts[-2:])


def _study(rows: list[Row], images: Images | None, labels: Observed | None) -> tuple[Study, int]:
    name = _name(rows[0])
    views = [view for row in rows if images and (view := _view(row, images)) is not None]
    if images and not views:
        raise StudyError("image missing", f"none of its {len(rows)} images is there")
    order = _one(rows, "patient_report_date_order").removesuffix(".0")
    study = Study(
        study_id=name,
        patient_id=_one(rows, "deid_patient_id") or name.partition("/")[0],
        views=hung(views),
        report=_report(rows),
        source="chexpert-plus",
        licence=LICENCE,
        split=use_named(_cell(row, "split") for row in rows),
        taken=order.zfill(6) if order.isdecimal() else "",
        observations=labels.of(name) if labels else None,
    )
    return study, len(rows) - len(views) if images else 0


def _view(row: Row, images: Images) -> View | None:
    path = images.find(str(row.cells["path_to_image"]).strip())
    return None if path is None else View(path, position_of(_cell(row, "frontal_lateral")))


def _report(rows: list[Row]) -> Report:
    return report_of(
        _one(rows, "report"),
        findings=_line(_one(rows, "section_findings")),
        impression=_line(_one(rows, "section_impression")),
        indication=_line(_one(rows, "section_clinical_history") or _one(rows, "section_history")),
        technique=_line(_one(rows, "section_technique")),
        comparison=_line(_one(rows, "section_comparison")),
    )


def _one(rows: list[Row], column: str) -> str:
    values = {value: None for row in rows if (value := _cell(row, column))}
    if len(values) > 1:
        raise StudyError("rows disagree", f"its rows have {len(values)} different values in column '{column}'")
    return next(iter(values), "")


def _cell(row: Row, column: str) -> str:
    text = str(row.cells.get(column) or "").strip()
    return "" if text.lower() == "nan" else text


def _line(text: str) -> str:
    return " ".join(text.split())
