"""Tars and indexes that nobody made in good faith: all are inspected to their end, in bounded time and memory."""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import resource
import tarfile
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxr_lightning.shards.contract import ShardError
from cxr_lightning.shards.inspection.checks import Findings
from cxr_lightning.shards.inspection.opening import Tar, open_set
from cxr_lightning.shards.inspection.sample import How
from cxr_lightning.shards.inspection.shard import Job, inspect_shard
from cxr_lightning.shards.inspection.types import JsonError, parse
from cxr_lightning.shards.inspection.verb import WrongShardsError
from tests.shards.inspection.planting import Sample, Set, member, png

pytestmark = pytest.mark.quick
SECONDS, BYTES = 20, 600 << 20


@pytest.fixture(autouse=True)
def bounded():
    """Neither hangs nor fills memory."""
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert time.process_time() - start < SECONDS
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10 < BYTES


def info(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.size, made.linkname = kind, size, link
    return made


def pax(told: dict[str, str], name: str = "a.txt", data: bytes = b"x") -> bytes:
    made = tarfile.TarInfo(name)
    made.size, made.pax_headers = len(data), told
    return made.tobuf(tarfile.PAX_FORMAT) + data + bytes(-len(data) % 512)


def extension(kind: bytes, data: bytes, size: int | None = None) -> bytes:
    made = info("././@LongLink", kind, len(data) if size is None else size)
    return made.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)


def base256(size: int) -> bytes:
    """A header whose size is a binary number of 11 bytes."""
    block = bytearray(info("giant.jpg").tobuf(tarfile.USTAR_FORMAT))
    block[124:136] = b"\x80" + size.to_bytes(11, "big")
    block[148:156] = b" " * 8
    block[148:156] = f"{sum(block):06o}\0 ".encode()
    return bytes(block)


def checksum_of_signed_bytes() -> bytes:
    block = bytearray(info("\udcff.json").tobuf(tarfile.USTAR_FORMAT, errors="surrogateescape"))
    block[148:156] = b" " * 8
    total = sum(byte - 256 if byte > 127 else byte for byte in block)
    block[148:156] = f"{total:06o}\0 ".encode()
    return bytes(block)


END = bytes(1024)
TARS: dict[str, bytes] = {
    "leads out": member(info("../x.json"), b"{}") + END,
    "leads out in the middle": member(info("a/../../x.json"), b"{}") + END,
    "absolute": member(info("/etc/passwd.json"), b"{}") + END,
    "symbolic link": member(info("a.jpg", tarfile.SYMTYPE, link="/etc/passwd")) + END,
    "hard link": member(info("a.jpg", tarfile.LNKTYPE, link="../../x")) + END,
    "device": member(info("a.jpg", tarfile.CHRTYPE)) + END,
    "pipe": member(info("a.jpg", tarfile.FIFOTYPE)) + END,
    "of an unknown kind": member(info("a.jpg", b"Z"), b"x") + END,
    "sparse": member(info("a.jpg", tarfile.GNUTYPE_SPARSE), bytes(512)) + END,
    "sparse by pax": pax({"GNU.sparse.major": "1", "GNU.sparse.realsize": str(1 << 50)}) + END,
    "control characters": member(info("a\x07\x1b[31m.json"), b"{}") + END,
    "bytes that are no UTF-8": member(info("\udcff\udcfe.json"), b"{}") + END,
    "a bell in colour": pax({"path": "\x1b]0;x\x07.json"}) + END,
    "no suffix": member(info("readme"), b"x") + END,
    "hidden": member(info(".json"), b"x") + END,
    "only dots": member(info("..."), b"x") + END,
    "a folder": member(info("a/", tarfile.DIRTYPE)) + END,
    "a long key": pax({"path": "k" * 5000 + ".json"}) + END,
    "a name of a megabyte": pax({"path": "k" * 900_000 + ".json"}) + END,
    "GNU's long name": extension(b"L", b"n" * 60_000) + member(info("x"), b"{}") + END,
    "GNU's name, announced larger": extension(b"L", b"n" * 600, 1 << 40) + END,
    "pax of two gigabytes": extension(b"x", b"30 path=a", 2 << 30) + END,
    "pax that counts wrongly": extension(b"x", b"99 path=a.json\n") + member(info("x"), b"{}") + END,
    "pax that counts nothing": extension(b"x", b"0 path=a.json\n") + member(info("x"), b"{}") + END,
    "pax without a count": extension(b"x", b"path=a.json\n") + member(info("x"), b"{}") + END,
    "pax with a size below zero": pax({"size": "-1"}) + END,
    "pax with a size of 30 digits": pax({"size": "9" * 30}) + END,
    "pax with a size of words": pax({"size": "many"}) + END,
    "pax after pax": extension(b"x", b"11 a=bcdef\n") * 4000 + member(info("x.json"), b"{}") + END,
    "many pax records": extension(b"x", b"6 a=b\n" * 100_000) + member(info("x.json"), b"{}") + END,
    "global pax": extension(b"g", b"13 path=a.js\n") + member(info("x.json"), b"{}") + END,
    "pax and no member": extension(b"x", b"11 a=bcdef\n"),
    "larger than the tar": base256(1 << 40) + bytes(4096),
    "larger than any number": base256((1 << 80) + 1) + bytes(4096),
    "larger than an offset": base256((1 << 63) - 1) + bytes(4096),
    "octal that is none": bytearray(info("a.json").tobuf(tarfile.USTAR_FORMAT)).replace(b"0000000", b"9999999") + END,
    "signed checksum": checksum_of_signed_bytes() + END,
    "nothing": b"",
    "an end mark": END,
    "half an end mark": bytes(512),
    "half a block": bytes(100),
    "zeros": bytes(1 << 20),
    "noise": np.random.default_rng(0).bytes(100_000),
    "gzip": b"\x1f\x8b\x08" + bytes(1000),
    "zstandard": b"\x28\xb5\x2f\xfd" + bytes(1000),
    "a picture": png(64, 64),
    "a tar after the tar": member(info("a.txt"), b"x") + END + member(info("b.txt"), b"y") + END,
    "20,000 empty members": b"".join(member(info(f"{n}.x")) for n in range(20_000)) + END,
    "one key, 5,000 members": b"".join(member(info(f"a.{n}")) for n in range(5_000)) + END,
    "one member 5,000 times": member(info("a.json"), b"{}") * 5_000 + END,
    "deep folders": pax({"path": "a/" * 20_000 + "b.json"}) + END,
}
DEEP = b"[" * 200_000
OBJECTS: dict[str, bytes] = {
    "nothing": b"",
    "a list": b"[]",
    "a number": b"1",
    "null": b"null",
    "NaN": b'{"schema": NaN}',
    "Infinity": b'{"schema": 1, "views": [{"width": Infinity}]}',
    "a large float": b'{"schema": 1e999}',
    "a number of a million digits": b'{"schema": ' + b"1" * 1_000_000 + b"}",
    "lists in lists": DEEP,
    "objects in objects": b'{"a":' * 100_000,
    "not UTF-8": b'{"schema": 1, "study": "\xff\xfe"}',
    "UTF-16": '{"schema": 1}'.encode("utf-16"),
    "a zero byte": b'{"schema": 1}\0',
    "eight megabytes of spaces": b" " * (8 << 20) + b"{}",
    "a field a thousand times": b"{" + b'"schema": 1,' * 1000 + b'"schema": 1}',
    "true for one": b'{"schema": true}',
    "text for one": b'{"schema": "1"}',
    "one and a half": b'{"schema": 1.0}',
    "half a surrogate pair": b'{"schema": 1, "study": "\\ud800"}',
    "many fields": b"{" + b",".join(b'"f%d": 1' % n for n in range(50_000)) + b', "schema": 1}',
}


def look(path: Path, rows: Any = None) -> Any:
    tar = Tar(path.name, str(path), None, "", rows, None if rows is None else np.zeros(len(rows), np.uint8))
    return inspect_shard(Job(tar, How(None, 64, decode=True), films=2, texts=True))


@pytest.mark.parametrize("name", TARS)
def test_a_hostile_tar_is_read_to_its_end(name, tmp_path):
    (tmp_path / "a.tar").write_bytes(TARS[name])
    found = look(tmp_path / "a.tar")
    assert len(found.keys) == 0
    assert len(found.findings.told) < 1000
    if name not in ("an end mark", "zeros", "half an end mark", "a folder"):
        assert found.findings.number("error") + found.findings.number("warning")
    told = " ".join(map(str, found.findings.told))
    assert told.isprintable()
    assert "passwd" not in told
    assert not (tmp_path.parent / "x.json").exists()


@pytest.mark.parametrize("name", OBJECTS)
def test_a_hostile_record_is_told(name, good, tmp_path):
    sample = deepcopy(good.samples[0])
    sample.json = OBJECTS[name]
    (tmp_path / "a.tar").write_bytes(sample.block() + END)
    found = look(tmp_path / "a.tar")
    assert [(each.check, each.key) for each in found.findings.told] == [("records", sample.key)]


@pytest.mark.parametrize("name", OBJECTS)
def test_a_hostile_index_is_told(name, few, tmp_path, inspected):
    folder = few.write(tmp_path / "set")
    (folder / "index.json").write_bytes(OBJECTS[name])
    result = inspected(folder, decode=False)
    assert {each["check"] for each in result["wrong"]} == {"index"}
    assert result["looked"]["samples"] == len(few.samples)


def changed(change: Callable[[dict[str, Any]], object]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def run(record: dict[str, Any]) -> dict[str, Any]:
        change(record)
        return record

    return run


INDEXES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "shards as text": changed(lambda record: record.update(shards="x" * 1000)),
    "shards as numbers": changed(lambda record: record.update(shards=[1, 2])),
    "no shards": changed(lambda record: record.update(shards=[])),
    "a name that leads out": changed(lambda record: record["shards"][0].update(name="../../etc/passwd")),
    "a name that is a folder": changed(lambda record: record["shards"][0].update(name="..")),
    "an empty name": changed(lambda record: record["shards"][0].update(name="")),
    "a zero byte in a name": changed(lambda record: record["shards"][0].update(name="a\0.tar")),
    "half a pair in a name": changed(lambda record: record["shards"][0].update(name="\ud800.tar")),
    "a chain of file systems": changed(lambda record: record["shards"][0].update(name="zip://x::file:///etc/passwd")),
    "a size below zero": changed(lambda record: record["shards"][0].update(bytes=-1)),
    "a giant size": changed(lambda record: record["shards"][0].update(bytes=1 << 200)),
    "a digest that is none": changed(lambda record: record["shards"][0].update(sha256="../x")),
    "samples below zero": changed(lambda record: record["splits"]["train"].update(samples=-5)),
    "samples beyond number": changed(lambda record: record["splits"]["train"].update(samples=1 << 100)),
    "a split less": changed(lambda record: record["splits"].pop("test")),
    "splits as a list": changed(lambda record: record.update(splits=[])),
    "a split of another name": changed(lambda record: record["splits"].update(dev={"samples": 1, "patients": 1})),
    "an image size below zero": changed(lambda record: record["image"].update(size=-4)),
    "an image size beyond number": changed(lambda record: record["image"].update(size=1 << 100)),
    "members as text": changed(lambda record: record.update(members="x")),
    "members that name nothing": changed(lambda record: record.update(members={"image": [], "text": ""})),
    "rows of another name": changed(lambda record: record["rows"].update(name="../../etc/passwd")),
    "a shard twice": changed(lambda record: record["shards"].append(record["shards"][0])),
    "10,000 shards": changed(lambda record: record.update(shards=record["shards"] * 2000)),
}


@pytest.mark.parametrize("name", INDEXES)
def test_an_index_of_other_contents_is_told(name, few, tmp_path, inspected):
    folder = few.write(tmp_path / "set")
    record = INDEXES[name](json.loads((folder / "index.json").read_text()))
    (folder / "index.json").write_text(json.dumps(record))
    result = inspected(folder, decode=False)
    assert not result["good"]
    assert {each["check"] for each in result["wrong"]} & {"index", "rows", "shards"}
    assert "root:" not in json.dumps(result)


class Evil:
    def __reduce__(self) -> Any:
        return (Path("/tmp/evil-was-unpickled").touch, ())


def object_array() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Evil()], dtype=object), allow_pickle=True)
    return buffer.getvalue()


def header(text: str) -> bytes:
    data = text.encode()
    data += b" " * (-(len(data) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(data).to_bytes(2, "little") + data


ROWS: dict[str, bytes] = {
    "nothing": b"",
    "noise": b"noise" * 100,
    "objects": object_array(),
    "a pickle": pickle.dumps(Evil()),
    "numbers": header("{'descr': '<u8', 'fortran_order': False, 'shape': (8,), }") + bytes(64),
    "a giant shape": header("{'descr': '<u8', 'fortran_order': False, 'shape': (1000000000000,), }"),
    "a shape below zero": header("{'descr': '<u8', 'fortran_order': False, 'shape': (-1,), }"),
    "a header that calls": header("__import__('os').system('touch /tmp/evil-was-called')"),
    "a header in a header": header("{'descr': " + "[" * 2000 + "]" * 2000 + "}"),
    "an archive": b"PK\x03\x04" + bytes(100),
}


@pytest.mark.parametrize("name", ROWS)
def test_hostile_rows_are_told_and_never_unpickled(name, few, tmp_path, inspected):
    folder = few.write(tmp_path / "set")
    (folder / "index.npy").write_bytes(ROWS[name])
    result = inspected(folder, decode=False)
    assert {each["check"] for each in result["wrong"]} == {"rows"}
    assert result["looked"]["samples"] == len(few.samples)
    assert not Path("/tmp/evil-was-unpickled").exists()
    assert not Path("/tmp/evil-was-called").exists()


FIELDS = ["shard", "offset", "size", "images", "characters", "crc32", "key", "patient", "look"]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [0, 1, "most"])
def test_rows_that_lie_are_told(field, value, few: Set, tmp_path, inspected):
    folder = few.write(tmp_path / "set")
    rows, before = (np.load(folder / "index.npy") for _ in range(2))
    if rows[field].dtype.kind == "S":
        rows[field][5] = {0: b"", 1: b"\xff\xfe", "most": b"\xff" * 24}[value]
    else:
        most = np.iinfo(rows[field].dtype).max
        rows[field][5] = most if value == "most" else value
    from cxr_lightning.shards.index import fingerprint_of
    from cxr_lightning.shards.rows import digest_of

    np.save(folder / "index.npy", rows)
    record = json.loads((folder / "index.json").read_text())
    record["rows"]["sha256"] = digest_of(folder / "index.npy")
    record["fingerprint"] = fingerprint_of(record["shards"], record["rows"]["sha256"], None)
    (folder / "index.json").write_text(json.dumps(record))
    result = inspected(folder, decode=False)
    assert result["good"] == (np.array_equal(rows, before) or field == "look")


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_bytes_of_a_tar_may_change(data, good, tmp_path_factory):
    samples = next(iter(good.shards.values()))
    whole = bytearray(b"".join(each.block() for each in samples[:3]) + END)
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    path = tmp_path_factory.mktemp("mutated") / "a.tar"
    path.write_bytes(whole[:cut])
    look(path)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    record=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda each: (
            st.lists(each) | st.dictionaries(st.sampled_from(["schema", "views", "split", "conversation", "x"]), each)
        ),
    )
)
def test_any_json_may_be_a_record(record, good, tmp_path_factory):
    sample = Sample("train", good.samples[0].key, record, {"jpg": b"x"})
    path = tmp_path_factory.mktemp("records") / "a.tar"
    path.write_bytes(sample.block() + END)
    assert look(path).findings.number("error") >= 1


@settings(max_examples=60, deadline=None)
@given(st.binary())
def test_any_bytes_are_json_or_not(data):
    with contextlib.suppress(JsonError):
        parse(data)


def test_neither_index_nor_tars(tmp_path):
    with pytest.raises(ShardError, match="no tar"):
        open_set(str(tmp_path), Findings())


def test_errors_are_named():
    assert issubclass(WrongShardsError, ValueError)
