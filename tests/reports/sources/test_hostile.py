"""Damaged and hostile files of every source: studies, flaws or one named error; no crash, no hang, no words told."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxr_lightning.reports.sources import Flaw, Found, Reading, SourceError, open_source
from tests.reports.sources import test_chexpert_plus
from tests.reports.sources.layouts import mimic_studies, mimic_text, openi_xml, write_mimic, write_openi

pytestmark = pytest.mark.quick

SECRET = "Zebrafish"
TEXT = mimic_text(findings=f"{SECRET} lungs.", impression=f"{SECRET} again.")
SNIPPETS = (
    *(b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\x80" * 9, b"\\ud800", b"\\u0000", b"\r", b"\n", b" " * 3000),
    *(b'"', b'"' * 33, b"'", b",", b"{", b"}", b"[", b"]", b"[" * 3000, b"NaN", b"1e999", b"-1", b"9" * 400),
    *(b"../", b"/", b"<img>", b"<image>", b"PK\x01\x02", b"PK\x05\x06", b"\x1f\x8b"),
    *(b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>", b"&x;", b"<![CDATA[", b"-->"),
)


def mimic(folder: Path, **how: bool) -> Path:
    return write_mimic(folder, mimic_studies([TEXT] * 3), gz=False, **how)


def openi(folder: Path, *, packed: bool = False) -> Path:
    xmls = {f"{n}.xml": openi_xml(n, {"FINDINGS": f"{SECRET} lungs."}, [f"CXR{n}_a"]) for n in (1, 2)}
    return write_openi(folder, xmls, ["CXR1_a.png", "CXR2_a.png"], packed=packed)


def written(name: str, *rows: object, listed: bool = False) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        folder.mkdir(parents=True)
        text = json.dumps(rows) if listed else "".join(json.dumps(row) + "\n" for row in rows)
        (folder / name).write_text(text)
        (folder / "a.jpg").touch()
        return folder

    return write


TALK = {"image": "a.jpg", "conversations": [{"from": "human", "value": "Q?"}, {"from": "gpt", "value": SECRET}]}
VQA = {"image": "a.jpg", "qa": [{"question": "Q?", "answer": SECRET}]}
ROW = {"study_id": "s", "patient_id": "p", "image": "a.jpg", "report": SECRET}
CAPTIONS = {"annotations": [{"image_id": "1_1", "caption": SECRET}, {"image_id": "2_1", "caption": SECRET}]}

TARGETS: dict[str, tuple[str, Callable[[Path], Path], str]] = {
    "metadata": ("mimic-cxr-jpg", mimic, "mimic-cxr-2.0.0-metadata.csv"),
    "split": ("mimic-cxr-jpg", mimic, "mimic-cxr-2.0.0-split.csv"),
    "labels": ("mimic-cxr-jpg", mimic, "mimic-cxr-2.0.0-chexpert.csv"),
    "report": ("mimic-cxr-jpg", mimic, "files/p10/p10000032/s50000000.txt"),
    "zip": ("mimic-cxr-jpg", lambda folder: mimic(folder, packed=True), "mimic-cxr-reports.zip"),
    "gzip": (
        "mimic-cxr-jpg",
        lambda folder: write_mimic(folder, mimic_studies([TEXT])),
        "mimic-cxr-2.0.0-metadata.csv.gz",
    ),
    "records": ("mimic-cxr", lambda folder: mimic(folder, dicom=True), "cxr-record-list.csv"),
    "xml": ("openi", openi, "ecgen-radiology/1.xml"),
    "tgz": ("openi", lambda folder: openi(folder, packed=True), "NLMCXR_reports.tgz"),
    "chexpert": (
        "chexpert-plus",
        lambda folder: test_chexpert_plus.write(folder, [test_chexpert_plus.row(n, report=SECRET) for n in (1, 2)]),
        test_chexpert_plus.TABLE,
    ),
    "captions": ("xraygpt", written("filter_cap.json", CAPTIONS), "filter_cap.json"),
    "llava": ("llava-json", written("data.json", TALK, TALK, listed=True), "data.json"),
    "llava-jsonl": ("llava-json", written("data.jsonl", TALK, TALK), "data.jsonl"),
    "vqa": ("vqa-jsonl", written("vqa.jsonl", VQA, VQA), "vqa.jsonl"),
    "table": ("table", written("t.jsonl", ROW, ROW), "t.jsonl"),
}

DAMAGE = st.lists(
    st.tuples(st.sampled_from(["flip", "cut", "insert", "repeat", "drop"]), st.floats(0, 1), st.integers(0, 2**32)),
    min_size=1,
    max_size=4,
)


def damaged(raw: bytes, damage: list[tuple[str, float, int]]) -> bytes:
    for how, share, seed in damage:
        at, chance = int(share * len(raw)), random.Random(seed)
        if how == "flip" and raw:
            at = min(at, len(raw) - 1)
            raw = raw[:at] + bytes([raw[at] ^ (1 << chance.randrange(8))]) + raw[at + 1 :]
        elif how == "cut":
            raw = raw[:at]
        elif how == "insert":
            raw = raw[:at] + chance.choice(SNIPPETS) + raw[at:]
        elif how == "repeat":
            raw = raw[:at] + raw[at : at + chance.randrange(200)] * 3 + raw[at:]
        elif how == "drop":
            raw = raw[:at] + raw[at + chance.randrange(200) :]
    return raw


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damage=DAMAGE, reading=st.sampled_from([Reading(), Reading(images=False), Reading(text_only=True)]))
def test_damage_is_named_and_nothing_else_happens(tmp_path_factory, target, damage, reading):
    name, write, file = TARGETS[target]
    folder = tmp_path_factory.getbasetemp() / f"hostile-{target}"
    if not folder.exists():
        write(folder)
        (folder.parent / f"whole-{target}").write_bytes((folder / file).read_bytes())
    (folder / file).write_bytes(damaged((folder.parent / f"whole-{target}").read_bytes(), damage))
    told = ""
    try:
        items = list(open_source(name, folder, reading))
    except SourceError as error:
        items, told = [], str(error)
    assert SECRET not in told
    assert all(isinstance(item, Found | Flaw) for item in items)
    assert SECRET not in " ".join(f"{item.where} {item.kind} {item.reason}" for item in items if isinstance(item, Flaw))
    for item in items:
        if isinstance(item, Found):
            item.study.study_id.encode()
            item.study.patient_id.encode()
            assert all(
                view.path.resolve().is_relative_to(folder.resolve()) for view in item.study.views if name != "table"
            )
