"""`cxr pack` from end to end: what it makes, that it makes it the same again, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import jsonargparse
import pytest
import webdataset

from cxr_lightning.reports.sources import Columns, SourceError
from cxr_lightning.shards.contract import FORMATS, SampleRecord
from cxr_lightning.shards.index import read_index
from cxr_lightning.shards.packing import TooManyFlaws, pack
from cxr_lightning.shards.sample import decode_image
from cxr_lightning.shards.splits import Fractions, SplitConflict
from cxr_lightning.shards.verification import verify
from cxr_lightning.study import SPLITS

from .tables import picture, row, table_of, write_table

pytestmark = pytest.mark.quick


def samples_of(root: Path) -> list[SampleRecord]:
    index = read_index(root)
    records = []
    for name in SPLITS:
        split = index.split(name)
        for number in range(len(split)):
            sample = split.read(number)
            assert sample.key == split.key(number)
            assert len(sample.record["summary"]) == split.characters[number]
            assert len(sample.images) == split.images[number]
            records.append(sample.record)
    return records


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(root.iterdir())}


def nothing_left(out: Path) -> bool:
    return not out.exists() and not list(out.parent.glob(f"{out.name}.*"))


def test_every_study_arrives_once_and_patients_keep_to_one_split(tmp_path):
    pack("table", table_of(tmp_path / "in", 30), out=tmp_path / "out", samples_per_shard=7)
    index = read_index(tmp_path / "out")
    verify(index)
    records = samples_of(tmp_path / "out")
    keys = [key for split in SPLITS for key in index.split(split).keys]
    assert len(set(keys)) == 30
    assert [record["study"] for record in records] == keys
    split_of = {record["patient"]: record["split"] for record in records}
    assert all(split_of[record["patient"]] == record["split"] for record in records)
    assert sum(counts["samples"] for counts in index.counts.values()) == 30
    assert max(sum(shard["samples"].values()) for shard in index.shards) <= 7
    assert not any("p00" in json.dumps(record) for record in records)


def test_no_name_of_the_source_is_in_the_shards_unless_asked_for(tmp_path):
    table = table_of(tmp_path / "in")
    names = [f"s{number:03d}" for number in range(12)]
    pack("table", table, out=tmp_path / "out")
    assert not [name for name in names for data in contents(tmp_path / "out").values() if f'"{name}"'.encode() in data]
    pack("table", table, out=tmp_path / "kept", keep_study_ids=True)
    assert sorted(record["study"] for record in samples_of(tmp_path / "kept")) == names
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {path.name for path in (tmp_path / "out").iterdir()}


@pytest.mark.parametrize("format", FORMATS)
def test_a_sample_holds_text_image_and_truth(tmp_path, format):
    table = write_table(tmp_path / "in", [row(0, lateral="images/side.png")])
    pack("table", table, out=tmp_path / "out", split=Fractions(1, 0, 0), format=format, size=24)
    sample = read_index(tmp_path / "out").split("train").read(0)
    assert list(sample.images) == [format, f"lateral.{format}"]
    assert [view["member"] for view in sample.record["views"]] == list(sample.images)
    assert [view["position"] for view in sample.record["views"]] == ["frontal", "lateral"]
    assert decode_image(sample.images[format]).shape == (20, 24)
    assert sample.record["summary"] == "Small left pleural effusion. The heart is normal in size."
    assert sample.record["conversation"][0]["content"].startswith("<image>\n")
    assert sample.record["conversation"][1]["content"] == sample.record["summary"]
    assert sample.record["labels"] == ["pleural_effusion:left"]


def test_plain_webdataset_reads_the_tars(tmp_path, monkeypatch):
    monkeypatch.setattr(webdataset.utils, "enforce_security", True)
    pack("table", table_of(tmp_path / "in"), out=tmp_path / "out", split=Fractions(1, 0, 0))
    index = read_index(tmp_path / "out")
    shard = str(tmp_path / "out" / index.shards[0]["name"])
    seen = list(webdataset.WebDataset(shard, shardshuffle=False, empty_check=False))
    assert [sample["__key__"] for sample in seen] == list(index.split("train").keys)
    assert all(json.loads(sample["json"])["schema"] == 1 and sample["jpg"][:2] == b"\xff\xd8" for sample in seen)


def test_the_verb_parses_its_command_line(tmp_path):
    rows = [{"id": "a", "group": "g", "image": "images/a.png", "report": "Clear lungs.", "license": "CC0"}]
    write_table(tmp_path / "in", rows, "manifest.jsonl")
    args = ["table", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--columns.study_id", "id"]
    args += ["--columns.patient_id", "group", "--columns.licence", "license", "--split.train", "0.5"]
    jsonargparse.auto_cli(pack, as_positional=True, args=[*args, "--split.validate", "0.25", "--split.test", "0.25"])
    assert [record["licence"] for record in samples_of(tmp_path / "out")] == ["CC0"]


def test_mixed_conversations_ask_about_labels(tmp_path):
    pack("table", table_of(tmp_path / "in", 40), out=tmp_path / "out", conversation="mixed")
    turns = [turn for record in samples_of(tmp_path / "out") for turn in record["conversation"]]
    answers = [turn["content"].split(",")[0] for turn in turns if turn["content"].startswith(("Yes,", "No,"))]
    assert len(answers) > 20
    assert set(answers) == {"Yes", "No"}


# What is bad stops the run, says where, and leaves nothing behind.


def missing_image(root: Path) -> Path:
    table = table_of(root)
    (root / "images" / "003.png").unlink()
    return table


def missing_lateral(root: Path) -> Path:
    rows = [row(number, **({"lateral": "images/side.png"} if number == 3 else {})) for number in range(12)]
    table = write_table(root, rows)
    (root / "images" / "side.png").unlink()
    return table


def no_image_of_unknown_view(root: Path) -> Path:
    table = write_table(root, [row(number, view="") for number in range(12)])
    (root / "images" / "003.png").write_text("not an image")
    return table


def cut_off_jpeg(root: Path) -> Path:
    table = table_of(root)
    picture(3, 400, 400).save(root / "whole.jpg")
    (root / "images" / "003.png").write_bytes((root / "whole.jpg").read_bytes()[:20_000])
    return table


def broken_dicom(root: Path) -> Path:
    table = table_of(root)
    (root / "images" / "003.png").write_bytes(bytes(128) + b"DICM" + b"\x08\x00\x05\x00CS\x0a\x00ISO_IR")
    return table


def no_image(root: Path) -> Path:
    table = table_of(root)
    (root / "images" / "003.png").write_text("not an image")
    return table


def empty_report(root: Path) -> Path:
    return write_table(root, [row(number, report="" if number == 3 else "Clear lungs.") for number in range(12)])


def no_patient(root: Path) -> Path:
    return write_table(root, [row(number, **({"patient_id": None} if number == 3 else {})) for number in range(12)])


def more_marks_than_images(root: Path) -> Path:
    pair = {"question": "<image>\n<image>\nWhich is older?", "answer": "The first."}
    return write_table(root, [row(number, **(pair if number == 3 else {})) for number in range(12)])


def not_json(root: Path) -> Path:
    table = table_of(root)
    lines = (root / "studies.jsonl").read_text().splitlines()
    lines[3] = lines[3][:40]
    (root / "studies.jsonl").write_text("\n".join(lines))
    return table


BAD = [
    (missing_image, "image missing: frontal image: there is no such file; a table's paths begin at the folder"),
    (missing_lateral, "image missing: lateral image: there is no such file"),
    (no_image_of_unknown_view, "image unusable: image of unknown view: not a PNG, JPEG or DICOM"),
    (cut_off_jpeg, "cut off"),
    (broken_dicom, "DICOM"),
    (no_image, "not a PNG, JPEG or DICOM"),
    (empty_report, "neither report"),
    (no_patient, "'patient_id' is empty"),
    (more_marks_than_images, "mark 2 images with <image>, and 1 can be stored"),
    (not_json, "not JSON"),
]


@pytest.mark.parametrize(("damage", "reason"), BAD, ids=lambda value: getattr(value, "__name__", None))
def test_a_bad_study_stops_a_small_set(tmp_path, damage, reason):
    table = damage(tmp_path / "in")
    with pytest.raises(TooManyFlaws, match=rf"studies.jsonl:4: .*{reason}"):
        pack("table", table, out=tmp_path / "out")
    assert nothing_left(tmp_path / "out")


@pytest.mark.parametrize(("damage", "reason"), BAD, ids=lambda value: getattr(value, "__name__", None))
def test_a_bad_study_is_skipped_where_allowed_and_shown(tmp_path, capfd, damage, reason):
    pack("table", damage(tmp_path / "in"), out=tmp_path / "out", max_bad=0.1)
    assert len(samples_of(tmp_path / "out")) == 11
    assert "studies.jsonl:4" in capfd.readouterr().err


def test_a_report_that_only_compares_is_left_out_but_not_bad(tmp_path, capfd):
    rows = [
        row(number, report="No significant interval change." if number < 3 else "Clear lungs.") for number in range(12)
    ]
    pack("table", write_table(tmp_path / "in", rows), out=tmp_path / "out")
    assert len(samples_of(tmp_path / "out")) == 9
    assert "nothing to learn" in capfd.readouterr().err


def test_an_unknown_column_names_the_columns_there_are_and_the_option(tmp_path):
    with pytest.raises(
        SourceError, match=r"no column 'caption' \(--columns.report\).*image, labels, licence, patient_id"
    ):
        pack("table", table_of(tmp_path / "in"), out=tmp_path / "out", columns=Columns(report="caption"))
    assert nothing_left(tmp_path / "out")


def test_a_patient_in_two_splits_is_named_by_hash_file_and_lines(tmp_path):
    rows = [row(0, split="train"), row(2, split="val"), row(1, split="test")]
    with pytest.raises(
        SplitConflict, match=r"patient [0-9a-f]{24} \(hashed\).*jsonl:1 .*jsonl:3.*hash decide"
    ) as caught:
        pack("table", write_table(tmp_path / "in", rows), out=tmp_path / "out")
    assert "p000" not in str(caught.value)
    assert nothing_left(tmp_path / "out")


def test_an_existing_folder_is_kept_unless_told_otherwise(tmp_path):
    table = table_of(tmp_path / "in")
    pack("table", table, out=tmp_path / "out")
    before = contents(tmp_path / "out")
    with pytest.raises(ValueError, match=r"is not empty.*--overwrite"):
        pack("table", table, out=tmp_path / "out", size=16)
    (tmp_path / "in" / "images" / "003.png").unlink()
    with pytest.raises(TooManyFlaws):
        pack("table", table, out=tmp_path / "out", size=16, overwrite=True)
    assert contents(tmp_path / "out") == before
    pack("table", table, out=tmp_path / "out", size=16, max_bad=0.5, overwrite=True)
    assert read_index(tmp_path / "out").image["size"] == 16
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["in", "out", "out.skipped.jsonl"]


def test_overwriting_never_removes_what_packing_did_not_make(tmp_path):
    for name in ("out", "out.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.tex").write_text("years")
        with pytest.raises(ValueError, match=r"holds 'thesis.tex'"):
            pack("table", table_of(tmp_path / "in"), out=tmp_path / "out", overwrite=True)
        (tmp_path / name / "thesis.tex").rename(tmp_path / "thesis.tex")
    pack("table", tmp_path / "in", out=tmp_path / "out", overwrite=True)


def test_images_beyond_the_first_and_the_lateral_are_counted(tmp_path, capfd):
    rows = [row(0, image=f"images/{number}.png", view=view) for number, view in enumerate(["PA", "AP", "LL", "RL"])]
    pack("table", write_table(tmp_path / "in", rows), out=tmp_path / "out")
    assert "2 further images" in capfd.readouterr().err
    assert [view["member"] for view in samples_of(tmp_path / "out")[0]["views"]] == ["jpg", "lateral.jpg"]


def test_primary_images_of_unknown_view_are_counted_also_when_they_were_made_before(tmp_path, capfd):
    rows = [row(number, view="" if number < 5 else "PA") for number in range(12)]
    rows[11] |= {"view": "LL"}  # known, if no frontal film
    table = write_table(tmp_path / "in", rows)
    pack("table", table, out=tmp_path / "out", samples_per_shard=4, part="0/2")
    pack("table", table, out=tmp_path / "out", samples_per_shard=4, part="1/2")
    told = " ".join(capfd.readouterr().err.split())
    assert "The view of 5 of 12 primary images is unknown" in told
    assert "indiana_projections.csv" in told


def test_where_all_views_are_known_nothing_is_said_of_them(tmp_path, capfd):
    pack("table", table_of(tmp_path / "in"), out=tmp_path / "out")
    assert "unknown" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"size": 4}, "--size 4"),
        ({"quality": 0}, "--quality 0"),
        ({"max_bad": 2.0}, "--max_bad"),
        ({"workers": 0}, "--workers 0"),
        ({"samples_per_shard": 0}, "--samples_per_shard 0"),
        ({"patient_key": ""}, "--patient_key"),
        ({"source": "mimic"}, "no source is called 'mimic'"),
    ],
)
def test_an_impossible_option_is_named(tmp_path, options, said):
    source = options.pop("source", "table")
    with pytest.raises(ValueError, match=said):
        pack(source, table_of(tmp_path / "in", 4), out=tmp_path / "out", **options)
    assert nothing_left(tmp_path / "out")


def test_no_report_text_and_no_patient_reaches_the_screen(tmp_path, capfd, caplog):
    rows = [row(number, report="Zebra pattern." if number % 2 else "") for number in range(12)]
    with pytest.raises(TooManyFlaws) as caught:
        pack("table", write_table(tmp_path / "in", rows), out=tmp_path / "out")
    pack("table", tmp_path / "in", out=tmp_path / "out", max_bad=0.6)
    captured = capfd.readouterr()
    told = captured.out + captured.err + caplog.text + str(caught.value)
    assert "Zebra" not in told
    assert "p00" not in told


@pytest.mark.quick
def test_what_names_someone_in_a_licence_or_a_label_is_counted_and_an_endless_text_is_bad(tmp_path, capfd, monkeypatch):
    rows = [row(number) for number in range(8)]
    rows[2]["licence"], rows[3]["labels"] = "CC BY Dr. John Fictitious", ["Dr. Fictitious"]
    rows[5]["findings"] = " ".join(f"There is a nodule of {number} mm." for number in range(500))
    monkeypatch.setattr("cxr_lightning.shards.preparation.LARGEST_RECORD", 1 << 14)
    write_table(tmp_path / "in", rows)
    pack("table", tmp_path / "in", out=tmp_path / "out", max_bad=0.2, identifiers="leave_out", workers=1)
    told = " ".join(capfd.readouterr().err.split())
    assert "text too long" in told
    assert "Fictitious" not in told
    assert sum(counts["samples"] for counts in read_index(tmp_path / "out").counts.values()) == 5


@pytest.mark.quick
def test_a_study_whose_own_name_names_someone_is_left_out_where_it_is_to_be_kept(tmp_path, capfd):
    rows = [{**row(number), "study_id": f"5012345{number}"} for number in range(8)]
    rows[3]["study_id"] = "FICTITIOUS^JOHN"
    write_table(tmp_path / "in", rows)
    for keep, left in ((False, 8), (True, 7)):
        out = tmp_path / f"out{left}"
        pack("table", tmp_path / "in", out=out, identifiers="leave_out", keep_study_ids=keep, workers=1)
        assert sum(counts["samples"] for counts in read_index(out).counts.values()) == left
    assert "FICTITIOUS" not in capfd.readouterr().err


@pytest.mark.quick
def test_a_few_studies_are_packed_to_try(tmp_path):
    table = table_of(tmp_path / "in", 30)
    pack("table", table, out=tmp_path / "out", limit=8)
    assert sum(counts["samples"] for counts in read_index(tmp_path / "out").counts.values()) == 8
    with pytest.raises(ValueError, match="is not empty"):
        pack("table", table, out=tmp_path / "out")
    with pytest.raises(ValueError, match="--limit 0"):
        pack("table", table, out=tmp_path / "other", limit=0)
