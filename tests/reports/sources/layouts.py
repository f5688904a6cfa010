"""Writes data sets as their publishers lay them out, from texts of our own, for tests of any station."""

from __future__ import annotations

import csv
import gzip
import io
import tarfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np
from PIL import Image

METADATA = (
    "dicom_id",
    "subject_id",
    "study_id",
    "PerformedProcedureStepDescription",
    "ViewPosition",
    "Rows",
    "Columns",
    "StudyDate",
    "StudyTime",
    "ProcedureCodeSequence_CodeMeaning",
    "ViewCodeSequence_CodeMeaning",
    "PatientOrientationCodeSequence_CodeMeaning",
)


@dataclass(frozen=True)
class MimicStudy:
    """A study of MIMIC-CXR to write.

    `views` are ViewPosition cells, one an image; `split` and `labels` go to their lists where they are given.
    """

    text: str
    patient: str = "10000032"
    study: str = "50414267"
    views: Sequence[str] = ("PA", "LATERAL")
    split: str = "train"
    labels: Mapping[str, float] = field(default_factory=dict)
    date: str = "21800506"
    time: str = "213014.531"

    @property
    def folder(self) -> str:
        return f"p{self.patient[:2]}/p{self.patient}"

    @property
    def images(self) -> list[str]:
        return [f"{int(self.study):08x}-{number:08x}-00000000-00000000-00000000" for number in range(len(self.views))]


def mimic_studies(texts: Iterable[str]) -> list[MimicStudy]:
    """Makes a study of every text: two a patient, with numbers that look like MIMIC's."""
    return [
        MimicStudy(text, patient=str(10_000_032 + number // 2), study=str(50_000_000 + number))
        for number, text in enumerate(texts)
    ]


def mimic_text(
    findings: str = "", impression: str = "", indication: str = "", comparison: str = "", technique: str = ""
) -> str:
    """Lays out sections as MIMIC-CXR's report files do: one space before each line, wrapped below 80 characters."""
    named = {
        "INDICATION": indication,
        "TECHNIQUE": technique,
        "COMPARISON": comparison,
        "FINDINGS": findings,
        "IMPRESSION": impression,
    }
    blocks = ["                                 FINAL REPORT\n EXAMINATION:  CHEST (PA AND LAT)\n"]
    for name, words in named.items():
        if words:
            lines, line = [], f" {name}: "
            for word in words.split():
                if len(line) + len(word) > 78:
                    lines.append(line.rstrip())
                    line = " "
                line += word + " "
            blocks.append("\n".join([*lines, line.rstrip()]) + "\n")
    return " \n".join(blocks)


def write_mimic_reports(folder: Path, studies: Iterable[MimicStudy], *, packed: bool = False) -> Path:
    """Writes report files: a tree files/p10/p10000032/s50414267.txt, or mimic-cxr-reports.zip. Returns ROOT."""
    folder.mkdir(parents=True, exist_ok=True)
    if packed:
        with zipfile.ZipFile(folder / "mimic-cxr-reports.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for study in studies:
                archive.writestr(f"files/{study.folder}/s{study.study}.txt", study.text)
        return folder
    for study in studies:
        path = folder / "files" / study.folder / f"s{study.study}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(study.text, encoding="utf-8", newline="")
    return folder


def write_mimic(
    folder: Path,
    studies: Sequence[MimicStudy],
    *,
    packed: bool = False,
    gz: bool = True,
    dicom: bool = False,
    images: bool = True,
) -> Path:
    """Writes MIMIC-CXR-JPG with reports, metadata, split and labels; or MIMIC-CXR's DICOM tree. Returns ROOT.

    DICOM files hold no pixels, only their names count; JPEG files are 16 x 12 pixels of gray, no two the same.
    """
    write_mimic_reports(folder, studies, packed=packed)
    rows: dict[str, list[dict[str, object]]] = {"records": [], "metadata": [], "split": [], "chexpert": []}
    for study in studies:
        names = {"subject_id": study.patient, "study_id": study.study}
        for number, (image, view) in enumerate(zip(study.images, study.views, strict=True)):
            inside = f"files/{study.folder}/s{study.study}/{image}.{'dcm' if dicom else 'jpg'}"
            if images:
                _write_image(folder / inside, seed=int(study.study) * 8 + number)
            of = {"dicom_id": image, **names}
            rows["records"].append({**of, "path": inside})
            rows["metadata"].append(
                {
                    **of,
                    "ViewPosition": view,
                    "StudyDate": study.date,
                    "StudyTime": study.time,
                    "Rows": 12,
                    "Columns": 16,
                }
            )
            rows["split"].append({**of, "split": study.split})
        rows["chexpert"].append({**names, **study.labels})
    labels = sorted({label for study in studies for label in study.labels})
    ends = ".csv.gz" if gz else ".csv"
    if dicom:
        write_csv(folder / f"cxr-record-list{ends}", rows["records"], ("subject_id", "study_id", "dicom_id", "path"))
        return folder
    write_csv(folder / f"mimic-cxr-2.0.0-metadata{ends}", rows["metadata"], METADATA)
    write_csv(folder / f"mimic-cxr-2.0.0-split{ends}", rows["split"], ("dicom_id", "study_id", "subject_id", "split"))
    write_csv(folder / f"mimic-cxr-2.0.0-chexpert{ends}", rows["chexpert"], ("subject_id", "study_id", *labels))
    return folder


def openi_xml(
    uid: int, sections: Mapping[str, str], images: Sequence[str] = (), caption: str = "PA and lateral"
) -> str:
    """Writes one report as Open-i does. `sections` by label in capitals; `images` by parentImage id."""
    texts = "".join(
        f"<AbstractText Label={quoteattr(label)}>{escape(text)}</AbstractText>" for label, text in sections.items()
    )
    parents = "".join(
        f'<parentImage id="{image}"><figureId>F{n}</figureId><caption>{escape(caption)}</caption>'
        f"<panel><url>/x/{image}.jpg</url></panel></parentImage>"
        for n, image in enumerate(images, start=1)
    )
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<eCitation><meta type="rr"/><uId id="CXR{uid}"/>'
        f"<ccLicense>byncnd</ccLicense><MedlineCitation><Article><Abstract>{texts}</Abstract></Article>"
        f"</MedlineCitation><MeSH><major>normal</major></MeSH>{parents}</eCitation>"
    )


def write_openi(folder: Path, xmls: Mapping[str, str], images: Sequence[str] = (), *, packed: bool = False) -> Path:
    """Writes Open-i: XML files by name ("1.xml") in ecgen-radiology or their tgz, and images by path. Returns ROOT."""
    folder.mkdir(parents=True, exist_ok=True)
    if packed:
        with tarfile.open(folder / "NLMCXR_reports.tgz", "w:gz") as archive:
            for name, text in xmls.items():
                info = tarfile.TarInfo(f"ecgen-radiology/{name}")
                info.size = len(text.encode())
                archive.addfile(info, io.BytesIO(text.encode()))
    else:
        (folder / "ecgen-radiology").mkdir(exist_ok=True)
        for name, text in xmls.items():
            (folder / "ecgen-radiology" / name).write_text(text, encoding="utf-8")
    for number, image in enumerate(images):
        _write_image(folder / image, seed=number)
    return folder


def swollen_tgz(kind: bytes, *, more: int = 20 << 20) -> bytes:
    """Makes a gzip of a few KiB: one tar header of a kind that says its content is 3 GiB, and `more` zeros behind it.

    Kind "S" is a file whose map of holes goes on and on; Python's own tarfile holds what either says in memory.
    """
    header = bytearray(tarfile.TarInfo("a.xml").tobuf(tarfile.GNU_FORMAT))
    header[156:157], header[124:136] = kind, b"%011o\0" % (3 << 30)
    block = bytearray(512)
    block[:24], block[504] = b"%011o\0%011o\0" % (1, 1), 1
    if kind == b"S":
        header[482] = 1
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return gzip.compress(bytes(header) + bytes(block if kind == b"S" else 512) * (more // 512), 1)


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> Path:
    """Writes a CSV file, packed where the name ends in .gz; cells that a row lacks are empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    raw = text.getvalue().encode()
    path.write_bytes(gzip.compress(raw, mtime=0) if path.suffix == ".gz" else raw)
    return path


def _write_image(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".dcm":
        path.write_bytes(b"\0" * 128 + b"DICM")
        return
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 16), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
