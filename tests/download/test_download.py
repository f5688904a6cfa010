"""A data set as it comes: whole, once, in the order and of the kinds that were asked for."""

from __future__ import annotations

import json
import shutil
import stat
import threading
import time
from collections import deque

import pytest

from cxr_lightning import cli
from cxr_lightning.download import choosing, progress
from cxr_lightning.download.partial import Partial
from cxr_lightning.download.trouble import AccessError, DownloadError
from cxr_lightning.download.verb import download
from tests.download.conftest import published, tree

pytestmark = pytest.mark.quick
BOTH = ("mimic-cxr-jpg/2.1.0", "mimic-cxr/2.1.0")


def test_all_comes_and_is_what_was_published(archive, fetch):
    out = fetch()
    assert tree(out) == published(archive, *BOTH)
    assert not list((out / ".download" / "partial").iterdir())


def test_a_second_run_asks_for_nothing(archive, fetch, capsys):
    fetch()
    before = len(archive.asked)
    fetch()
    assert len(archive.asked) == before
    assert "0 B" in capsys.readouterr().err


def test_a_copy_is_verified_where_no_server_can_be_reached(fetch, tmp_path):
    """As on a cluster without internet: the lists came along."""
    shutil.copytree(fetch(), tmp_path / "copy")
    download("mimic-cxr-jpg", out=tmp_path / "copy", base_url="http://127.0.0.1:9", verify=True)
    next((tmp_path / "copy").glob("files/**/*.jpg")).write_bytes(b"spoilt")
    with pytest.raises(DownloadError, match="1 not fetched"):
        download("mimic-cxr-jpg", out=tmp_path / "copy", base_url="http://127.0.0.1:9", verify=True, attempts=1)


def test_connections_live_on_between_files(archive, fetch):
    fetch(parallel=3)
    assert len(archive.asked) > 30
    assert archive.connections <= 4  # three threads', and the lists'


def test_a_second_run_fetches_what_lacks(archive, fetch):
    out = fetch()
    gone, short = sorted(out.glob("files/**/*.jpg"))[:2]
    gone.unlink()
    short.write_bytes(short.read_bytes()[:-1])
    before = len(archive.asked)
    fetch()
    assert len(archive.asked) == before + 2
    assert tree(out) == published(archive, *BOTH)


def test_verify_finds_another_byte(archive, fetch):
    out = fetch()
    spoilt = next(out.glob("files/**/*.jpg"))
    data = bytearray(spoilt.read_bytes())
    data[-1] ^= 1
    spoilt.write_bytes(data)
    fetch()
    assert tree(out) != published(archive, *BOTH), "by size alone nobody can know"
    fetch(verify=True)
    assert tree(out) == published(archive, *BOTH)


def test_what_another_program_brought_is_taken_if_it_is_right(archive, fetch, tmp_path):
    out, files = tmp_path / "out", published(archive)
    (right, wrong) = [name for name in sorted(files) if name.endswith(".jpg")][:2]
    for name, data in ((right, files[right]), (wrong, b"x" * len(files[wrong]))):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(data)
    fetch()
    assert not archive.requests(right)
    assert tree(out) == published(archive, *BOTH)


def test_reports_are_for_their_owner_alone(fetch):
    out = fetch()
    assert stat.S_IMODE((out / "mimic-cxr-reports.zip").stat().st_mode) == 0o600
    assert stat.S_IMODE((out / "IMAGE_FILENAMES").stat().st_mode) & 0o400


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"tables_only": True}, {"mimic-cxr-2.0.0-metadata.csv.gz", "IMAGE_FILENAMES"}),
        ({"reports_only": True}, {"mimic-cxr-reports.zip"}),
        (
            {"tables_only": True, "reports_only": True},
            {"mimic-cxr-2.0.0-metadata.csv.gz", "IMAGE_FILENAMES", "mimic-cxr-reports.zip"},
        ),
        ({"only": "IMAGE*"}, {"IMAGE_FILENAMES"}),
    ],
)
def test_what_is_chosen_comes_and_no_more(fetch, options, wanted):
    assert set(tree(fetch(**options))) == wanted


def test_patterns_fit_whole_paths(archive, fetch):
    out = fetch(only=["files/p10/*", "files/p11/*"])
    assert set(tree(out)) == {name for name in published(archive) if name.startswith(("files/p10/", "files/p11/"))}


def test_a_limit_is_of_images(fetch):
    names = set(tree(fetch(limit=4)))
    assert len(names) == 3 + 4
    assert "mimic-cxr-reports.zip" in names


def test_reports_in_the_tree_come_only_when_asked_for(archive, fetch):
    archive.publish("mimic-cxr-jpg/2.1.0", {"mimic-cxr-2.0.0-split.csv.gz": b"split", "other.csv": b"other"})
    out = fetch("mimic-cxr")
    assert set(tree(out)) == {"mimic-cxr-reports.zip", "mimic-cxr-2.0.0-split.csv.gz"}
    fetch("mimic-cxr", only="files/*.txt")
    assert "files/p10/p1/s5.txt" in tree(out)


def test_what_fits_nothing_is_told(fetch):
    with pytest.raises(DownloadError, match="no file fits p10"):
        fetch(only="p10")


def test_a_dry_run_tells_and_fetches_nothing(archive, fetch, capsys):
    out = fetch(dry_run=True)
    assert tree(out) == {}
    told = capsys.readouterr().err
    assert "images" in told
    assert "44.3 MB" in told  # 30 images of the average size
    assert not archive.requests(".jpg")


def test_too_little_room_is_told_before_anything_comes(archive, fetch, monkeypatch):
    monkeypatch.setattr(choosing.shutil, "disk_usage", lambda _: choosing.shutil._ntuple_diskusage(10**9, 10**9, 10**6))
    with pytest.raises(DownloadError, match=r"about 0\.2 GB are to come, and 0\.0 GB are free"):
        fetch()
    assert not archive.requests(".jpg")


def test_what_stands_there_needs_no_room(fetch, monkeypatch):
    fetch()
    monkeypatch.setattr(choosing.shutil, "disk_usage", lambda _: choosing.shutil._ntuple_diskusage(10**9, 10**9, 10**6))
    fetch(verify=True)


def test_a_full_disk_ends_all_and_keeps_what_came(archive, fetch, monkeypatch, tmp_path):
    write, count = Partial.write, [0]

    def fill(self, data):
        count[0] += 1
        if count[0] > 12:
            raise OSError(28, "No space left on device")
        write(self, data)

    monkeypatch.setattr(Partial, "write", fill)
    with pytest.raises(DownloadError, match=r"No space left on device; about .* GB lack yet"):
        fetch(parallel=2)
    assert len(archive.asked) < 25
    monkeypatch.setattr(Partial, "write", write)
    assert tree(fetch()) == published(archive, *BOTH)


def test_what_is_not_there_is_listed_and_the_rest_comes(archive, fetch, tmp_path):
    gone = next(path for path in archive.files if path.endswith(".jpg"))
    data = archive.files.pop(gone)
    name = gone.removeprefix("/mimic-cxr-jpg/2.1.0/")
    with pytest.raises(DownloadError, match=rf"1 not fetched:\n  {name}: not on the server \(404\)"):
        fetch()
    out = tmp_path / "out"
    assert archive.counted[gone] == 1, "it does not come by asking again"
    assert (out / ".download" / "lost.txt").read_text().startswith(name)
    assert len(tree(out)) == len(published(archive, *BOTH))
    archive.files[gone] = data
    fetch()
    assert tree(out) == published(archive, *BOTH)
    assert not (out / ".download" / "lost.txt").exists()


def test_when_file_after_file_is_lost_all_ends(archive, fetch):
    for path in [path for path in archive.files if path.endswith(".jpg")]:
        del archive.files[path]
    with pytest.raises(DownloadError, match="20 files in a row"):
        fetch(parallel=2)
    assert len(archive.requests(".jpg")) < 25


def test_the_second_collection_may_be_closed(archive, fetch, tmp_path):
    """Who signed for the images and not for the reports gets the images, and is told of the rest."""
    listing = "/mimic-cxr/2.1.0/SHA256SUMS.txt"
    archive.statuses[listing] = deque([(403, {})])
    with pytest.raises(DownloadError, match=r"content/mimic-cxr/2.1.0/"):
        fetch()
    assert tree(tmp_path / "out") == published(archive)


def test_two_at_once_do_not_write_into_each_other(archive, fetch, tmp_path):
    archive.pace = 0.02
    first = threading.Thread(target=fetch)
    first.start()
    until = time.monotonic() + 10
    while not archive.requests(".jpg") and time.monotonic() < until:
        time.sleep(0.01)
    with pytest.raises(DownloadError, match="another download is at work"):
        fetch()
    archive.pace = 0.0
    first.join()
    assert tree(tmp_path / "out") == published(archive, *BOTH)


def test_the_manifest_says_what_came(fetch):
    out = fetch(only="IMAGE*")
    row = json.loads((out / ".download" / "manifest.jsonl").read_text())
    assert row["file"] == "IMAGE_FILENAMES"
    assert row["bytes"] == 5000
    assert len(row["sha256"]) == 64


def test_a_log_hears_now_and_then(archive, fetch, monkeypatch, caplog):
    monkeypatch.setattr(progress, "_EVERY", 0.0)
    with caplog.at_level("INFO"):
        fetch()
    assert any("MB/s" in record.message and "hours left" in record.message for record in caplog.records)


def test_the_verb_ends_with_1_and_the_list(archive, tmp_path, capsys):
    archive.files.pop("/mimic-cxr-jpg/2.1.0/IMAGE_FILENAMES")
    words = ["download", "mimic-cxr-jpg", "--out", str(tmp_path / "out"), "--base-url", archive.url]
    assert cli.run([*words, "--tables-only", "true"]) == 1
    assert "IMAGE_FILENAMES: not on the server (404)" in capsys.readouterr().err


@pytest.mark.parametrize("options", [{"parallel": 0}, {"limit": 0}, {"attempts": 0}])
def test_numbers_make_sense(fetch, options):
    with pytest.raises(DownloadError, match="at least 1"):
        fetch(**options)


@pytest.mark.parametrize("url", ["ftp://host/x", "host/x", "https://", "https://host/x?key=1"])
def test_an_address_is_one(tmp_path, url):
    with pytest.raises((DownloadError, AccessError), match="--base_url"):
        download("openi", out=tmp_path / "out", base_url=url)
