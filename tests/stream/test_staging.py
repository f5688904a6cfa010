"""Staged shards are the indexed ones to the bit, copied once a node, whole or not at all, and for their owner alone."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from cxr_lightning.shards.index import read_index
from cxr_lightning.stream import staging as module
from cxr_lightning.stream.cache import CacheError
from cxr_lightning.stream.datamodule import ShardDataModule
from cxr_lightning.stream.reader import ShardReader
from cxr_lightning.stream.staging import Source, Staging, StagingError, sources_of

pytestmark = pytest.mark.quick


@pytest.fixture
def origin(shards, tmp_path) -> Path:
    """The shards, to be damaged and taken away."""
    return shutil.copytree(shards, tmp_path / "origin")


def quiet() -> None: ...


def sources(origin: Path) -> list[Source]:
    index = read_index(origin)
    return sources_of(index, {shard["sha256"] for shard in index.shards})


def size(sources: list[Source]) -> int:
    return sum(source.shard["bytes"] for source in sources)


def fill(folder: Path, wanted: list[Source], told: Callable[[int], None] = lambda _: None) -> int:
    return Staging(str(folder)).fill(wanted, told, quiet)


def copies(folder: Path) -> list[Path]:
    return sorted(Staging(str(folder)).folder.glob("*.tar"))


def test_training_reads_the_same_samples_from_copies_of_what_it_needs(origin, shards, tmp_path):
    data = ShardDataModule(str(origin), global_batch=8, validate_samples=1, stage_to=str(tmp_path / "scratch"))
    assert data.staging is not None
    told: list[int] = []
    assert data.staging.fill(data.sources(), told.append, quiet) == sum(told)
    data.read_staged()
    training = [shard for shard in read_index(origin).shards if "train" in shard["samples"]]
    assert len(data.sources()) == len(training) + 1, "all of training, of validation what is looked at, nothing of test"
    for path in origin.glob("*.tar"):
        path.unlink()
    there, here = ShardReader(read_index(shards).split("train")), data.reader("train")
    assert len(here) == len(there) > 0
    for number in range(len(here)):
        assert here[number] == there[number]
    assert data.reader("validate")[0] == ShardReader(read_index(shards).split("validate"))[0]
    assert data.sets.fingerprint == read_index(shards).fingerprint
    assert data.index.root == str(origin), "what a run says of its data stays"
    assert data.cache is None


def test_what_is_there_is_not_copied_again_and_is_for_its_owner_alone(origin, tmp_path):
    wanted = sources(origin)
    assert fill(tmp_path / "scratch", wanted) == size(wanted)
    assert fill(tmp_path / "scratch", wanted) == 0
    made = Staging(str(tmp_path / "scratch")).folder
    assert {stat.S_IMODE(path.stat().st_mode) for path in (made, made.parent, made.parent.parent)} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in made.iterdir()} == {0o600}
    made.chmod(0o777)
    with pytest.raises(CacheError, match=r"--data\.stage_to"):
        fill(tmp_path / "scratch", wanted)


def test_swept_and_cut_copies_are_made_again(origin, tmp_path):
    wanted, staging = sources(origin), Staging(str(tmp_path / "scratch"))
    fill(tmp_path / "scratch", wanted)
    first, second, *_ = copies(tmp_path / "scratch")
    whole = second.read_bytes()
    first.unlink()
    second.write_bytes(whole[:-1])
    with pytest.raises(StagingError, match=f"2 of {len(wanted)} shards .* not seen"):
        staging.nearer(read_index(origin), wanted)
    assert fill(tmp_path / "scratch", wanted) == len(whole) + first.stat().st_size
    assert second.read_bytes() == whole
    staging.nearer(read_index(origin), wanted)


def test_shards_of_other_data_under_the_same_names_are_not_taken(origin, phantoms, tmp_path):
    from cxr_lightning.shards.packing import pack

    other = tmp_path / "other"
    pack("table", phantoms, out=other, size=32, samples_per_shard=20, workers=1)
    assert {path.name for path in other.iterdir()} == {path.name for path in origin.iterdir()}
    fill(tmp_path / "scratch", sources(origin))
    near = Staging(str(tmp_path / "scratch"))
    with pytest.raises(StagingError, match="not seen"):
        near.nearer(read_index(other), sources(other))
    assert fill(tmp_path / "scratch", sources(other)) == size(sources(other))
    read = ShardReader(near.nearer(read_index(other), sources(other)).split("train"))
    assert read[0] == ShardReader(read_index(other).split("train"))[0]


def _fill(folder: Path, origin: Path, log: Path) -> None:
    def told(count: int) -> None:
        with log.open("a") as file:
            file.write(f"{count}\n")

    fill(folder, sources(origin), told)


def test_processes_of_a_node_share_the_work(origin, tmp_path):
    context, log = multiprocessing.get_context("fork"), tmp_path / "log"
    jobs = [context.Process(target=_fill, args=(tmp_path / "scratch", origin, log)) for _ in range(4)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0] * 4
    assert sum(map(int, log.read_text().split())) == size(sources(origin))


def _die(folder: Path, origin: Path) -> None:
    module._AT_ONCE = 1
    count = 0

    def told(_: int) -> None:
        nonlocal count
        count += 1
        if count == 3:
            os._exit(9)

    fill(folder, sources(origin), told)


def test_a_killed_process_leaves_what_is_whole_to_the_next(origin, tmp_path):
    process = multiprocessing.get_context("fork").Process(target=_die, args=(tmp_path / "scratch", origin))
    process.start()
    process.join()
    assert process.exitcode == 9
    kept, wanted = copies(tmp_path / "scratch"), sources(origin)
    assert len(kept) == 2
    assert list(kept[0].parent.glob("*.partial"))
    assert fill(tmp_path / "scratch", wanted) == size(wanted) - sum(path.stat().st_size for path in kept)
    assert not list(kept[0].parent.glob("*.partial"))


def test_whoever_waits_says_so(origin, tmp_path):
    fill(tmp_path / "scratch", sources(origin))
    with module._only_one(Staging(str(tmp_path / "scratch")).folder / "lock", quiet):
        waiter = multiprocessing.get_context("fork").Process(
            target=lambda: Staging(str(tmp_path / "scratch")).fill(sources(origin), lambda _: None, lambda: os._exit(7))
        )
        waiter.start()
        waiter.join()
    assert waiter.exitcode == 7


def test_no_room_is_known_before_anything_is_copied(origin, tmp_path, monkeypatch):
    fill(tmp_path / "scratch", sources(origin)[:1])
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    needs = f"{size(sources(origin)[1:]) / 1e9:.1f} GB"
    with pytest.raises(StagingError, match=rf"needs {needs} in .* 0.0 GB are free.*Remedy: give --data.stage_to"):
        fill(tmp_path / "scratch", sources(origin))
    with pytest.raises(StagingError, match="are of other shards"):
        fill(tmp_path / "scratch", sources(origin)[1:])
    assert len(copies(tmp_path / "scratch")) == 1


def test_a_disk_that_fills_up_meanwhile_is_named(origin, tmp_path, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(StagingError, match="No space left on device while shards were staged"):
        fill(tmp_path / "scratch", sources(origin))
    assert not copies(tmp_path / "scratch")


def test_a_shard_that_is_damaged_cut_off_or_missing_stops_it(origin, tmp_path):
    wanted = sources(origin)
    path = Path(wanted[1].location)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    told: list[int] = []
    with pytest.raises(StagingError, match=f"{path.name}.*SHA-256 differs.*Remedy: copy the shard again"):
        fill(tmp_path / "scratch", wanted[1:2], told.append)
    assert sum(told) == 0, "what was thrown away is not shown as done"
    path.write_bytes(data[:-1])
    with pytest.raises(StagingError, match="ends after"):
        fill(tmp_path / "scratch", wanted)
    path.unlink()
    with pytest.raises(StagingError, match="no such file"):
        fill(tmp_path / "scratch", wanted)
    assert path.name not in " ".join(map(str, copies(tmp_path / "scratch")))
    assert not list(Staging(str(tmp_path / "scratch")).folder.glob(f"*{path.name}"))


def test_a_flipped_bit_on_the_way_is_read_once_more(origin, tmp_path, monkeypatch):
    pieces, calls = module.storage.pieces, []

    def flipping(location, length):
        calls.append(location)
        for piece in pieces(location, length):
            yield piece[:-1] + bytes([piece[-1] ^ (len(calls) == 1)])

    monkeypatch.setattr(module.storage, "pieces", flipping)
    assert fill(tmp_path / "scratch", sources(origin)[:1]) > 0
    assert len(calls) == 2


def test_each_node_reads_the_folder_from_its_own_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("NODE_SCRATCH", str(tmp_path))
    assert Staging("$NODE_SCRATCH/shards").place == tmp_path / "shards"
    for wrong in ("$NOT_SET_HERE/shards", "s3://bucket/shards"):
        with pytest.raises(StagingError, match=r"Remedy: give --data\.stage_to"):
            Staging(wrong)


def test_names_of_urls_hide_what_signs_them(tmp_path):
    shard = {"name": "https://host/a/train-0.tar?X-Signature=secret", "bytes": 1, "sha256": "0" * 64, "samples": {}}
    assert Staging(str(tmp_path)).path(shard).name == f"{'0' * 32}-train-0.tar"
