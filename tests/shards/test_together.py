"""Packs that meet: who comes second disturbs nothing, whoever is killed loses nothing, and others' files stay."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cxr_lightning.shards.index import read_index
from cxr_lightning.shards.indexing import index
from cxr_lightning.shards.packing import pack

from .moments import JOINS, MADE, PLANNED, command, full_at_each_file, killed_everywhere, paused
from .tables import picture, row, table_of, write_table
from .test_packing import contents

pytestmark = pytest.mark.quick
SHARD = 5


def samples(out: Path) -> int:
    return sum(counts["samples"] for counts in read_index(out).counts.values())


def refused(table: Path, out: Path, **options: object) -> None:
    with pytest.raises(ValueError, match="another process is packing it"):
        pack("table", table, out=out, samples_per_shard=SHARD, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("moment", [PLANNED, MADE, JOINS])
def test_who_comes_second_disturbs_nothing(tmp_path, moment):
    table = table_of(tmp_path / "in", 14)
    with paused(moment, table, tmp_path / "out") as first:
        before = {path.name for path in (tmp_path / "out.partial").rglob("*")}
        refused(table, tmp_path / "out")
        refused(table, tmp_path / "out", size=32, overwrite=True)
        refused(table, tmp_path / "out", part="0/2")
        assert {path.name for path in (tmp_path / "out.partial").rglob("*")} == before
        told = first.end()
    assert first.process.returncode == 0, told
    pack("table", table, out=tmp_path / "whole", samples_per_shard=SHARD)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert not (tmp_path / "out.partial").exists()


@pytest.mark.parametrize("moment", [PLANNED, MADE])
def test_who_packs_alone_does_not_disturb_a_part(tmp_path, moment):
    table = table_of(tmp_path / "in", 14)
    with paused(moment, table, tmp_path / "out", "--part", "0/2") as first:
        refused(table, tmp_path / "out")
        refused(table, tmp_path / "out", size=32, overwrite=True)
        told = first.end()
    assert first.process.returncode == 0, told
    pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, part="1/2")
    pack("table", table, out=tmp_path / "whole", samples_per_shard=SHARD)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_part_that_comes_while_another_joins_waits_and_finds_it_finished(tmp_path):
    table = table_of(tmp_path / "in", 14)
    pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, part="0/2")
    with paused(JOINS, table, tmp_path / "out", "--part", "1/2") as first:
        words = [sys.executable, "-m", "cxr_lightning", *command(table, tmp_path / "out", "--part", "0/2")]
        second = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
        time.sleep(1.5)
        assert second.poll() is None, second.communicate()
        told = first.end()
    late = " ".join(second.communicate(timeout=60)[1].split())
    assert (first.process.returncode, second.returncode) == (0, 0), told + late
    assert "fingerprint" in told
    assert "finished already" in late
    assert not (tmp_path / "out.partial").exists()


def test_what_packing_did_not_make_is_never_removed(tmp_path):
    table = table_of(tmp_path / "in", 14)
    for name in ("thesis.tar", "made_by_hand.csv", "index.json.old", "train-000000.tar"):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / name).write_text("years")
        with pytest.raises(ValueError, match="Remedy"):
            pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, overwrite=True)
        assert contents(tmp_path / "out") == {name: b"years"}
        shutil.rmtree(tmp_path / "out")
    for name in ("made/thesis.doc", "lock.txt", "studies.jsonl.bak", "joined.mine/film.png"):
        (tmp_path / "out.partial" / name).parent.mkdir(parents=True)
        (tmp_path / "out.partial" / name).write_text("years")
        with pytest.raises(ValueError, match="which no shard is"):
            pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, overwrite=True)
        assert (tmp_path / "out.partial" / name).read_text() == "years"
        shutil.rmtree(tmp_path / "out.partial")
    for name in (".out.backup.old", ".out.17.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.tex").write_text("years")
    for size in (32, 64):
        pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, overwrite=True, size=size)
    assert [(tmp_path / name / "thesis.tex").read_text() for name in (".out.backup.old", ".out.17.old")] == [
        "years"
    ] * 2


def test_what_nfs_keeps_of_a_removed_file_is_in_nobodys_way(tmp_path):
    table = table_of(tmp_path / "in", 14)
    going = [tmp_path / "out.partial" / name / ".nfs00000000deadbeef00000001" for name in (".", "made")]
    for path in going:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD)
    assert samples(tmp_path / "out") == 14
    assert all(path.exists() for path in going)  # they are the file system's
    assert {path for path in (tmp_path / "out.partial").rglob("*") if path.is_file()} == set(going)
    for name in (".nfs", ".nfs00000000thesis", "x.nfs00000000deadbeef00000001"):
        (tmp_path / "out.partial" / name).touch()
        with pytest.raises(ValueError, match="which no shard is"):
            pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, overwrite=True)
        (tmp_path / "out.partial" / name).unlink()


def test_tars_of_others_with_an_index_of_ours_are_not_replaced(tmp_path):
    table = table_of(tmp_path / "in", 14)
    pack("table", table, out=tmp_path / "made", samples_per_shard=SHARD, duplicates="keep")
    for name in ("more", "others"):
        shutil.copytree(tmp_path / "made", tmp_path / name)
    shutil.copy(tmp_path / "made" / "train-000000.tar", tmp_path / "more" / "train-000009.tar")
    for path in (tmp_path / "others").glob("index.*"):
        path.unlink()
    index(str(tmp_path / "others"), text="json.summary")
    for name in ("more", "others"):
        before = contents(tmp_path / name)
        with pytest.raises(ValueError, match="overwrite replaces nothing else"):
            pack("table", table, out=tmp_path / name, samples_per_shard=SHARD, overwrite=True)
        assert contents(tmp_path / name) == before


def test_what_came_into_the_folder_in_the_meantime_stays(tmp_path):
    table = table_of(tmp_path / "in", 14)
    pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, size=32)
    with paused(JOINS, table, tmp_path / "out", "--overwrite", "true") as first:
        (tmp_path / "out" / "notes.txt").write_text("mine")
        told = first.end()
    assert first.process.returncode == 1
    assert "'notes.txt'" in told
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    assert read_index(tmp_path / "out").image["size"] == 32


def test_an_array_given_again_sees_that_its_tables_have_changed(tmp_path, capfd):
    table = table_of(tmp_path / "in", 14)
    parts = ("0/2", "1/2")
    for part in parts:
        pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, part=part)
    write_table(table, [row(number) for number in range(20)])
    before = contents(tmp_path / "out")
    for part in parts:
        with pytest.raises(ValueError, match=r"changed since.*--overwrite"):
            pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, part=part)
    assert contents(tmp_path / "out") == before
    for part in parts:
        pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, part=part, overwrite=True)
    assert samples(tmp_path / "out") == 20
    capfd.readouterr()
    for part in parts:  # one that comes late, or again
        pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, part=part, overwrite=True)
    assert " ".join(capfd.readouterr().err.split()).count("finished already") == 2


def test_another_array_overwrites_what_an_earlier_one_made(tmp_path, monkeypatch):
    table = table_of(tmp_path / "in", 14)
    for number, job in enumerate(("7", "8")):
        monkeypatch.setenv("SLURM_ARRAY_JOB_ID", job)
        picture(number + 90).save(table / "images" / "003.png")
        for part in ("0/2", "1/2", "0/2"):
            pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, part=part, overwrite=True)
        assert not (tmp_path / "out.partial").exists()
        pack("table", table, out=tmp_path / "whole", samples_per_shard=SHARD, overwrite=True)
        assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_another_set_is_not_passed_off_as_the_arrays(tmp_path):
    table = table_of(tmp_path / "in", 14)
    for part in ("0/2", "1/2"):
        pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, part=part)
    assert (tmp_path / ".out.packed").exists()
    pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, size=32, overwrite=True)
    assert not (tmp_path / ".out.packed").exists()
    with pytest.raises(ValueError, match="is not empty"):
        pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, part="0/2")
    for part in ("0/2", "1/2"):
        pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, part=part, overwrite=True)
    assert read_index(tmp_path / "out").image["size"] == 512
    shutil.rmtree(tmp_path / "out")  # the note alone says nothing
    pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, part="0/2")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("how", ["overwriting", "the last part"])
def test_a_kill_at_any_moment_of_the_end_loses_nothing(tmp_path, how):
    table = table_of(tmp_path / "in", 9)
    (table / "images" / "003.png").write_bytes(b"no image")
    pack("table", table, out=tmp_path / "whole", samples_per_shard=SHARD, max_bad=0.2)
    expected = {f"out/{name}": data.hex() for name, data in contents(tmp_path / "whole").items()}
    expected["out.skipped.jsonl"] = (tmp_path / "whole.skipped.jsonl").read_bytes().hex()
    old: dict[str, str] = {}
    options: dict[str, object] = {}
    start = tmp_path / "start"
    start.mkdir()
    if how == "overwriting":
        pack("table", table, out=start / "out", samples_per_shard=SHARD, max_bad=0.2, size=32)
        old, options = {name: data.hex() for name, data in contents(start / "out").items()}, {"overwrite": True}
    if how == "the last part":
        pack("table", table, out=start / "out", samples_per_shard=SHARD, max_bad=0.2, part="1/2")
        options = {"part": "0/2"}
    moments = killed_everywhere(table, tmp_path / "work" / "out", start, **options)
    assert len(moments) > 20
    whole = {name.removeprefix("out/"): data for name, data in expected.items() if name.startswith("out/")}
    for number, (_, before, again, left) in enumerate(moments):
        left.pop(".out.packed", None)
        assert before in ({}, old, whole), f"moment {number}: the folder was half there"
        assert again == 0 or (again == 3 and before == whole and how != "the last part"), f"moment {number}: {again}"
        assert left == expected, f"moment {number}"


def test_a_full_disk_is_told_with_what_to_do_and_leaves_no_reports(tmp_path):
    table = table_of(tmp_path / "in", 14)
    (tmp_path / "work").mkdir()
    lines = full_at_each_file(table, tmp_path / "work" / "out")
    assert len(lines) == 12
    for told, left in zip(lines[::2], lines[1::2], strict=True):
        assert "No space left" in told
        assert "Remedy: make room there" in told
        assert "out.partial" in told
        assert left.endswith(" []")
    pack("table", table, out=tmp_path / "whole", samples_per_shard=SHARD)
    assert contents(tmp_path / "work" / "out") == contents(tmp_path / "whole")


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(OSError, match=r"Remedy: make room there, or see who may write.*/proc/packed"):
        pack("table", table_of(tmp_path / "in", 4), out=Path("/proc/packed/out"))
