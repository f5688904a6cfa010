"""Open-i's archives: whole, unpacked where a source reads them, and never anywhere else."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import tarfile
import tracemalloc

import pytest

from cxr_lightning.download.trouble import DownloadError
from cxr_lightning.download.unpacking import unpack
from tests.download.conftest import tree
from tests.reports.sources.layouts import swollen_tgz

pytestmark = pytest.mark.quick
AT = "/imgs/collections"


def tgz(members: dict[str, bytes], *others: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for other in others:
            archive.addfile(other)
    return buffer.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


REPORTS = {f"ecgen-radiology/{n}.xml": f"<eCitation>{n}</eCitation>".encode() for n in range(1, 6)}
IMAGES = {f"CXR{n}_1_IM-0001.png": random.Random(n).randbytes(3000) for n in range(1, 6)}


@pytest.fixture
def openi(archive):
    archive.files.clear()
    archive.files[f"{AT}/NLMCXR_reports.tgz"] = tgz(REPORTS)
    archive.files[f"{AT}/NLMCXR_png.tgz"] = tgz({f"./{name}": data for name, data in IMAGES.items()})
    archive.files[f"{AT}/NLMCXR_dcm.tgz"] = tgz({"NLMCXR_dcm/1/1_IM-0001.dcm": b"DICM" * 100})
    return archive


EXPECTED = REPORTS | {f"NLMCXR_png/{name}": data for name, data in IMAGES.items()}


def unpacked(out):
    return {name: data for name, data in tree(out).items() if not name.endswith(".tgz")}


def test_openi_stands_as_a_source_reads_it(openi, fetch):
    assert unpacked(fetch("openi")) == EXPECTED
    assert not openi.requests("dcm.tgz"), "80 GB come only when asked for"


def test_dicom_comes_when_asked_for(openi, fetch, monkeypatch):
    import shutil

    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10**13, 0, 10**13))
    assert set(unpacked(fetch("openi", only="NLMCXR_dcm.tgz"))) == {"NLMCXR_dcm/1/1_IM-0001.dcm"}


def test_it_may_stay_packed(openi, fetch):
    assert unpacked(fetch("openi", unpack=False)) == {}


def stamps(out):
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in out.rglob("*") if path.is_file()}


@pytest.mark.parametrize("verify", [False, True])
def test_a_second_run_unpacks_nothing(openi, fetch, verify):
    out = fetch("openi")
    before = {path: stamp for path, stamp in stamps(out).items() if ".download" not in path.parts}
    fetch("openi", verify=verify)
    assert {path: stamp for path, stamp in stamps(out).items() if ".download" not in path.parts} == before


def test_what_lacks_of_an_archive_or_was_cut_is_unpacked_again(openi, fetch):
    out = fetch("openi")
    films = [out / name for name in EXPECTED if name.endswith(".png")]
    films[0].unlink()
    films[1].write_bytes(b"cut")
    films[2].unlink()
    films[2].symlink_to("/etc/hostname")
    kept = films[3].stat().st_ino
    fetch("openi")
    assert unpacked(out) == EXPECTED
    assert films[3].stat().st_ino == kept
    assert len(openi.requests("png.tgz")) == 1


def test_other_bytes_of_the_same_size_are_seen_where_asked_for(openi, fetch):
    out = fetch("openi")
    film = out / "NLMCXR_png" / "CXR2_1_IM-0001.png"
    film.write_bytes(film.read_bytes()[::-1])
    fetch("openi")
    assert unpacked(out) != EXPECTED
    fetch("openi", verify=True)
    assert unpacked(out) == EXPECTED


def test_what_an_older_version_unpacked_is_looked_at(openi, fetch):
    out = fetch("openi")
    note = out / ".download" / "unpacked" / "NLMCXR_png"
    note.write_text(json.loads(note.read_text().splitlines()[0])["archive"])
    (out / "NLMCXR_png" / "CXR2_1_IM-0001.png").unlink()
    fetch("openi")
    assert unpacked(out) == EXPECTED


def test_a_link_in_the_way_is_told(openi, fetch, tmp_path):
    out = fetch("openi")
    (out / "NLMCXR_png").rename(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "CXR2_1_IM-0001.png").unlink()
    (out / "NLMCXR_png").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DownloadError, match=r"a link leads out of.*Remedy"):
        fetch("openi")
    assert not (tmp_path / "elsewhere" / "CXR2_1_IM-0001.png").exists()


def test_unpacking_goes_on_where_it_ended(openi, fetch):
    out = fetch("openi")
    first, second = out / "NLMCXR_png" / "CXR1_1_IM-0001.png", out / "NLMCXR_png" / "CXR2_1_IM-0001.png"
    before = first.stat().st_mtime_ns
    second.unlink()
    (out / ".download" / "unpacked" / "NLMCXR_png").unlink()
    fetch("openi")
    assert unpacked(out) == EXPECTED
    assert first.stat().st_mtime_ns == before


def test_a_damaged_archive_comes_again(openi, fetch, tmp_path):
    whole = openi.files[f"{AT}/NLMCXR_png.tgz"]
    openi.files[f"{AT}/NLMCXR_png.tgz"] = whole[:-40]
    with pytest.raises(DownloadError, match="no whole gzip archive"):
        fetch("openi")
    assert unpacked(tmp_path / "out") == REPORTS
    openi.files[f"{AT}/NLMCXR_png.tgz"] = whole
    assert unpacked(fetch("openi")) == EXPECTED


def test_an_archive_brought_by_hand_is_taken(openi, fetch, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "NLMCXR_png.tgz").write_bytes(openi.files[f"{AT}/NLMCXR_png.tgz"])
    assert unpacked(fetch("openi")) == EXPECTED
    assert not openi.requests("png.tgz")


def test_nothing_is_put_elsewhere(tmp_path):
    out, outside = tmp_path / "out", tmp_path / "outside"
    (out / ".download").mkdir(parents=True)
    outside.mkdir()
    (out / "NLMCXR_png").mkdir()
    (out / "NLMCXR_png" / "planted").symlink_to(outside)
    evil = {
        "../x": b"1",
        "/abs": b"2",
        "a/../../../y": b"3",
        "planted/z": b"4",
        "NLMCXR_png/../../w": b"5",
        "good": b"6",
    }
    device = tarfile.TarInfo("device")
    device.type = tarfile.CHRTYPE
    others = (
        link("link", "/etc"),
        link("link/x", "../../x", tarfile.LNKTYPE),
        link("hard", "../x", tarfile.LNKTYPE),
        device,
    )
    (out / "x.tgz").write_bytes(tgz(evil, *others))
    assert unpack(out, "x.tgz", "NLMCXR_png", "sum", lambda _: None) == 1
    assert (out / "NLMCXR_png" / "good").read_bytes() == b"6"
    assert list(outside.iterdir()) == []
    assert {each.name for each in tmp_path.iterdir()} - {"home"} == {"out", "outside"}
    assert sorted(os.listdir(out / "NLMCXR_png")) == ["good", "planted"]


@pytest.mark.parametrize("content", [b"", b"no gzip", gzip.compress(b"no tar" * 1000), gzip.compress(b"")])
def test_what_is_no_archive_is_told(tmp_path, content):
    (tmp_path / ".download").mkdir()
    (tmp_path / "x.tgz").write_bytes(content)
    with pytest.raises(DownloadError, match=r"is damaged .* Remedy"):
        unpack(tmp_path, "x.tgz", "folder", "sum", lambda _: None)


@pytest.mark.parametrize("kind", [b"x", b"L", b"S"])
def test_a_header_is_not_held_however_long_it_says_it_is(tmp_path, kind):
    (tmp_path / ".download").mkdir()
    (tmp_path / "x.tgz").write_bytes(swollen_tgz(kind))
    tracemalloc.start()
    with pytest.raises(DownloadError, match="is damaged"):
        unpack(tmp_path, "x.tgz", "folder", "sum", lambda _: None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20
    assert not (tmp_path / "folder").exists()


def test_a_member_that_is_cut_off_stands_nowhere(tmp_path):
    (tmp_path / ".download").mkdir()
    (tmp_path / "x.tgz").write_bytes(gzip.compress(gzip.decompress(tgz({"a.png": b"a" * 5000}))[:2000]))
    with pytest.raises(DownloadError, match="is damaged"):
        unpack(tmp_path, "x.tgz", "folder", "sum", lambda _: None)
    assert not (tmp_path / "folder" / "a.png").exists()


def test_another_archive_replaces_the_files_of_the_first(openi, fetch):
    out = fetch("openi")
    other = {name: data[::-1] for name, data in IMAGES.items()}
    openi.files[f"{AT}/NLMCXR_png.tgz"] = tgz(other)
    (out / "NLMCXR_png.tgz").unlink()
    fetch("openi")
    assert unpacked(out) == REPORTS | {f"NLMCXR_png/{name}": data for name, data in other.items()}
