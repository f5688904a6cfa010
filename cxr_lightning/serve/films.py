"""Files enter, films leave: what is no radiograph of a chest is refused by name, before it is decoded.

A model that learned from chests answers about anything, and fluently; so a DICOM file that says it shows something else
is not shown to it unasked.
"""

from __future__ import annotations

from pathlib import Path

from cxr_lightning.shards.dicom import other_than_chest
from cxr_lightning.shards.images import Gray, ImageError, load_gray

MOST_BYTES = 512 * 2**20
"""The largest file that is read: twice what the largest radiograph takes without compression."""


def open_film(file: Path, *, any_body_part: bool = False) -> Gray:
    """Opens a radiograph.

    Args:
        file: PNG, JPEG or DICOM, whatever its name ends in.
        any_body_part: Take a DICOM file that says it shows something else than a chest.

    Returns:
        8-bit gray levels of shape (height, width).

    Raises:
        ImageError: It is no radiograph, or none of a chest; the message names file and remedy.
    """
    try:
        if file.is_file() and file.stat().st_size > MOST_BYTES:
            raise ImageError(f"{file.stat().st_size:,} bytes, more than the {MOST_BYTES:,} that a radiograph takes")
        data = file.read_bytes() if file.is_file() else file
        other = None if any_body_part or isinstance(data, Path) else other_than_chest(data)
        if other is not None:
            raise ImageError(f"{other}. If it is to be answered about all the same, add --any_body_part true")
        return load_gray(data)
    except ImageError as error:
        raise ImageError(f"{file}: {error}. Remedy: give a PNG, JPEG or DICOM file of one radiograph.") from None
