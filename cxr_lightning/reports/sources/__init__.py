"""Where studies come from: each source turns a data set's own layout into a stream of studies.

A further source is one more function of the same shape and one more line in `SOURCES`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cxr_lightning.reports.sources import chexpert_plus, llava, mimic, openi, vqa, xraygpt
from cxr_lightning.reports.sources.columns import Columns
from cxr_lightning.reports.sources.found import Flaw, Found, SourceError, StudyError
from cxr_lightning.reports.sources.rows import table_file
from cxr_lightning.reports.sources.source import Reading, Source
from cxr_lightning.reports.sources.table import read_table

SOURCES: dict[str, Source] = {
    "mimic-cxr-jpg": Source(
        does="MIMIC-CXR-JPG as PhysioNet gives it, with MIMIC-CXR's reports as a tree or zip",
        read=mimic.read_mimic_jpg,
        tables=mimic.tables_of,
        reports=True,
    ),
    "mimic-cxr": Source(
        does="MIMIC-CXR as PhysioNet gives it: DICOM files and reports",
        read=mimic.read_mimic,
        tables=mimic.tables_of,
        reports=True,
    ),
    "openi": Source(
        does="Open-i's Indiana University reports (XML, folder or tgz) with their PNG or DICOM images",
        read=openi.read_openi,
        tables=openi.tables_of,
        reports=True,
        public=True,
    ),
    "chexpert-plus": Source(
        does="CheXpert Plus: its table of reports with the PNG or DICOM images",
        read=chexpert_plus.read_chexpert_plus,
        tables=chexpert_plus.tables_of,
        reports=True,
    ),
    "xraygpt": Source(
        does="XrayGPT's filter_cap.json with its image folder",
        read=xraygpt.read_xraygpt,
        tables=xraygpt.tables_of,
    ),
    "llava-json": Source(
        does="conversations as LLaVA, Qwen-VL, ms-swift or LLaMA-Factory write them (JSON or JSONL)",
        read=llava.read_llava,
        tables=lambda root: [llava.file_of(root)],
    ),
    "vqa-jsonl": Source(
        does="a JSONL file of questions and answers about images",
        read=vqa.read_vqa,
        tables=lambda root: [vqa.file_of(root)],
    ),
    "table": Source(
        does="a JSONL or CSV file with one row a study or an image",
        read=read_table,
        tables=lambda root: [table_file(root)],
    ),
}


def source_named(name: str) -> Source:
    """Finds a source.

    Args:
        name: A key of `SOURCES`.

    Raises:
        SourceError: No source has that name.
    """
    if name not in SOURCES:
        raise SourceError(f"no source is called '{name}'; there is: {', '.join(SOURCES)}")
    return SOURCES[name]


def open_source(name: str, root: Path, reading: Reading | None = None) -> Iterator[Found | Flaw]:
    """Open a source by its name.

    Args:
        name: A key of `SOURCES`.
        root: Where the data lies.
        reading: What is wanted of it.

    Raises:
        SourceError: No source has that name.
    """
    return source_named(name).read(root, reading or Reading())


__all__ = [
    "SOURCES",
    "Columns",
    "Flaw",
    "Found",
    "Reading",
    "Source",
    "SourceError",
    "StudyError",
    "open_source",
    "source_named",
]
