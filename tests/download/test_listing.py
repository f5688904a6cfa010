"""Lists of checksums from servers nobody should trust: nothing is ever written outside the folder."""

from __future__ import annotations

import contextlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.download.fetching import Place
from cxr_lightning.download.listing import read_listing, unsafe
from cxr_lightning.download.trouble import DownloadError, ListingError, LostError
from tests.download.conftest import tree

pytestmark = pytest.mark.quick
SUM = "0" * 64
LISTING = "/mimic-cxr-jpg/2.1.0/SHA256SUMS.txt"


def test_lists_are_read_as_they_are_written(tmp_path):
    file = tmp_path / "sums"
    file.write_text(f"{SUM} files/a.jpg\n{SUM}  b with blanks.csv\r\n{SUM.replace('0', 'A')} *c\n")
    assert list(read_listing(file)) == [("files/a.jpg", SUM), ("b with blanks.csv", SUM), ("c", "a" * 64)]


@pytest.mark.parametrize(
    "name",
    [
        "../x", "a/../../x", "/etc/passwd", "a//b", "./a", "a/./b", "a/", ".download/x", ".DOWNLOAD/x", "..",
        "a\\..\\x", "a\x1b[2Jb", "a\u202egpj.exe", "x" * 300, "/".join(["d" * 100] * 20), "a\x00b", "a\x85b",
    ],
)  # fmt: skip
def test_one_name_that_leads_out_spoils_the_list(archive, fetch, tmp_path, name):
    archive.files[LISTING] = f"{SUM} files/a.jpg\n{SUM} {name}\n".encode()
    with pytest.raises(ListingError, match="line 2"):
        fetch()
    assert tree(tmp_path / "out") == {}
    assert {each.name for each in tmp_path.iterdir()} <= {"out", "home"}


@pytest.mark.parametrize(
    "text",
    [b"<!DOCTYPE html><title>Log in</title>", b"", b"\xff\xfe\x00", f"{SUM} a\n{SUM} a\n".encode(), b"abc a.jpg\n"],
)
def test_what_is_no_list_is_told(archive, fetch, text):
    archive.files[LISTING] = text
    with pytest.raises(ListingError, match=r"Remedy|nothing of this list"):
        fetch()


def test_a_list_that_was_none_is_not_kept(archive, fetch):
    right = archive.files[LISTING]
    archive.files[LISTING] = b"<html>"
    with pytest.raises(ListingError):
        fetch()
    archive.files[LISTING] = right
    fetch(tables_only=True)


@given(st.text(st.characters(codec="utf-8"), max_size=40))
def test_any_name_is_refused_or_lies_inside(tmp_path_factory, name):
    out = tmp_path_factory.mktemp("any")
    if not unsafe(name):
        assert os.path.normpath(out / name).startswith(f"{out}/")
        assert Place(out).target(name).is_relative_to(out)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_list_or_a_named_error(tmp_path_factory, data):
    file = tmp_path_factory.mktemp("listing") / "bytes"
    file.write_bytes(data)
    with contextlib.suppress(ListingError):
        list(read_listing(file))


def test_no_link_leads_out(archive, fetch, tmp_path):
    """A link in the folder, whoever made it, is not followed out of it; a link in a file's place is replaced."""
    outside, out = tmp_path / "outside", tmp_path / "out"
    outside.mkdir()
    precious = outside / "precious"
    precious.write_text("precious")
    (out / "files").mkdir(parents=True)
    (out / "files" / "p10").symlink_to(outside)
    (out / "IMAGE_FILENAMES").symlink_to(precious)
    with pytest.raises(DownloadError, match="a link leads there"):
        fetch()
    assert [each.name for each in outside.iterdir()] == ["precious"]
    assert precious.read_text() == "precious"
    assert not (out / "IMAGE_FILENAMES").is_symlink()
    with pytest.raises(LostError):
        Place(out).target("files/p10/x.jpg")


def test_the_folder_itself_may_be_a_link(archive, fetch, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    fetch(out=tmp_path / "link", tables_only=True)
    assert "IMAGE_FILENAMES" in tree(tmp_path / "disk")
