"""MIMIC-CXR as it is downloaded, from report files to shards that inspection finds nothing wrong with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxr_lightning.cli import run
from cxr_lightning.shards.index import read_index
from cxr_lightning.shards.sample import RawSample
from cxr_lightning.study import SPLITS
from tests.reports.sources.layouts import MimicStudy, mimic_studies, mimic_text, write_mimic

FINDINGS = (
    "The heart is mildly enlarged. There is a small left pleural effusion, unchanged from ___. No pneumothorax.",
    "Lungs are clear without focal consolidation. No pleural effusion or pneumothorax. Heart size is normal.",
    "There is a 2.3 cm nodule in the right upper lobe. No pleural effusion. The cardiac silhouette is normal in size.",
)
IMPRESSIONS = ("Small left pleural effusion.", "No acute cardiopulmonary process.", "Right upper lobe nodule.")
STUDIES = 36


def studies() -> list[MimicStudy]:
    """Two visits a patient, a year between them; every sixth patient is tested on, and two reports say too little."""
    texts = [
        mimic_text(FINDINGS[n % 3], IMPRESSIONS[n % 3], indication="___ year old woman with cough", comparison="___.")
        for n in range(STUDIES)
    ]
    texts[5], texts[7] = mimic_text(impression="Normal."), " FINAL REPORT\n"
    split = ("train", "train", "train", "train", "validate", "test")
    return [
        replace(study, split=split[n // 2 % 6], date=f"{2180 + n % 2}0506")
        for n, study in enumerate(mimic_studies(texts))
    ]


def films(root: Path) -> None:
    """Puts images of a radiograph's shape in the place of those that the layout has, no two the same."""
    for number, path in enumerate(sorted(root.rglob("*.jpg"))):
        noise = np.random.default_rng(number).integers(0, 256, (30, 24), dtype=np.uint8)
        Image.fromarray(noise).resize((192, 240), Image.Resampling.BICUBIC).save(path, quality=90)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_mimic(tmp_path_factory.mktemp("archive") / "mimic", studies())
    films(root)
    return root


def samples(root: Path) -> dict[str, RawSample]:
    index = read_index(root)
    parts = [index.split(split) for split in SPLITS]
    read = [part.read(number) for part in parts for number in range(len(part))]
    return {sample.record["study"]: sample for sample in read}


def test_from_report_files_to_shards_that_can_be_trusted(archive: Path, tmp_path: Path, capfd: pytest.CaptureFixture):
    lines, summaries, shards = tmp_path / "reports.jsonl", tmp_path / "summaries.jsonl", tmp_path / "shards"
    assert run(["reports", "mimic-cxr-jpg", str(archive), "--out", str(lines)]) == 0
    assert run(["summarize", str(lines), "--out", str(summaries)]) == 0
    options = ["--summaries", str(summaries), "--conversation", "mixed", "--keep_study_ids", "true"]
    assert run(["pack", "mimic-cxr-jpg", str(archive), "--out", str(shards), *options]) == 0
    assert run(["inspect", str(shards), "--out", str(tmp_path / "page")]) == 0, capfd.readouterr().err
    told = [json.loads(line) for line in lines.read_text().splitlines()]
    written = {line["study_id"]: line["summary"] for line in map(json.loads, summaries.read_text().splitlines())}
    found = samples(shards)
    assert [line["study_id"] for line in told] == [study.study for study in studies()]
    assert {line["study_id"] for line in told if line["kept"]} == set(found) == set(written)
    assert len(found) == STUDIES - 2
    for study, sample in found.items():
        assert sample.record["summary"] == written[study]
        assert [view["position"] for view in sample.record["views"]] == ["frontal", "lateral"]
        assert sample.record["indication"] == "Woman with cough."
    splits = {study.study: study.split for study in studies()}
    assert {study: sample.record["split"] for study, sample in found.items()} == {name: splits[name] for name in found}
    captured = capfd.readouterr()
    assert not [word for word in ("effusion", "10000032", "50000000") if word in captured.out + captured.err]


def test_prompts_carry_the_report_before(archive: Path, tmp_path: Path):
    context = ["--context.prior", "true", "--context.always", "true"]
    options = ["--keep_study_ids", "true", "--conversation", "mixed", *context]
    assert run(["pack", "mimic-cxr-jpg", str(archive), "--out", str(tmp_path / "shards"), *options]) == 0
    for study, sample in samples(tmp_path / "shards").items():
        first = sample.record["conversation"][0]["content"]
        second_visit = int(study) % 2 == 1 and int(study) - 1 not in (50000005, 50000007)
        assert ("Previous report:" in first) == second_visit, first
        assert "View: frontal." in first


def test_text_alone_needs_no_images(tmp_path: Path):
    root = write_mimic(tmp_path / "mimic", studies(), images=False)
    assert run(["pack", "mimic-cxr-jpg", str(root), "--out", str(tmp_path / "text"), "--text_only", "only"]) == 0
    assert not any(sample.images for sample in samples(tmp_path / "text").values())
