"""The labeler on reports that it was not written for: Open-i's, whose findings people coded in MeSH terms."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cxr_lightning.findings.located import LABELS, find
from cxr_lightning.scoring.labels import count_labels, micro_f1

ARCHIVE = Path(os.environ.get("CXR_REAL_DATA", "absent"), "openi", "NLMCXR_reports_dev.tgz")
SIDED = {
    "pleural effusion": ["pleural_effusion"],
    "pneumothorax": ["pneumothorax"],
    "pulmonary atelectasis": ["atelectasis"],
    "hydropneumothorax": ["pleural_effusion", "pneumothorax"],
}
CODED = {"pleural_effusion", "pneumothorax", "atelectasis", "cardiomegaly", "interstitial_oedema"}


def labels_of(term: str) -> set[str]:
    """Reads a MeSH term with its qualifiers, such as "Pleural Effusion/left/small"."""
    name, *qualifiers = [word.strip().lower() for word in term.split("/")]
    if name in SIDED:
        sides = {"left", "right"} & set(qualifiers) or ({"left", "right"} if "bilateral" in qualifiers else set())
        return {f"{finding}:{side}" for finding in SIDED[name] for side in sides}
    if "borderline" in qualifiers:
        return set()
    if name == "cardiomegaly" or (name == "cardiac shadow" and "enlarged" in qualifiers):
        return {"cardiomegaly"}
    return {"interstitial_oedema"} if name == "pulmonary edema" else set()


def read_archive() -> Iterator[tuple[str, set[str]]]:
    with tarfile.open(ARCHIVE) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.name.endswith(".xml") else None
            if file is not None:
                tree = ElementTree.parse(file)
                parts = {part.get("Label"): part.text or "" for part in tree.iter("AbstractText")}
                text = "\n".join(parts.get(name, "") for name in ("FINDINGS", "IMPRESSION"))
                yield text, set().union(*(labels_of(term.text or "") for term in tree.iter("major")))


@pytest.mark.real
@pytest.mark.skipif(not ARCHIVE.is_file(), reason="CXR_REAL_DATA names no folder with openi/NLMCXR_reports_dev.tgz")
def test_agrees_with_people_who_coded_real_reports() -> None:
    reports = [(text, truth) for text, truth in read_archive() if text.strip()]
    assert len(reports) > 2900
    found = [{label for label in find(text) if label.split(":")[0] in CODED} for text, _ in reports]
    counts = count_labels([truth for _, truth in reports], found, LABELS)
    assert micro_f1(counts.sum(axis=0, keepdims=True).astype(float))[0] > 0.91
