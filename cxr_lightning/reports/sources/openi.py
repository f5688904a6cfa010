"""Source `openi`: the Indiana University reports (XML, in a folder or their tgz) and radiographs enter, studies leave.

Sections are taken as the XML has them. Its images are named by the XML too; the files may be called by that name, as
the PNG and DICOM downloads are, or by report and number (`1_2.png`), as the copies in circulation are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

from cxr_lightning.reports.sources.archive import TGZ, Folder, open_archive
from cxr_lightning.reports.sources.found import Flaw, Found, SourceError, StudyError, view_missing
from cxr_lightning.reports.sources.position import hung, position_of
from cxr_lightning.reports.sources.rows import csv_rows
from cxr_lightning.reports.sources.source import Reading
from cxr_lightning.reports.sources.xml import parse_xml
from cxr_lightning.study import Position, Report, Study, View

IMAGES = (".png", ".dcm.png", ".jpg", ".jpeg", ".dcm")
"""Endings of image files, the preferred one first."""

PROJECTIONS = "indiana_projections.csv"
_UID = re.compile(r"CXR([0-9]{1,9})")
_ODD = re.compile(r"[^\w.-]")  # what a terminal may take for more than a letter
_TWICE = re.compile(r"([0-9]+)_\1_")
_LICENCES = {"byncnd": "CC BY-NC-ND 4.0"}
_FRONTAL = re.compile(r"\b(?:pa|ap|frontal|portable|single)\b", re.IGNORECASE)
_LATERAL = re.compile(r"\b(?:lat|lateral|two|2|2v)\b", re.IGNORECASE)


def read_openi(root: Path, reading: Reading) -> Iterator[Found | Flaw]:
    """Read Open-i's Indiana University collection.

    Args:
        root: A folder with the XML files or their tgz, and the images; for reports alone the tgz itself will do.
        reading: Whether images are wanted, and whether studies may lack them.

    Yields:
        Studies in the order of their files, and flaws.

    Raises:
        SourceError: There are no XML files, or the images are still packed.
    """
    reports = reports_of(root)
    images = Images(root) if reading.images else None
    seen: set[str] = set()
    with open_archive(reports) as archive:
        for name, content in archive.each(".xml"):
            where = _ODD.sub("?", name.rpartition("/")[2])
            try:
                if isinstance(content, StudyError):
                    raise content
                study, missing = _study(parse_xml(content), images, text_only=reading.text_only)
                if study.study_id in seen:
                    raise StudyError("study again", "another file has the same uId")
            except StudyError as error:
                yield error.flaw(where)
                continue
            seen.add(study.study_id)
            if missing:
                yield view_missing(where, f"{missing} of its images")
            yield Found(study, where)
    if not seen and not isinstance(archive, Folder):
        raise SourceError(f"{reports}: holds no report in Open-i's XML")


def reports_of(root: Path) -> Path:
    """Find the reports.

    Args:
        root: What the user gave.

    Returns:
        A folder of XML files, or an archive.

    Raises:
        SourceError: There are none.
    """
    if root.is_file():
        return root
    if not root.is_dir():
        raise SourceError(f"{root}: no such file or folder; give the folder that Open-i was downloaded into")
    for folder in (
        root / "ecgen-radiology",
        root / "NLMCXR_reports" / "ecgen-radiology",
        root / "NLMCXR_reports",
        root,
    ):
        if folder.is_dir() and next(folder.glob("*.xml"), None):
            return folder
    packed = sorted(path for end in (*TGZ, ".zip") for path in root.glob(f"NLMCXR_reports*{end}"))
    if packed:
        return packed[0]
    raise SourceError(f"{root}: holds neither ecgen-radiology/*.xml nor NLMCXR_reports.tgz, the reports of Open-i")


def tables_of(root: Path) -> list[Path]:
    """List the files that make other studies when they change: the reports' archive, and the list of projections.

    Args:
        root: What the user gave.
    """
    return [path for path in (reports_of(root), root / PROJECTIONS) if path.is_file()]


class Images:
    """The image files below a folder, by the name without its ending.

    Args:
        root: The folder.

    Raises:
        SourceError: There are none.
    """

    def __init__(self, root: Path) -> None:
        self._paths: dict[str, Path] = {}
        home = root if root.is_dir() else root.parent
        folder = Folder(home)
        for rank in reversed(IMAGES):  # the preferred ending comes last and stays
            for name in folder.names(rank, depth=3):
                self._paths[name.rpartition("/")[2].lower().removesuffix(rank)] = home / name
        if not self._paths:
            packed = next((path for end in TGZ for path in sorted(home.glob(f"NLMCXR_[pd]*{end}"))), None)
            how = (
                f"unpack them: mkdir {packed.stem} && tar -xf {packed.name} -C {packed.stem}"
                if packed
                else ("download NLMCXR_png.tgz and unpack it into this folder")
            )
            raise SourceError(f"{home}: holds no images (PNG, JPEG, DICOM); {how}")
        listed = home / PROJECTIONS
        self._projections = dict(_projections(listed)) if listed.is_file() else {}

    def find(self, uid: str, image: str, number: int) -> Path | None:
        """Find an image.

        Args:
            uid: The report's number.
            image: What the XML calls it: "CXR1_1_IM-0001-3001", "CXR10_IM-0002-1001".
            number: Which of the report's images it is, from 1.
        """
        own = image.removeprefix(f"CXR{uid}_").removeprefix(f"{uid}_")
        names = (image, f"{uid}_{own}", f"CXR{uid}_{own}", f"{uid}_{number}")
        return next((path for name in names if (path := self._paths.get(name.lower()))), None)

    def position(self, path: Path) -> Position:
        """Say what the list of projections says of an image.

        Args:
            path: The image file.
        """
        name = path.name.partition(".")[0].lower().removeprefix("cxr")
        return self._projections.get(_TWICE.sub(r"\1_", name, count=1), "unknown")


def _projections(path: Path) -> Iterator[tuple[str, Position]]:
    for row in csv_rows(path, "filename", "projection"):
        if not isinstance(row, Flaw):
            name = str(row.cells["filename"]).partition(".")[0].lower()
            yield name, position_of(str(row.cells["projection"]))


def _study(tree: Element, images: Images | None, *, text_only: bool) -> tuple[Study, int]:
    named = tree.find("uId")
    uid = _UID.fullmatch(named.get("id", "") if named is not None else "")
    if tree.tag != "eCitation" or uid is None:
        raise StudyError("no report", "not a report of Open-i: no eCitation with a uId such as CXR1")
    report = _report(tree)
    listed = tree.findall("parentImage")
    views = _views(listed, uid[1], images) if images else ()
    if images and not views:
        if listed:
            raise StudyError("image missing", f"none of its {len(listed)} images is there")
        if not text_only:
            raise StudyError("report without image", "the XML names no image of this study", bad=False)
    licence = tree.findtext("ccLicense", "").strip()
    study = Study(
        study_id=uid[0],
        patient_id=uid[0],  # Open-i does not say whose a report is
        views=views,
        report=report,
        source="openi",
        licence=_LICENCES.get(licence, licence),
    )
    return study, len(listed) - len(views) if images else 0


def _report(tree: Element) -> Report:
    sections: dict[str, str] = {}
    for element in tree.iter("AbstractText"):
        label, text = element.get("Label", "").strip().upper(), "".join(element.itertext())
        sections[label] = f"{sections[label]} {text}" if sections.get(label) else text
    return Report(
        text="\n".join(f"{label}: {text}" for label, text in sections.items() if text.strip()),
        indication=sections.get("INDICATION", ""),
        technique=sections.get("TECHNIQUE", ""),
        comparison=sections.get("COMPARISON", ""),
        findings=sections.get("FINDINGS", ""),
        impression=sections.get("IMPRESSION", ""),
    )


def _views(listed: list[Element], uid: str, images: Images) -> tuple[View, ...]:
    found: dict[Path, Position] = {}
    for number, element in enumerate(listed, start=1):
        path = images.find(uid, element.get("id", ""), number)
        if path is not None:
            position = images.position(path)
            found.setdefault(path, _captioned(element, len(listed)) if position == "unknown" else position)
    return hung(View(path, position) for path, position in found.items())


def _captioned(element: Element, images: int) -> Position:
    """What the caption says, which is the same for all images of a study: it tells only where there is one alone."""
    caption = element.findtext("caption", "")
    return "frontal" if images == 1 and _FRONTAL.search(caption) and not _LATERAL.search(caption) else "unknown"
