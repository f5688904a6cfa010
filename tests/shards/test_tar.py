"""Headers of every tar writer are read as Python's own tarfile reads them; noise is refused, never believed."""

from __future__ import annotations

import gzip
import io
import subprocess
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_lightning.shards.contract import ShardError
from cxr_lightning.shards.tar import Entry, entries

pytestmark = pytest.mark.quick

NAMES = st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=60).filter(
    lambda name: len(name.encode()) < 200
)
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
FORMATS = st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
KINDS = {tarfile.REGTYPE: "file", tarfile.AREGTYPE: "file", tarfile.DIRTYPE: "folder"}


def listed(data: bytes) -> list[Entry]:
    return list(entries(lambda offset, size: data[offset : offset + size], len(data)))


def tar_of(members: list[tuple[str, bytes]], format: int = tarfile.PAX_FORMAT, **told: object) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in told.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


@given(st.lists(st.tuples(PATHS, st.binary(max_size=1500)), max_size=6), FORMATS, st.sampled_from([0, 1.5]))
def test_names_and_contents_are_those_that_tarfile_finds(members, format, mtime):
    data = tar_of(members, format, mtime=mtime)
    found = listed(data)
    assert [(each.name, data[each.data : each.data + each.size]) for each in found] == members
    assert [each.start for each in found] == [0, *(each.end for each in found)][: len(found)]


@pytest.mark.parametrize("format", ["gnu", "pax", "ustar", "v7"])
def test_what_the_tar_program_writes_is_read(tmp_path, format):
    (tmp_path / "in" / "folder").mkdir(parents=True)
    for name in ("folder/a.jpg", "folder/a.txt", "b.txt"):
        (tmp_path / "in" / name).write_text(name * 200)
    (tmp_path / "in" / "link.txt").symlink_to("b.txt")
    (tmp_path / "in" / "twin.txt").hardlink_to(tmp_path / "in" / "b.txt")
    made = tmp_path / "a.tar"
    subprocess.run(["tar", f"--format={format}", "--sort=name", "-cf", made, "-C", tmp_path / "in", "."], check=True)
    data = made.read_bytes()
    found = {each.name.removeprefix("./").rstrip("/"): each for each in listed(data)}
    with tarfile.open(made) as tar:
        for info in tar:
            each = found.pop(info.name.removeprefix("./").rstrip("/"))
            assert each.kind == KINDS.get(info.type, "link, device or sparse file")
            if info.isreg():
                assert (each.data, each.size) == (info.offset_data, info.size)
    assert not found


def test_a_sparse_file_is_no_plain_file(tmp_path):
    with (tmp_path / "hole.txt").open("wb") as file:
        for place in range(60):  # more holes than one header lists
            file.seek(place << 16)
            file.write(b"end")
    (tmp_path / "next.txt").write_text("plain")
    for format in ("gnu", "pax"):
        made = tmp_path / f"{format}.tar"
        subprocess.run(["tar", f"--format={format}", "-Scf", made, "-C", tmp_path, "hole.txt", "next.txt"], check=True)
        kinds = [each.kind for each in listed(made.read_bytes())]
        assert kinds == ["link, device or sparse file", "file"]


@given(st.binary(max_size=4000))
def test_noise_is_refused(data):
    try:
        found = listed(data)
    except ShardError:
        return
    assert not found  # nothing, or an end mark


@settings(max_examples=300)
@given(st.data())
def test_a_flipped_bit_is_refused_or_gives_members_inside_the_tar(data):
    whole = bytearray(tar_of([("a/b.jpg", b"x" * 700), ("é" * 90, b"y")], mtime=1.5))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = listed(bytes(whole))
    except ShardError:
        return
    assert all(0 <= each.start < each.data <= each.data + each.size <= len(whole) for each in found)


@given(st.integers(1, 2047))
def test_a_cut_is_noticed(cut):
    whole = tar_of([("a.jpg", b"x" * 700), ("a.txt", b"y" * 100)])[: 2 * 512 + 512 + 1024]
    where = listed(whole)
    assert [each.name for each in where] == ["a.jpg", "a.txt"]
    short = whole[: len(whole) - cut]
    if cut != 1024:  # a whole member
        with pytest.raises(ShardError, match=r"cut off.*copy it again"):
            listed(short)


@pytest.mark.parametrize(
    ("data", "told"),
    [(gzip.compress(tar_of([("a.jpg", b"x" * 900)]) * 9, 0), "gunzip"), (b"\x28\xb5\x2f\xfd" + b"1" * 600, "unzstd")],
)
def test_compressed_tars_are_refused_with_the_way_out(data, told):
    with pytest.raises(ShardError, match=told):
        listed(data)
