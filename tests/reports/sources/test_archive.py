"""Folders, zips and tars of small files: the same files out of each, and none that means harm."""

from __future__ import annotations

import io
import os
import struct
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from cxr_lightning.reports.sources import SourceError, StudyError
from cxr_lightning.reports.sources.archive import LARGEST, Folder, Zip, open_archive, text_of
from tests.reports.sources.layouts import swollen_tgz

pytestmark = pytest.mark.quick

FILES = {"a/2.txt": b"two", "a/1.txt": b"one", "b.TXT": b"three", "c.md": b"no"}


def lay(folder: Path, files: dict[str, bytes], kind: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"archive.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    elif kind == "folder":
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    else:
        with tarfile.open(path, "w:gz" if kind == "tgz" else "w") as tar:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("kind", ["folder", "zip", "tgz", "tar"])
def test_the_same_files_come_out(tmp_path, kind):
    with open_archive(lay(tmp_path, FILES, kind)) as archive:
        members = list(archive.each(".txt"))
    assert {member.name: member.content for member in members} == {k: v for k, v in FILES.items() if k != "c.md"}
    if kind in ("folder", "zip"):
        assert [member.name for member in members] == ["a/1.txt", "a/2.txt", "b.TXT"]


@pytest.mark.parametrize("kind", ["folder", "zip", "tgz"])
def test_a_file_that_no_report_is_as_large_as_is_left_out(tmp_path, kind):
    with open_archive(lay(tmp_path, {"bomb.txt": b"0" * (LARGEST + 1), "x.txt": b"x"}, kind)) as archive:
        tracemalloc.start()
        found = {member.name: member.content for member in archive.each(".txt")}
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert found["x.txt"] == b"x"
    assert isinstance(found["bomb.txt"], StudyError)
    assert found["bomb.txt"].kind == "text too large"
    assert peak < 8 * LARGEST


def test_a_zip_that_lies_about_its_sizes_is_not_believed(tmp_path):
    path = lay(tmp_path, {"x.txt": b"0" * (48 * LARGEST)}, "zip")
    raw = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", raw, raw.index(mark) + at, 10)
    path.write_bytes(raw)
    tracemalloc.start()
    with Zip(path) as archive:
        (member,) = archive.each(".txt")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(member.content, StudyError)
    assert peak < 8 * LARGEST


@pytest.mark.parametrize("kind", [b"x", b"X", b"g", b"L", b"K", b"S"])
def test_a_tars_header_is_not_held_however_long_it_says_it_is(tmp_path, kind):
    path = tmp_path / "a.tgz"
    path.write_bytes(swollen_tgz(kind))
    assert path.stat().st_size < 2**20
    tracemalloc.start()
    with open_archive(path) as archive, pytest.raises(SourceError, match="not a whole tar"):
        list(archive.each(".xml"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * LARGEST


def test_long_names_and_headers_below_the_bound_are_read(tmp_path):
    name = "/".join(["folder" * 30] * 9) + ".txt"
    for number, form in enumerate((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)):
        with tarfile.open(tmp_path / f"{number}.tgz", "w:gz", format=form) as tar:
            info = tarfile.TarInfo(name)
            info.size = 3
            tar.addfile(info, io.BytesIO(b"one"))
        with open_archive(tmp_path / f"{number}.tgz") as archive:
            assert list(archive.each(".txt")) == [(name, b"one")]


@pytest.mark.parametrize("kept", [0, 700, 1024, 1500])
def test_a_tar_without_its_end_is_refused(tmp_path, kept):
    path = lay(tmp_path, {"a.txt": b"a" * 100, "b.txt": b"b" * 100}, "tar")
    path.write_bytes(path.read_bytes()[:kept])
    with open_archive(path) as archive, pytest.raises(SourceError, match="not a whole tar"):
        list(archive.each(".txt"))


@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_names_that_lead_out_are_names_and_nothing_else(tmp_path, kind):
    with open_archive(lay(tmp_path / "in", {"../../x.txt": b"x", "/tmp/y.txt": b"y"}, kind)) as archive:
        assert [member.content for member in archive.each(".txt")] in ([b"x", b"y"], [b"y", b"x"])
    assert not list(tmp_path.rglob("x.txt"))


def test_links_and_devices_in_a_tar_are_passed_over(tmp_path):
    path = tmp_path / "archive.tgz"
    with tarfile.open(path, "w:gz") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE):
            info = tarfile.TarInfo(f"{int(kind)}.txt")
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
    with open_archive(path) as archive:
        assert list(archive.each(".txt")) == []


def test_a_folders_links_are_not_followed(tmp_path):
    path = lay(tmp_path, FILES, "folder")
    (tmp_path / "secret.txt").write_text("secret")
    (path / "link.txt").symlink_to(tmp_path / "secret.txt")
    (path / "up").symlink_to(tmp_path)
    found = {member.name: member.content for member in Folder(path).each(".txt")}
    assert isinstance(found["link.txt"], StudyError)
    assert len(found) == 4


def test_a_pipe_in_a_folder_is_not_waited_at(tmp_path):
    os.mkfifo(tmp_path / "x.txt")
    (member,) = Folder(tmp_path).each(".txt")
    assert isinstance(member.content, StudyError)


def test_an_encrypted_member_is_a_named_flaw(tmp_path):
    path = lay(tmp_path, FILES, "zip")
    raw = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(mark) + at] |= 1
    path.write_bytes(raw)
    with Zip(path) as archive, pytest.raises(StudyError, match="cannot be read"):
        archive.read("a/2.txt")


def test_what_is_none_of_the_three(tmp_path):
    (tmp_path / "x.rar").touch()
    with pytest.raises(SourceError, match=r"neither a folder nor a \.zip or \.tgz"):
        open_archive(tmp_path / "x.rar")
    with Folder(tmp_path) as archive, pytest.raises(StudyError, match="no such file"):
        archive.read("gone.txt")


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("Größe".encode("cp1252"), "CP1252"),
        ("text".encode("utf-16"), "UTF-16"),
        (b"a\0b", "NUL"),
        (b"\xff" * 9, "CP1252"),
    ],
)
def test_text_that_is_not_utf8_is_named(raw, said):
    with pytest.raises(StudyError, match=said):
        text_of(raw)
    assert text_of("\ufeffGröße".encode()) == "Größe"
