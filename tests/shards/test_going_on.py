"""A pack that was killed, stopped, or done in parts ends with the very bytes of one that nobody disturbed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from cxr_lightning.shards.index import read_index
from cxr_lightning.shards.packing import TooManyFlaws, pack
from cxr_lightning.shards.verification import verify
from cxr_lightning.study import SPLITS

from .tables import picture, row, table_of, write_table
from .test_packing import contents

SHARD = 5


def started(table: Path, out: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "cxr_lightning", "pack", "table", str(table), "--out", str(out)]
    command += ["--samples_per_shard", str(SHARD), "--max_bad", "0.1", *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def large_table(root: Path, studies: int = 60) -> Path:
    """Images that take a while, two films that stand twice, and a study that is bad."""
    table = write_table(root, [row(number, image=f"images/{number:03d}.png") for number in range(studies)])
    for number in range(studies):
        picture(number % (studies - 2), 1400, 1200).save(root / "images" / f"{number:03d}.png", compress_level=0)
    (root / "images" / "007.png").write_bytes(b"no image")
    return table


def killed_at(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Kills all of a run's processes, and says whether it was still running."""
    time.sleep(seconds)
    running = process.poll() is None
    if running:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return running


def test_ten_kills_at_random_moments_leave_no_trace(tmp_path):
    table = large_table(tmp_path / "in")
    begun = time.monotonic()
    undisturbed = started(table, tmp_path / "one", "--workers", "2")
    assert undisturbed.wait(120) == 0, undisturbed.communicate()
    long = time.monotonic() - begun
    moments, kills = random.Random(8), 0
    while kills < 10:
        # A fresh start now and then, else the last kills would find little left to do.
        if kills in (4, 7):
            subprocess.run(["rm", "-rf", tmp_path / "two", tmp_path / "two.partial"], check=True)
        kills += killed_at(started(table, tmp_path / "two", "--workers", "2"), moments.uniform(0.3, long))
        if (tmp_path / "two").exists():
            assert contents(tmp_path / "two") == contents(tmp_path / "one")
            subprocess.run(["rm", "-rf", tmp_path / "two", tmp_path / "two.partial"], check=True)
    done = started(table, tmp_path / "two")
    assert done.wait(120) == 0, done.communicate()
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["in", "one", "one.skipped.jsonl", "two", "two.skipped.jsonl"]


def test_parts_in_any_order_join_into_what_one_run_makes(tmp_path):
    table = table_of(tmp_path / "in", 40)
    pack("table", table, out=tmp_path / "one", samples_per_shard=SHARD)
    for part in ("2/3", "0/3", "1/3"):
        assert not (tmp_path / "two").exists()
        pack("table", table, out=tmp_path / "two", samples_per_shard=SHARD, part=part)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert not (tmp_path / "two.partial").exists()


def test_parts_at_the_same_time_join_once(tmp_path):
    table = table_of(tmp_path / "in", 40)
    parts = [started(table, tmp_path / "two", "--part", f"{number}/3", "--workers", "1") for number in range(3)]
    told = [part.communicate(timeout=120)[1].decode() for part in parts]
    assert [part.returncode for part in parts] == [0, 0, 0], told
    pack("table", table, out=tmp_path / "one", samples_per_shard=SHARD, max_bad=0.1)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert sum("fingerprint" in each for each in told) == 1


@pytest.mark.quick
def test_another_commands_leftover_is_not_taken_over(tmp_path):
    table = large_table(tmp_path / "in", 20)
    with pytest.raises(TooManyFlaws, match="the same command goes on"):
        pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, max_bad=0.0)
    with pytest.raises(ValueError, match=r"left by another command.*--overwrite"):
        pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, max_bad=0.1, size=64)
    pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, max_bad=0.1, size=64, overwrite=True)
    assert read_index(tmp_path / "out").image["size"] == 64


@pytest.mark.quick
def test_what_was_mended_since_is_in_the_shards(tmp_path, capfd):
    table = large_table(tmp_path / "in", 20)
    with pytest.raises(TooManyFlaws):
        pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, max_bad=0.0)
    picture(7, 1400, 1200).save(table / "images" / "007.png")
    pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, max_bad=0.0)
    assert "are made already" in capfd.readouterr().err
    pack("table", table, out=tmp_path / "whole", samples_per_shard=SHARD)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.quick
def test_a_table_that_changed_makes_again_what_it_changes(tmp_path):
    table = large_table(tmp_path / "in", 20)
    with pytest.raises(TooManyFlaws):
        pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, max_bad=0.0)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out.partial" / "made").glob("*.tar")}
    rows = [row(number, **({"report": "Clear lungs. No effusion."} if number == 3 else {})) for number in range(20)]
    write_table(table, rows)
    picture(7, 1400, 1200).save(table / "images" / "007.png")
    with pytest.raises(ValueError, match="another command"):
        pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, quality=80)
    pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD)
    pack("table", table, out=tmp_path / "whole", samples_per_shard=SHARD)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    kept = [name for name, ns in before.items() if (tmp_path / "out" / name).stat().st_mtime_ns == ns]
    assert kept, "what did not change is not made again"


@pytest.mark.quick
def test_images_that_came_since_are_packed(tmp_path):
    table = table_of(tmp_path / "in", 20)
    (table / "images").rename(tmp_path / "elsewhere")
    pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, part="0/2")
    with pytest.raises(TooManyFlaws, match="20 of 20 studies"):
        pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, part="1/2")
    (tmp_path / "elsewhere").rename(table / "images")
    for part in ("0/2", "1/2"):
        pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, part=part)
    assert sum(counts["samples"] for counts in read_index(tmp_path / "out").counts.values()) == 20


@pytest.mark.quick
def test_parts_that_were_refused_plan_anew(tmp_path):
    rows = [row(number, patient_id="" if number < 9 else "p") for number in range(20)]
    table = write_table(tmp_path / "in", rows)
    pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, part="0/2")
    with pytest.raises(TooManyFlaws, match="9 of 20 studies"):
        pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, part="1/2")
    write_table(table, [row(number) for number in range(20)])
    for part in ("0/2", "1/2"):
        pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, part=part)
    pack("table", table, out=tmp_path / "whole", samples_per_shard=SHARD)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.quick
def test_films_replaced_after_a_kill_are_not_mixed_with_the_old(tmp_path):
    table = table_of(tmp_path / "in", 40)
    pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, part="0/2")  # half of it, as a kill leaves it
    for number in range(40):
        picture(number + 100).save(table / "images" / f"{number:03d}.png")
    pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD)
    pack("table", table, out=tmp_path / "whole", samples_per_shard=SHARD)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.quick
def test_a_part_that_comes_after_the_end_finds_it_finished(tmp_path, capfd):
    table = table_of(tmp_path / "in", 12)
    for number in range(6):
        pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, part=f"{number}/6", overwrite=True)
    before = contents(tmp_path / "out")
    capfd.readouterr()
    pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, part="2/6")
    assert "finished already" in " ".join(capfd.readouterr().err.split())
    assert contents(tmp_path / "out") == before
    assert not (tmp_path / "out.partial").exists()


def test_parts_join_without_locks_too(tmp_path):
    table = table_of(tmp_path / "in", 40)
    code = (
        "import fcntl\ndef no(*args): raise OSError('no locks here')\nfcntl.flock = no\n"
        "from cxr_lightning.__main__ import main\nmain()"
    )
    options = ["pack", "table", str(table), "--out", str(tmp_path / "two"), "--samples_per_shard", "1"]
    parts = [
        subprocess.Popen([sys.executable, "-c", code, *options, "--part", f"{n}/3", "--workers", "1"]) for n in range(3)
    ]
    assert [part.wait(120) for part in parts] == [0, 0, 0]
    pack("table", table, out=tmp_path / "one", samples_per_shard=1)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    assert not (tmp_path / "two.partial").exists()


@pytest.mark.quick
def test_a_tar_that_was_cut_off_is_made_again(tmp_path):
    table = table_of(tmp_path / "in", 20)
    pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, part="0/2")
    for tar in (tmp_path / "out.partial" / "made").glob("*.tar"):
        os.truncate(tar, 100)
    pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD)
    verify(read_index(tmp_path / "out"))


@pytest.mark.quick
def test_a_lateral_that_is_anothers_film_stands_once(tmp_path):
    rows = [row(n, patient_id=f"p{n}", lateral=f"images/{(n + 1) % 20:03d}.png") for n in range(20)]
    pack("table", write_table(tmp_path / "in", rows), out=tmp_path / "out", samples_per_shard=SHARD)
    index = read_index(tmp_path / "out")
    samples = [index.split(name).read(n) for name in SPLITS for n in range(len(index.split(name)))]
    films = [data for sample in samples for data in sample.images.values()]
    assert len(films) == len(set(films))
    numbers = [int(shard["name"][-10:-4]) for shard in index.shards if shard["name"].startswith("train")]
    assert numbers == list(range(len(numbers))), "a shard of which nothing is left leaves no hole"


@pytest.mark.quick
def test_images_without_a_picture_are_left_out_as_bad(tmp_path):
    table = write_table(tmp_path / "in", [{**row(number), "view": "" if number == 3 else "PA"} for number in range(12)])
    for number in (3, 4, 5):
        Image.new("L", (40, 40)).save(table / "images" / f"{number:03d}.png")
    with pytest.raises(
        TooManyFlaws,
        match=r"(?s)3 of 12 studies.*image of unknown view: all its pixels are one gray.*frontal image: all its",
    ):
        pack("table", table, out=tmp_path / "out")
    pack("table", table, out=tmp_path / "out", max_bad=0.5)
    assert sum(counts["samples"] for counts in read_index(tmp_path / "out").counts.values()) == 9


@pytest.mark.quick
def test_two_of_the_same_do_not_work_at_once(tmp_path):
    table = large_table(tmp_path / "in")
    process = started(table, tmp_path / "out", "--workers", "1")
    try:
        deadline = time.monotonic() + 60
        while not list((tmp_path / "out.partial" / "made").glob("*.json")) and time.monotonic() < deadline:
            time.sleep(0.05)
        with pytest.raises(ValueError, match="another process is packing it"):
            pack("table", table, out=tmp_path / "out", samples_per_shard=SHARD, max_bad=0.1)
    finally:
        process.communicate(timeout=120)
    assert process.returncode == 0


@pytest.mark.quick
def test_summaries_of_another_archive_are_refused(tmp_path):
    table = table_of(tmp_path / "in", 12)
    lines = tmp_path / "summaries.jsonl"
    with pytest.raises(ValueError, match="No such file"):
        pack("table", table, out=tmp_path / "out", summaries=lines)
    lines.write_text('{"study_id": "other", "summary": "Clear."}\n')
    with pytest.raises(ValueError, match="names none of the 12 studies"):
        pack("table", table, out=tmp_path / "out", summaries=lines)
    lines.write_text('{"study_id": "s001", "summary": "Clear."}\n' * 2)
    with pytest.raises(ValueError, match=r"jsonl:2: a second line"):
        pack("table", table, out=tmp_path / "out", summaries=lines)


@pytest.mark.quick
def test_a_film_that_stands_twice_is_kept_once_and_told(tmp_path, capfd):
    rows = [row(number, patient_id=f"p{number}") for number in range(30)]
    write_table(tmp_path / "in", rows)
    for number in (4, 11, 25):
        picture(3).save(tmp_path / "in" / "images" / f"{number:03d}.png")
    pack("table", tmp_path / "in", out=tmp_path / "out", samples_per_shard=SHARD)
    assert "same film twice" in " ".join(capfd.readouterr().err.split())
    index = read_index(tmp_path / "out")
    verify(index)
    assert sum(counts["samples"] for counts in index.counts.values()) == 27
    names = {name for path in (tmp_path / "out").glob("*.tar") for name in _members(path)}
    assert len(names) == 27
    pack("table", tmp_path / "in", out=tmp_path / "kept", samples_per_shard=SHARD, duplicates="keep")
    assert sum(counts["samples"] for counts in read_index(tmp_path / "kept").counts.values()) == 30


def _members(tar: Path) -> set[str]:
    import tarfile

    with tarfile.open(tar) as file:
        return {name.partition(".")[0] for name in file.getnames()}


@pytest.mark.quick
def test_a_stop_by_hand_says_what_goes_on(tmp_path):
    table = large_table(tmp_path / "in")
    process = started(table, tmp_path / "out", "--workers", "1")
    deadline = time.monotonic() + 60
    while not list((tmp_path / "out.partial" / "made").glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    told = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 130
    assert "the same command goes on" in " ".join(told.split())
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_told_and_gone_on_from(tmp_path):
    table = table_of(tmp_path / "in", 40)
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)); "
    limit += (
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); from cxr_lightning.__main__ import main; main()"
    )
    command = [sys.executable, "-c", limit, "pack", "table", str(table), "--out", str(tmp_path / "out")]
    done = subprocess.run([*command, "--samples_per_shard", "25"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    assert "train-000000.tar" in done.stderr
    assert "the same command goes on" in " ".join(done.stderr.split())
    assert not (tmp_path / "out").exists()
    assert not list((tmp_path / "out.partial" / "made").glob("*.partial"))
    pack("table", table, out=tmp_path / "out", samples_per_shard=25)
    pack("table", table, out=tmp_path / "whole", samples_per_shard=25)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
