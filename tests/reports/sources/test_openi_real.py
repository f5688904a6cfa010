"""Every real report of Open-i, read exactly; and its images, found by either name."""

from __future__ import annotations

import os
import re
import tarfile
from html import unescape
from pathlib import Path

import pytest

from cxr_lightning.reports.sources import Flaw, open_source
from tests.reports.sources.found import TEXTS, kinds, read

REAL = os.environ.get("CXR_REAL_DATA")


@pytest.mark.real
@pytest.mark.skipif(not REAL, reason="CXR_REAL_DATA names no folder of real reports")
def test_all_real_reports_are_read_exactly(tmp_path):
    """Held against the XML's own bytes, cut by a pattern: not against another reading of the same parser."""
    archive = Path(REAL or "") / "openi" / "NLMCXR_reports_dev.tgz"
    studies, flaws = read("openi", archive, TEXTS)
    assert (len(studies), flaws) == (2998, [])
    named = {study.study_id: study.report for study in studies}
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            if member.isfile():
                raw = tar.extractfile(member).read().decode()  # type: ignore[union-attr]
                (uid,) = re.findall(r'<uId id="(CXR\d+)"', raw)
                sections = dict(re.findall(r'<AbstractText Label="([A-Z]+)">(.*?)</AbstractText>', raw, re.DOTALL))
                for label in ("COMPARISON", "INDICATION", "FINDINGS", "IMPRESSION"):
                    assert getattr(named[uid], label.lower()) == unescape(sections.get(label, "")), uid
    tar_root = tmp_path / "unpacked"
    with tarfile.open(archive) as tar:
        tar.extractall(tar_root, filter="data")
    assert {study.study_id: study.report for study in read("openi", tar_root, TEXTS)[0]} == named


@pytest.mark.real
@pytest.mark.skipif(not REAL, reason="CXR_REAL_DATA names no folder of real reports")
def test_real_reports_find_their_images_by_either_name(tmp_path):
    archive = Path(REAL or "") / "openi" / "NLMCXR_reports_dev.tgz"
    with tarfile.open(archive) as tar:
        ids = {}
        for member in tar.getmembers()[:400]:
            if member.isfile():
                raw = tar.extractfile(member).read().decode()  # type: ignore[union-attr]
                ids[Path(member.name).stem] = re.findall(r'<parentImage id="([^"]+)"', raw)
        tar.extractall(tmp_path, members=[m for m in tar.getmembers() if Path(m.name).stem in ids], filter="data")
    for number, (uid, images) in enumerate(ids.items()):
        for place, image in enumerate(images, start=1):
            name = image if number % 2 else f"{uid}_{place}"
            (tmp_path / f"{name}.png").touch()
    items = list(open_source("openi", tmp_path))
    flaws = [item for item in items if isinstance(item, Flaw)]
    assert set(kinds(flaws)) <= {"report without image"}
    assert len(items) - len(flaws) == sum(bool(images) for images in ids.values())
