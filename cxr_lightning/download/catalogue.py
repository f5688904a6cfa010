"""The data sets that can be fetched: where they lie, what must be signed for them, how large they are.

Sizes are what their pages and keepers state; they serve to say beforehand what a download needs, never to check it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

Kind = Literal["tables", "reports", "images"]
KINDS: tuple[Kind, ...] = ("tables", "reports", "images")
Name = Literal["openi", "mimic-cxr-jpg", "mimic-cxr"]
LISTING = "SHA256SUMS.txt"


@dataclass(frozen=True)
class Collection:
    """Files that lie under one address.

    Attributes:
        path: Its path on the server.
        kinds: What is taken of it.
        takes: Patterns of names, of which a file must fit one.
        leaves: Patterns of names that are not fetched unless asked for by `--only`.
        files: The names, where no list of checksums is published.
        agreement: The page on which access is granted; empty if everybody has it.
    """

    path: str
    kinds: tuple[Kind, ...] = KINDS
    takes: tuple[str, ...] = ("*",)
    leaves: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    agreement: str = ""

    def holds(self, name: str) -> bool:
        """Tells whether a file of this name is taken from here."""
        return kind_of(name) in self.kinds and any(fnmatchcase(name, each) for each in self.takes)

    def is_rare(self, name: str) -> bool:
        """Tells whether a file is fetched only when asked for."""
        return any(fnmatchcase(name, each) for each in self.leaves)


@dataclass(frozen=True)
class Dataset:
    """What can be fetched under one name.

    Attributes:
        server: The root of all addresses.
        collections: Where its files lie; without the first there is nothing to do.
        typical: Bytes of a file by the end of its name, the first that fits, as published or on average.
        unpacks: Archives that are unpacked, and into which folder.
    """

    server: str
    collections: tuple[Collection, ...]
    typical: tuple[tuple[str, int], ...]
    unpacks: tuple[tuple[str, str], ...] = ()

    @property
    def credentialed(self) -> bool:
        """Whether an agreement must be signed."""
        return any(each.agreement for each in self.collections)

    def guess(self, name: str) -> int:
        """Returns about how many bytes a file has."""
        return next((size for end, size in self.typical if name.endswith(end)), _UNKNOWN)


def kind_of(name: str) -> Kind:
    """Tells tables, reports and images apart by name."""
    if "reports" in name or (name.startswith("files/") and name.endswith(".txt")):
        return "reports"
    return "images" if name.startswith(("files/", "NLMCXR_")) else "tables"


_UNKNOWN = 100_000
_PHYSIONET = "https://physionet.org/files"
_JPG = "https://physionet.org/content/mimic-cxr-jpg/2.1.0/"
_DICOM = "https://physionet.org/content/mimic-cxr/2.1.0/"
_TABLES = ((".csv.gz", 10_000_000), ("IMAGE_FILENAMES", 40_000_000), ("reports.zip", 142_000_000), (".txt", 1_000))

DATASETS: dict[str, Dataset] = {
    "openi": Dataset(
        server="https://openi.nlm.nih.gov",
        collections=(
            Collection(
                "imgs/collections",
                files=("NLMCXR_reports.tgz", "NLMCXR_png.tgz", "NLMCXR_dcm.tgz"),
                leaves=("NLMCXR_dcm.tgz",),
            ),
        ),
        typical=(("reports.tgz", 1_200_000), ("png.tgz", 1_360_000_000), ("dcm.tgz", 80_694_582_486)),
        unpacks=(
            ("NLMCXR_reports.tgz", "ecgen-radiology"),
            ("NLMCXR_png.tgz", "NLMCXR_png"),
            ("NLMCXR_dcm.tgz", "NLMCXR_dcm"),
        ),
    ),
    "mimic-cxr-jpg": Dataset(
        server=_PHYSIONET,
        collections=(
            Collection("mimic-cxr-jpg/2.1.0", kinds=("tables", "images"), agreement=_JPG),
            Collection("mimic-cxr/2.1.0", kinds=("reports",), takes=("mimic-cxr-reports.zip",), agreement=_DICOM),
        ),
        typical=((".jpg", 1_478_000), *_TABLES),  # 557.6 GB in 377,110 images
    ),
    "mimic-cxr": Dataset(
        server=_PHYSIONET,
        collections=(
            # Each report lies beside its images, 227,835 small files, and in the zip.
            Collection("mimic-cxr/2.1.0", leaves=("files/*.txt",), agreement=_DICOM),
            Collection("mimic-cxr-jpg/2.1.0", kinds=("tables",), takes=("mimic-cxr-2.*.csv*",), agreement=_JPG),
        ),
        typical=((".dcm", 12_460_000), *_TABLES),  # 4.7 TB in 377,110 images
    ),
}
