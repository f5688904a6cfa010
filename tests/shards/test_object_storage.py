"""Shards in a bucket of a real S3 server that cuts one connection in ten: indexed, opened, checked and read."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cxr_lightning.shards import storage
from cxr_lightning.shards.contract import ShardError
from cxr_lightning.shards.index import read_index
from cxr_lightning.shards.indexing import index
from cxr_lightning.shards.packing import pack
from cxr_lightning.shards.storage import StorageError, read_range
from cxr_lightning.shards.verification import verify
from tests.objects import BUCKET, s3

from .conftest import DATA
from .tables import table_of
from .test_storage import HASTY, HOURS, exercise


@pytest.fixture
def bucket(folder, monkeypatch):
    with s3(monkeypatch, folder, every=10) as proxy:
        yield proxy


def test_object_storage_that_cuts_one_connection_in_ten(bucket):
    deadline = time.monotonic() + 60
    while not bucket.cut and time.monotonic() < deadline:
        exercise(f"s3://{BUCKET}/files/a.tar")
        storage._FILES.clear()
    assert bucket.cut


def test_objects_that_are_not_there_fail_at_once(bucket):
    for location in (f"s3://{BUCKET}/files/b.tar", "s3://no-such-bucket-here/a.tar"):
        with pytest.raises(StorageError, match="no such file or object") as caught:
            read_range(location, 0, 10, HOURS)
        assert caught.value.missing


def test_threads_share_a_server_s_connections(bucket):
    def read(start: int) -> bool:
        return read_range(f"s3://{BUCKET}/files/a.tar", start, 1000, HASTY) == DATA[start : start + 1000]

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(read, range(0, 200_000, 1000)))
    assert len(storage._FILES) <= 2


def _read_in_child(location: str, answer: multiprocessing.SimpleQueue) -> None:
    answer.put(read_range(location, 7, 7, HASTY))


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_a_forked_worker_reads_too(bucket):
    location = f"s3://{BUCKET}/files/a.tar"
    assert read_range(location, 7, 7, HASTY) == DATA[7:14]
    context = multiprocessing.get_context("fork")
    answer = context.SimpleQueue()
    worker = context.Process(target=_read_in_child, args=(location, answer), daemon=True)
    worker.start()
    worker.join(30)
    assert worker.exitcode == 0
    assert answer.get() == DATA[7:14]
    assert {process for process, _ in storage._FILES} == {os.getpid()}


@pytest.fixture
def packed(tmp_path, monkeypatch):
    pack("table", table_of(tmp_path / "in", 30), out=tmp_path / "shards", samples_per_shard=5)
    with s3(monkeypatch, tmp_path / "shards", every=10):
        yield tmp_path / "shards"


URL = f"s3://{BUCKET}/shards"


@pytest.mark.parametrize("cached", [True, False])
def test_an_index_in_a_bucket_is_that_on_disk(packed, tmp_path, cached):
    cache = tmp_path / "cache" if cached else None
    there, here = read_index(URL, cache), read_index(packed)
    verify(there)
    assert there.fingerprint == here.fingerprint
    assert there.locations[0] == f"{URL}/{here.shards[0]['name']}"
    for name in ("train", "test"):
        assert there.split(name).read(1) == here.split(name).read(1)
    if cache:
        again = read_index(URL, cache)
        assert isinstance(again.rows.base, np.memmap)
        assert [path.name for path in cache.iterdir()] == [f"{here.rows_sha256}.npy"]


def test_rows_of_another_index_in_a_bucket_are_refused(packed, tmp_path):
    record = json.loads((packed / "index.json").read_text())
    with (packed / "index.npy").open("ab") as file:
        file.write(b"x")
    import boto3

    boto3.client("s3").upload_file(str(packed / "index.npy"), BUCKET, "shards/index.npy")
    with pytest.raises(ShardError, match="not the file"):
        read_index(URL, tmp_path / "cache")
    assert record["rows"]["name"] == "index.npy"


def test_a_missing_shard_in_a_bucket_is_named(packed):
    import boto3

    name = read_index(packed).shards[1]["name"]
    boto3.client("s3").delete_object(Bucket=BUCKET, Key=f"shards/{name}")
    with pytest.raises(ShardError, match=rf"{name}: missing"):
        verify(read_index(URL), digests=False)


@pytest.mark.parametrize("words", [[f"{URL}/"], [f"{URL}/*.tar"]])
def test_tars_in_a_bucket_are_indexed_where_they_lie(packed, tmp_path, words):
    index(*words, out=tmp_path / "index", workers=1)
    made = read_index(tmp_path / "index")
    verify(made)
    assert made.fingerprint == read_index(packed).fingerprint
    assert (tmp_path / "index" / "index.npy").read_bytes() == (packed / "index.npy").read_bytes()
    assert all(location.startswith(URL) for location in made.locations)
    assert made.split("train").read(0).record["summary"]
