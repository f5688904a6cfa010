"""MIMIC's metadata enters; whose an image is, by its DICOM id alone, leaves. One number is held for each image."""

from __future__ import annotations

from pathlib import Path

from cxr_lightning.reports.sources.found import Flaw, StudyError
from cxr_lightning.reports.sources.lists import listed
from cxr_lightning.reports.sources.position import position_of
from cxr_lightning.study import POSITIONS, Position

_DIGITS = 10**18


class Dicoms:
    """Images by their DICOM id.

    Args:
        path: mimic-cxr-2.0.0-metadata.csv, plain or gzip.

    Raises:
        SourceError: It is not such a list.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._owners: dict[bytes, int] = {}
        for row in listed(path, "dicom_id", "ViewPosition"):
            if not isinstance(row, Flaw):
                place = POSITIONS.index(position_of(row.cells["ViewPosition"]))
                self._owners[_key(row.cells["dicom_id"])] = (int(row.patient) * _DIGITS + int(row.study)) * 4 + place

    def of(self, image: str) -> tuple[str, str, Position]:
        """Say whose an image is.

        Args:
            image: Its DICOM id.

        Returns:
            Patient's number, study's number, and position.

        Raises:
            StudyError: The metadata does not have it.
        """
        owner = self._owners.get(_key(image))
        if owner is None:
            raise StudyError("image unlisted", f"{self._path.name} does not have this image")
        numbers, place = divmod(owner, 4)
        patient, study = divmod(numbers, _DIGITS)
        return str(patient), str(study), POSITIONS[place]


def _key(image: str) -> bytes:
    try:
        return bytes.fromhex(image.replace("-", ""))
    except ValueError:
        return image.encode()
