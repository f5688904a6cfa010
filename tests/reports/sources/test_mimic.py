"""MIMIC-CXR as PhysioNet gives it, in the ways people lay it out on their disks."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cxr_lightning.reports.sources import SOURCES, Flaw, Found, Reading, SourceError, open_source
from tests.reports.sources.found import TEXT_TOO, TEXTS, kinds, read
from tests.reports.sources.layouts import (
    METADATA,
    MimicStudy,
    mimic_studies,
    mimic_text,
    write_csv,
    write_mimic,
    write_mimic_reports,
)

pytestmark = pytest.mark.quick

TEXT = mimic_text(findings="The lungs are clear.", impression="No acute process.", indication="Cough.")
ONE = MimicStudy(TEXT, labels={"Edema": 1.0, "No Finding": 0.0, "Pneumonia": -1.0})


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("gz", [False, True])
def test_a_study_is_read_whole(tmp_path, packed, gz):
    (study,), flaws = read("mimic-cxr-jpg", write_mimic(tmp_path, [ONE], packed=packed, gz=gz))
    assert not flaws
    assert (study.study_id, study.patient_id, study.split) == ("50414267", "10000032", "train")
    assert [(view.path.name, view.position) for view in study.views] == [
        (f"{ONE.images[0]}.jpg", "frontal"),
        (f"{ONE.images[1]}.jpg", "lateral"),
    ]
    assert (study.report.text, study.report.findings) == (TEXT, "The lungs are clear.")
    assert (study.report.impression, study.report.indication) == ("No acute process.", "Cough.")
    assert study.taken == "21800506 213014.531"
    assert set(study.observations or ()) == {("Edema", 1), ("No Finding", 0), ("Pneumonia", -1)}
    assert study.source == "mimic-cxr-jpg"
    assert "PhysioNet" in study.licence


@pytest.mark.parametrize("name", ["mimic-cxr", "mimic-cxr-jpg"])
@pytest.mark.parametrize("packed", [False, True])
def test_reports_alone_need_no_more_than_their_tree_or_zip(tmp_path, name, packed):
    root = write_mimic_reports(tmp_path, mimic_studies([TEXT] * 3), packed=packed)
    studies, flaws = read(name, root, TEXTS)
    assert not flaws
    assert [(study.study_id, study.patient_id) for study in studies] == [
        ("50000000", "10000032"),
        ("50000001", "10000032"),
        ("50000002", "10000033"),
    ]
    assert all(study.report.text == TEXT and not study.views for study in studies)


@pytest.mark.parametrize("name", ["mimic-cxr", "mimic-cxr-jpg"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("given", ["", "reports"])
def test_reports_alone_keep_their_official_split_and_their_dates(tmp_path, name, packed, given):
    word = ("train", "test", "validate", "test")
    studies = [
        replace(study, patient=str(10_000_032 + number), split=word[number], labels={"Edema": 1.0}, time="80556.875")
        for number, study in enumerate(mimic_studies([TEXT] * 4))
    ]
    root = write_mimic(tmp_path, studies, packed=packed, images=False)
    (more,) = mimic_studies([TEXT])  # a report without images stands in no list; its patient does
    lone = replace(more, patient=studies[1].patient, study="59999999")
    new = replace(more, patient="19999999", study="59999998")
    write_mimic_reports(root, [*([*studies] if packed else []), lone, new], packed=packed)
    if given:
        root /= "mimic-cxr-reports.zip" if packed else "files"
    found, flaws = read(name, root, TEXTS)
    assert not flaws
    known = {study.study_id: study for study in found}
    assert [known[study.study].split for study in (*studies, lone, new)] == [*word, "test", None]
    assert known[studies[1].study].taken == "21800506 080556.875"
    assert known[studies[1].study].observations == (("Edema", 1),)
    assert known[lone.study].taken == ""


def test_reports_without_images_are_in_their_patients_split(tmp_path):
    root = write_mimic(tmp_path, [replace(ONE, split="test")])
    write_mimic_reports(root, [MimicStudy(TEXT, study="59999999"), MimicStudy(TEXT, "10000099", "59999998")])
    studies, _ = read("mimic-cxr-jpg", root, TEXT_TOO)
    assert {study.study_id: study.split for study in studies} == {
        "50414267": "test",
        "59999999": "test",
        "59999998": None,
    }


def test_a_report_alone_in_two_splits_is_left_out(tmp_path):
    root = write_mimic(tmp_path, [ONE], images=False)
    (root / "mimic-cxr-2.0.0-split.csv.gz").unlink()
    row = {"dicom_id": "a", "subject_id": ONE.patient, "study_id": ONE.study}
    rows = [{**row, "split": word} for word in ("train", "test")]
    write_csv(root / "mimic-cxr-2.0.0-split.csv", rows, tuple(rows[0]))
    assert kinds(read("mimic-cxr-jpg", root, TEXTS)[1]) == {"split unclear": 1}


@pytest.mark.parametrize(
    "place", ["files", "reports", "reports/files", "mimic-cxr-reports/files", "mimic-cxr-reports", "."]
)
def test_the_tree_of_reports_may_lie_here_or_there(tmp_path, place):
    write_mimic_reports(tmp_path / "made", [ONE])
    shutil.copytree(tmp_path / "made" / "files", tmp_path / "root" / place, dirs_exist_ok=True)
    assert len(read("mimic-cxr", tmp_path / "root", TEXTS)[0]) == 1


def test_the_zip_itself_will_do_for_reports(tmp_path):
    write_mimic_reports(tmp_path, [ONE], packed=True)
    assert len(read("mimic-cxr-jpg", tmp_path / "mimic-cxr-reports.zip", TEXTS)[0]) == 1


@pytest.mark.parametrize("above", ["", "physionet.org/files"])
def test_both_projects_as_wget_lays_them_side_by_side(tmp_path, above):
    jpg, reports = tmp_path / above / "mimic-cxr-jpg" / "2.1.0", tmp_path / above / "mimic-cxr" / "2.1.0"
    write_mimic(jpg, [ONE])
    shutil.rmtree(jpg / "files")
    write_mimic(jpg, [ONE], packed=True)
    (jpg / "mimic-cxr-reports.zip").unlink()
    write_mimic_reports(reports, [ONE], packed=True)
    (study,), flaws = read("mimic-cxr-jpg", tmp_path)
    assert (len(study.views), len(flaws)) == (2, 0)


def test_dicom_files_have_no_view_unless_the_metadata_is_there(tmp_path):
    root = write_mimic(tmp_path, [ONE], dicom=True)
    (study,), _ = read("mimic-cxr", root)
    assert [view.position for view in study.views] == ["unknown", "unknown"]
    assert (study.split, study.observations, study.taken) == (None, None, "")
    write_mimic(tmp_path / "jpg", [ONE])
    for path in (tmp_path / "jpg").glob("*.csv.gz"):
        shutil.copy(path, root)
    (study,), _ = read("mimic-cxr", root)
    assert [(view.path.suffix, view.position) for view in study.views] == [(".dcm", "frontal"), (".dcm", "lateral")]
    assert (study.split, study.taken) == ("train", "21800506 213014.531")


@pytest.mark.parametrize(
    ("word", "position"),
    [
        ("PA", "frontal"),
        ("AP", "frontal"),
        ("LATERAL", "lateral"),
        ("LL", "lateral"),
        ("", "unknown"),
        ("AP LLD", "frontal"),
    ],
)
def test_positions(tmp_path, word, position):
    (study,), _ = read("mimic-cxr-jpg", write_mimic(tmp_path, [replace(ONE, views=(word,))]))
    assert study.views[0].position == position


def test_the_frontal_view_comes_first(tmp_path):
    (study,), _ = read("mimic-cxr-jpg", write_mimic(tmp_path, [replace(ONE, views=("LATERAL", "", "AP", "PA"))]))
    assert [view.position for view in study.views] == ["frontal", "frontal", "unknown", "lateral"]
    assert study.views[0].path.stem == ONE.images[0][:8] + "-00000002-00000000-00000000-00000000"


def test_times_sort_as_text_though_the_list_drops_their_zeros(tmp_path):
    early = replace(ONE, study="50000001", time="80556.875")
    late = replace(ONE, study="50000002", time="213014.531")
    studies, _ = read("mimic-cxr-jpg", write_mimic(tmp_path, [late, early]))
    assert sorted(study.taken for study in studies) == ["21800506 080556.875", "21800506 213014.531"]


@pytest.mark.parametrize(("word", "split"), [("train", "train"), ("validate", "validate"), ("test", "test")])
def test_the_official_split(tmp_path, word, split):
    (study,), _ = read("mimic-cxr-jpg", write_mimic(tmp_path, [replace(ONE, split=word)]))
    assert study.split == split


def test_what_is_missing_is_counted_and_the_rest_goes_on(tmp_path):
    studies = mimic_studies([TEXT] * 6)
    root = write_mimic(tmp_path, studies)
    tree = root / "files"
    (tree / studies[0].folder / f"s{studies[0].study}.txt").unlink()
    shutil.rmtree(tree / studies[1].folder / f"s{studies[1].study}")
    (tree / studies[2].folder / f"s{studies[2].study}" / f"{studies[2].images[0]}.jpg").unlink()
    write_mimic_reports(root, [MimicStudy(TEXT, study="59999999")])
    (tree / studies[3].folder / f"s{studies[3].study}.txt").write_bytes("Größe".encode("cp1252"))
    kept, flaws = read("mimic-cxr-jpg", root)
    assert [study.study_id for study in kept] == [study.study for study in (studies[2], *studies[4:])]
    assert len(kept[0].views) == 1
    assert kinds(flaws) == {
        "report missing": 1,
        "image missing": 1,
        "view missing": 1,
        "report without image": 1,
        "text not UTF-8": 1,
    }
    assert {flaw.kind for flaw in flaws if not flaw.bad} == {"view missing", "report without image"}
    assert not any(study.patient in f"{flaw.where} {flaw.reason}" for study in studies for flaw in flaws)
    assert "CP1252" in next(flaw.reason for flaw in flaws if flaw.kind == "text not UTF-8")


def test_reports_without_images_are_studies_where_text_alone_is_allowed(tmp_path):
    root = write_mimic(tmp_path, [ONE])
    write_mimic_reports(root, [MimicStudy(TEXT, study="59999999")])
    studies, flaws = read("mimic-cxr-jpg", root, TEXT_TOO)
    assert [(study.study_id, len(study.views)) for study in studies] == [("50414267", 2), ("59999999", 0)]
    assert not flaws


def rows_of(root: Path, rows: list[dict[str, str]]) -> Path:
    (root / "mimic-cxr-2.0.0-metadata.csv.gz").unlink()
    write_csv(root / "mimic-cxr-2.0.0-metadata.csv", rows, METADATA)
    return root


def test_rows_that_make_no_study_say_why(tmp_path):
    studies = mimic_studies([TEXT] * 3)
    root = write_mimic(tmp_path, studies)
    a, b, c = ({"dicom_id": s.images[0], "subject_id": s.patient, "study_id": s.study} for s in studies)
    rows = [a, b, a, {**c, "subject_id": "x"}, c, {**c, "subject_id": a["subject_id"]}]
    kept, flaws = read("mimic-cxr-jpg", rows_of(root, rows))
    assert [study.study_id for study in kept] == [studies[0].study, studies[1].study]
    assert kinds(flaws) == {"study again": 1, "row incomplete": 1, "several patients": 1}


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "", "a\0b", "x" * 500, "..", "a.b"])
def test_an_image_name_that_is_none_is_not_looked_for(tmp_path, name):
    root = write_mimic(tmp_path, [ONE])
    rows_of(root, [{"dicom_id": name, "subject_id": ONE.patient, "study_id": ONE.study}])
    kept, flaws = read("mimic-cxr-jpg", root)
    assert not kept
    assert set(kinds(flaws)) <= {"row incomplete", "row unreadable", "report without image"}
    assert not {"image missing", "path leads out"} & set(kinds(flaws))


def test_a_link_out_of_the_tree_is_not_followed(tmp_path):
    root = write_mimic(tmp_path / "root", [ONE, replace(ONE, study="50000001", patient="10000099")])
    (tmp_path / "secret.txt").write_text("FINDINGS: Not for you.")
    report = root / "files" / ONE.folder / f"s{ONE.study}.txt"
    report.unlink()
    report.symlink_to(tmp_path / "secret.txt")
    (tmp_path / "elsewhere").mkdir()
    shutil.move(root / "files" / "p10" / "p10000099", tmp_path / "elsewhere")
    (root / "files" / "p10" / "p10000099").symlink_to(tmp_path / "elsewhere" / "p10000099")
    (root / "files" / "p10" / "p10000098").symlink_to(root / "files")  # round in a circle
    kept, flaws = read("mimic-cxr-jpg", root)
    assert not kept
    assert kinds(flaws) == {"path leads out": 2}
    assert "Not for you" not in str(read("mimic-cxr", root, TEXTS))


def test_a_folder_that_the_user_links_in_is_the_users_choice(tmp_path):
    write_mimic(tmp_path / "disk", [ONE])
    root = tmp_path / "root"
    root.mkdir()
    (root / "files").symlink_to(tmp_path / "disk" / "files")
    for path in (tmp_path / "disk").glob("*.gz"):
        shutil.copy(path, root)
    assert len(read("mimic-cxr-jpg", root)[0]) == 1


def test_splits_that_disagree_or_lack_a_study(tmp_path):
    studies = mimic_studies([TEXT] * 3)
    root = write_mimic(tmp_path, studies)
    (root / "mimic-cxr-2.0.0-split.csv.gz").unlink()
    columns = ("dicom_id", "study_id", "subject_id", "split")
    rows = [
        {"dicom_id": "a", "subject_id": s.patient, "study_id": s.study, "split": split}
        for s, split in zip((studies[0], studies[0], studies[1]), ("train", "test", "test"), strict=True)
    ]
    write_csv(root / "mimic-cxr-2.0.0-split.csv", rows, columns)
    kept, flaws = read("mimic-cxr-jpg", root)
    assert [study.split for study in kept] == ["test"]
    assert kinds(flaws) == {"split unclear": 1, "split missing": 1}
    write_csv(root / "mimic-cxr-2.0.0-split.csv", [{**rows[0], "split": "holdout"}], columns)
    with pytest.raises(SourceError, match=r"split.csv:2: a split that is not train"):
        read("mimic-cxr-jpg", root)


@pytest.mark.parametrize("name", ["mimic-cxr", "mimic-cxr-jpg"])
def test_what_is_not_there_is_named(tmp_path, name):
    with pytest.raises(SourceError, match="no such file or folder"):
        read(name, tmp_path / "absent")
    with pytest.raises(SourceError, match=r"no reports; there must be mimic-cxr-reports.zip"):
        read(name, tmp_path, TEXTS)
    write_mimic_reports(tmp_path, [ONE])
    with pytest.raises(SourceError, match=r"holds no mimic-cxr-2.0.0-metadata.csv.gz"):
        read(name, tmp_path)


def test_damaged_files_are_named(tmp_path):
    root = write_mimic(tmp_path, [ONE], packed=True)
    path = root / "mimic-cxr-2.0.0-metadata.csv.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SourceError, match=r"metadata.csv.gz: not whole gzip"):
        read("mimic-cxr-jpg", root)
    path.write_bytes(whole)
    reports = root / "mimic-cxr-reports.zip"
    reports.write_bytes(reports.read_bytes()[:-30])
    with pytest.raises(SourceError, match=r"mimic-cxr-reports.zip: not a whole zip"):
        read("mimic-cxr-jpg", root)


def test_tables_are_what_changes_the_studies(tmp_path):
    root = write_mimic(tmp_path, [ONE], packed=True)
    assert {path.name for path in SOURCES["mimic-cxr-jpg"].tables(root)} == {
        "mimic-cxr-2.0.0-metadata.csv.gz",
        "mimic-cxr-2.0.0-split.csv.gz",
        "mimic-cxr-2.0.0-chexpert.csv.gz",
        "mimic-cxr-reports.zip",
    }
    packed = root / "mimic-cxr-reports.zip"
    assert SOURCES["mimic-cxr-jpg"].tables(packed) == SOURCES["mimic-cxr-jpg"].tables(root)
    for path in root.glob("*.csv.gz"):
        path.unlink()
    assert SOURCES["mimic-cxr-jpg"].tables(packed) == [packed]


def test_studies_come_one_at_a_time(tmp_path):
    root = write_mimic(tmp_path, mimic_studies([TEXT] * 3))
    stream = open_source("mimic-cxr-jpg", root, Reading())
    first = next(stream)
    assert isinstance(first, Found)
    assert first.where == "mimic-cxr-2.0.0-metadata.csv.gz:2-3"
    shutil.rmtree(root / "files" / "p10")
    rest = list(stream)
    assert [item.kind for item in rest if isinstance(item, Flaw)] == ["image missing"] * 2


def test_a_folder_that_cannot_be_listed_is_told_without_the_patient(tmp_path, monkeypatch):
    root = write_mimic_reports(tmp_path, mimic_studies([TEXT] * 3))
    listed = os.scandir

    def refused(path):
        if "p10000033" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr("os.scandir", refused)
    with pytest.raises(SourceError, match="Permission denied") as told:
        read("mimic-cxr", root / "files", TEXTS)
    assert "10000033" not in str(told.value)
