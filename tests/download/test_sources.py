"""What was fetched is what the sources read: the folder of the one is the ROOT of the other."""

from __future__ import annotations

import gzip
import io
import random
import zipfile

import pytest
from PIL import Image

from cxr_lightning.reports.sources import Found, open_source
from tests.download.test_unpacking import AT, tgz

SUBJECT, STUDY, DICOM = "10000032", "50414267", "02aa804e-bde0afdd-112c0b34-7bc16630-4e384014"
REPORT = " FINAL REPORT\n FINDINGS:\n The lungs are clear.\n\n IMPRESSION:\n No acute process.\n"


def image(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.frombytes("L", (64, 64), random.Random(1).randbytes(64 * 64)).save(buffer, kind)
    return buffer.getvalue()


def zipped(name: str, text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, text)
    return buffer.getvalue()


@pytest.mark.quick
def test_mimic_cxr_jpg(archive, fetch):
    patient = f"files/p10/p{SUBJECT}"
    head = (
        "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,StudyTime"
    )
    tables = {
        "mimic-cxr-2.0.0-metadata.csv.gz": f"{head}\n{DICOM},{SUBJECT},{STUDY},CHEST,PA,64,64,21800506,213014.531\n",
        "mimic-cxr-2.0.0-split.csv.gz": f"dicom_id,study_id,subject_id,split\n{DICOM},{STUDY},{SUBJECT},train\n",
        "mimic-cxr-2.0.0-chexpert.csv.gz": f"subject_id,study_id,No Finding\n{SUBJECT},{STUDY},1.0\n",
    }
    files = {name: gzip.compress(text.encode()) for name, text in tables.items()}
    archive.files.clear()
    archive.publish("mimic-cxr-jpg/2.1.0", {**files, f"{patient}/s{STUDY}/{DICOM}.jpg": image("JPEG")})
    archive.publish("mimic-cxr/2.1.0", {"mimic-cxr-reports.zip": zipped(f"{patient}/s{STUDY}.txt", REPORT)})
    (found,) = open_source("mimic-cxr-jpg", fetch())
    assert isinstance(found, Found)
    assert (found.study.study_id, found.study.split) == (STUDY, "train")
    assert found.study.report.findings == "The lungs are clear."


@pytest.mark.real
def test_real_reports_of_openi(archive, fetch, real_data):
    archive.files[f"{AT}/NLMCXR_reports.tgz"] = (real_data / "openi" / "NLMCXR_reports_dev.tgz").read_bytes()
    archive.files[f"{AT}/NLMCXR_png.tgz"] = tgz({"CXR1_1_IM-0001-3001.png": image("PNG")})
    out = fetch("openi")
    with_image = [each for each in open_source("openi", out) if isinstance(each, Found) and each.study.views]
    assert [each.study.study_id for each in with_image] == ["CXR1"]
    assert len(list((out / "ecgen-radiology").iterdir())) == 2998
