"""Features are read back by sample number as they were written, or not at all."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.shards.index import read_index
from cxr_lightning.stream.features import FeatureFolder, FeatureRecordError, files_of
from cxr_lightning.stream.records import FeaturesError, Form, RecordWriter, state, whole
from cxr_lightning.stream.samples import Samples
from cxr_lightning.stream.sets import ShardSets
from cxr_lightning.stream.skipped import reason

pytestmark = pytest.mark.quick
FORM = Form((3, 5), torch.bfloat16)
TOWER = {"weights": "abc", "image_processor": {"size": {"height": 32}}, "decode": "exact"}


def features_of(number: int, view: int) -> torch.Tensor:
    """Returns features that say whose they are."""
    return torch.full(FORM.shape, number + view / 8, dtype=FORM.dtype)


def filled(folder: Path, *samples: Samples) -> FeatureFolder:
    """Writes the features of all images of splits."""
    kept = FeatureFolder(str(folder))
    kept.describe(TOWER, FORM, {})
    for split in samples:
        for file in files_of(split):
            with kept.writing(file) as writer:
                for number in file.numbers:
                    for view in range(int(file.split.images[number - file.before])):
                        writer.write(features_of(number, view))
    return kept


@pytest.fixture
def samples(shards) -> Samples:
    return ShardSets.open(str(shards)).samples("train")


@given(
    st.sampled_from([torch.float32, torch.float16, torch.bfloat16]), st.lists(st.integers(1, 4), max_size=3), st.data()
)
def test_records_keep_every_bit_and_are_a_plain_npy(dtype, shape, data):
    form = Form(tuple(shape), dtype)
    bits = {torch.float32: torch.int32, torch.float16: torch.int16, torch.bfloat16: torch.int16}[dtype]
    # Any bits at all: infinities and numbers that are none come back too.
    values = data.draw(
        st.lists(st.integers(0, 255), min_size=3 * form.record.itemsize, max_size=3 * form.record.itemsize)
    )
    count = int(np.prod(shape, dtype=int))
    raw = torch.tensor(values, dtype=torch.uint8)[: 3 * count * dtype.itemsize].view(bits).view(3, *shape)
    file = io.BytesIO()
    writer = RecordWriter(file, form, 3)
    for each in raw.view(dtype):
        writer.write(each)
    assert file.tell() == form.size(3)
    file.seek(0)
    records = np.load(file, allow_pickle=False)
    assert torch.equal(form.tensor(records).view(bits), raw)
    assert [state(record) for record in records] == ["good"] * 3


@given(st.integers(0, 33), st.integers(1, 255))
def test_a_changed_byte_is_damage(place, change):
    file = io.BytesIO()
    RecordWriter(file, FORM, 1).write(features_of(7, 1))
    data = bytearray(file.getvalue())
    data[len(FORM.header(1)) + place] ^= change
    (record,) = np.load(io.BytesIO(data), allow_pickle=False)
    assert state(record) == "damaged"


def test_features_are_found_by_number(samples, shards, tmp_path):
    folder = filled(tmp_path / "features", samples)
    read = folder.reader(samples)
    for number in np.random.default_rng(0).permutation(len(samples)).tolist():
        images = int(samples.splits[0].images[number])
        found = read(number, images)
        assert torch.equal(found, torch.stack([features_of(number, view) for view in range(images)]))
        assert torch.equal(read(number, 1), found[:1])
    assert set(samples.splits[0].images.tolist()) == {1, 2}
    twice = ShardSets.open([str(shards), str(shutil.copytree(shards, tmp_path / "moved"))]).samples("train")
    assert folder.complete(files_of(twice)) != []  # the same shards elsewhere have the same features
    read = folder.reader(twice)
    assert torch.equal(read(len(samples) + 3, 1)[0], features_of(3, 0))


def test_files_are_those_that_validation_needs(shards):
    sets = ShardSets.open([str(shards), str(shards)])
    validated, train = sets.samples("validate"), sets.samples("train")
    assert sum(file.records for file in files_of(train)) == int(2 * sets.indexes[0].split("train").images.sum())
    assert len(list(files_of(validated, 1))) == 1
    assert list(files_of(validated, 0)) == []
    assert [file.numbers.start for file in files_of(validated)] == [0, len(validated) // 2]


def test_another_choice_of_a_shards_samples_has_another_name(samples):
    file = next(files_of(samples))
    rows = samples.splits[0].rows.copy()
    rows["offset"][1] += 512
    changed = Samples(
        (type(samples.splits[0])("train", samples.splits[0].locations, rows, samples.splits[0].shard_lengths),),
        samples.digests,
    )
    assert next(files_of(changed)).name != file.name
    assert file.name.startswith(f"train-{samples.digests[0][0][:32]}-")


def test_damaged_blank_and_lost_records_are_bad_samples(samples, tmp_path):
    folder = filled(tmp_path / "features", samples)
    file = next(files_of(samples))
    path = tmp_path / "features" / file.name
    data = bytearray(path.read_bytes())
    begin, size = len(FORM.header(file.records)), FORM.record.itemsize
    data[begin + 6] ^= 1
    data[begin + 2 * size : begin + 4 * size] = bytes(2 * size)
    path.write_bytes(data)
    assert (folder.damaged(file), folder.blanks(file)) == (True, 2)
    read = folder.reader(samples)
    with pytest.raises(FeatureRecordError, match=r"damaged.*cxr features") as damage:
        read(0, 1)
    assert reason(damage.value) == "its features are damaged or blank"
    blank = next(number for number in file.numbers if file.place(number) >= 2)
    with pytest.raises(FeatureRecordError, match="blank"):
        read(blank, 1)
    with pytest.raises(FeatureRecordError, match="index lists"):
        read(5, 9)
    path.write_bytes(data[:-1])
    assert file.name not in {each.name for each in folder.complete(files_of(samples))}
    path.unlink()
    with pytest.raises(FeatureRecordError, match="no such file"):
        read(0, 1)


def interrupted(writer: RecordWriter, images: int) -> None:
    for _ in range(images):
        writer.write(features_of(0, 0))
    if not images:
        raise KeyboardInterrupt


def test_who_is_killed_leaves_nothing_that_looks_whole(samples, tmp_path):
    folder = filled(tmp_path / "features")
    file = next(files_of(samples))
    for images, error in ((file.records - 1, AssertionError), (0, KeyboardInterrupt)):
        with pytest.raises(error), folder.writing(file) as writer:
            interrupted(writer, images)
    assert [path.name for path in (tmp_path / "features").iterdir()] == ["features.json"]
    (tmp_path / "features" / f"{file.name}.host-1.partial").write_bytes(b"half")  # of a process that is gone
    filled(tmp_path / "features", samples)
    assert not list((tmp_path / "features").glob("*.partial"))


def test_two_processes_may_write_the_same(tmp_path):
    with whole(tmp_path / "file") as first:
        first.write(b"same")
        (tmp_path / "file").write_bytes(b"same")
        next(tmp_path.glob("*.partial")).unlink()
    assert (tmp_path / "file").read_bytes() == b"same"


def test_features_of_another_tower_are_refused(tmp_path):
    folder = filled(tmp_path / "features")
    folder.require(TOWER)
    other = {**TOWER, "weights": "xyz", "image_processor": {"size": {"height": 64}}}
    with pytest.raises(FeaturesError, match=r"size.height: 32 there, 64 now\n  weights: abc there, xyz now") as error:
        folder.require(other)
    assert "--data.features" in str(error.value)


def test_folders_that_are_none(tmp_path):
    folder = FeatureFolder(str(tmp_path / "gone"))
    assert not folder.begun
    with pytest.raises(FeaturesError, match="cxr features"):
        _ = folder.form
    for text, told in (("{", "not readable"), ('{"schema": 9}', "schema 9"), ("[]", "not readable")):
        (tmp_path / "features.json").write_text(text)
        with pytest.raises(FeaturesError, match=told):
            _ = FeatureFolder(str(tmp_path)).begun
    with pytest.raises(FeaturesError, match="bfloat16"):
        Form((1,), torch.int8)


def test_features_are_read_from_remote_storage(samples, tmp_path):
    filled(tmp_path / "features", samples)
    files = fsspec.filesystem("memory")
    for path in (tmp_path / "features").iterdir():
        files.pipe(f"/features/{path.name}", path.read_bytes())
    remote = FeatureFolder("memory://features")
    assert remote.begun
    assert remote.remote
    assert len(remote.complete(files_of(samples))) == len(list(files_of(samples)))
    assert torch.equal(remote.reader(samples)(11, 1)[0], features_of(11, 0))
    files.rm("/features", recursive=True)
    assert not FeatureFolder("memory://features").begun


def test_a_split_of_one_set_is_enough(shards):
    assert sum(file.records for file in files_of(Samples.of(read_index(shards).split("train")))) > 0
