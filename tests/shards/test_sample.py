"""Samples as bytes: what goes in comes out, and nothing else is taken for a sample."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_lightning.shards.contract import SampleRecord, ShardError
from cxr_lightning.shards.sample import parse_sample, read_sample, sample_bytes
from cxr_lightning.shards.writer import Packed, write_shard

pytestmark = pytest.mark.quick

KEYS = st.from_regex(r"[a-z0-9_-]{1,40}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def record_of(**other: Any) -> SampleRecord:
    record: Any = {"schema": 1, "study": "s", "summary": "", **other}
    return record


@given(KEYS, TEXTS, st.binary(max_size=2000), st.one_of(st.none(), st.binary(max_size=600)))
def test_a_sample_survives_the_round_trip(key, text, image, lateral):
    images = {"jpg": image} | ({} if lateral is None else {"lateral.jpg": lateral})
    block = sample_bytes(key, record_of(summary=text), images)
    assert len(block) % 512 == 0
    sample = parse_sample(block)
    assert (sample.key, sample.record["summary"], sample.images) == (key, text, images)


@settings(max_examples=25)
@given(st.lists(st.tuples(TEXTS, st.binary(max_size=900)), min_size=1, max_size=9))
def test_a_shard_survives_the_round_trip(tmp_path_factory, contents):
    path = tmp_path_factory.mktemp("shards") / "train-000000.tar"
    samples = [
        Packed(f"k{n}", f"p{n}", len(text), 1, sample_bytes(f"k{n}", record_of(summary=text), {"png": image}))
        for n, (text, image) in enumerate(contents)
    ]
    shard = write_shard(path, "train", iter(samples))
    assert shard.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert shard.bytes == path.stat().st_size
    back = []
    with path.open("rb") as file:
        for offset, size, crc32 in shard.rows["train"][["offset", "size", "crc32"]].tolist():
            sample = read_sample(file, offset, size)
            file.seek(offset)
            assert zlib.crc32(file.read(size)) == crc32
            back.append((sample.record["summary"], sample.images["png"]))
    with tarfile.open(path) as tar:
        assert len(tar.getnames()) == 2 * len(contents)
        assert {(member.mtime, member.uid, member.gid) for member in tar} == {(0, 0, 0)}
    assert back == contents
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@given(st.binary(max_size=2048))
def test_noise_is_refused(data):
    with pytest.raises(ShardError):
        parse_sample(data)


@given(st.integers(0, 511), st.integers(0, 7))
def test_a_damaged_header_is_refused_or_harmless(at, bit):
    block = bytearray(sample_bytes("key", record_of(), {"jpg": b"x"}))
    block[at] ^= 1 << bit
    try:
        sample = parse_sample(bytes(block))
    except ShardError:
        return
    assert sample.images == {"jpg": b"x"}


def test_bytes_of_a_neighbour_are_refused():
    one, two = (sample_bytes(key, record_of(), {"jpg": b"x" * 700}) for key in ("one", "two"))
    file = io.BytesIO(one + two)
    assert read_sample(file, len(one), len(two)).key == "two"
    for offset, size in ((0, len(one) + len(two)), (512, len(one)), (0, 1024), (0, len(one) - 512)):
        with pytest.raises(ShardError):
            read_sample(file, offset, size)
    with pytest.raises(ShardError, match="the file ends"):
        read_sample(file, len(one), 4 * len(two))


def test_a_later_schema_is_refused():
    with pytest.raises(ShardError, match="schema 2"):
        parse_sample(sample_bytes("key", record_of(schema=2), {"jpg": b""}))
