"""Pairs of real reports: Open-i's findings beside their own report's impression, and beside another's findings."""

from __future__ import annotations

import os
import random
import tarfile
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree

import pytest

ARCHIVE = Path(os.environ.get("CXR_REAL_DATA", "absent"), "openi", "NLMCXR_reports_dev.tgz")
needs_reports = pytest.mark.skipif(
    not ARCHIVE.is_file(), reason="CXR_REAL_DATA names no folder with openi/NLMCXR_reports_dev.tgz"
)


@lru_cache(maxsize=1)
def reports(enough: int) -> list[tuple[str, str]]:
    """Reads findings and impressions until there are enough."""
    found = []
    with tarfile.open(ARCHIVE) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.name.endswith(".xml") else None
            if file is None:
                continue
            parts = {part.get("Label"): part.text or "" for part in ElementTree.parse(file).iter("AbstractText")}
            if parts.get("FINDINGS") and parts.get("IMPRESSION"):
                found.append((parts["FINDINGS"], parts["IMPRESSION"]))
            if len(found) == enough:
                break
    return found


def pairs(count: int) -> tuple[list[str], list[str]]:
    """Returns references and answers: half of them one report's two sections, half two reports' findings."""
    found = reports(count // 2)
    findings = [each[0] for each in found]
    others = findings.copy()
    random.Random(0).shuffle(others)
    return findings + findings, [each[1] for each in found] + others
