"""A film's position is read off its header where the source does not know it, and frontal films come first."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

from cxr_lightning.shards.hanging import hung_by_header
from cxr_lightning.study import View

pytestmark = pytest.mark.quick


def film(path: Path, position: str = "", meaning: str = "") -> View:
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    header.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    header.ViewPosition = position
    if meaning:
        code = Dataset()
        code.CodeMeaning = meaning
        header.ViewCodeSequence = [code]
    header.save_as(path, enforce_file_format=True)
    return View(path)


def test_headers_say_what_the_source_does_not(tmp_path):
    side, front = film(tmp_path / "1.dcm", "LL"), film(tmp_path / "2.dcm", meaning="postero-anterior")
    hung = hung_by_header([side, front, film(tmp_path / "3.dcm")])
    assert [(view.path.name, view.position) for view in hung] == [
        ("2.dcm", "frontal"),
        ("3.dcm", "unknown"),
        ("1.dcm", "lateral"),
    ]


def test_what_the_source_knows_stands(tmp_path):
    known = View(film(tmp_path / "1.dcm", "LL").path, "frontal")
    assert hung_by_header([known]) == (known,)


def test_what_cannot_be_read_is_unknown(tmp_path):
    (tmp_path / "1.dcm").write_bytes(bytes(128) + b"DICM" + b"\xff" * 400)
    (tmp_path / "2.png").write_bytes(b"no image")
    views = [View(tmp_path / name) for name in ("1.dcm", "2.png", "absent.dcm")]
    assert hung_by_header(views) == tuple(views)
