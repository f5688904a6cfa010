"""Whatever is wrong with a sample, the rest of its batch is what it would have been, and the sample is named."""

from __future__ import annotations

import io
import json
import zlib
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cxr_lightning.model.compose import load_processor
from cxr_lightning.model.source import ModelSource
from cxr_lightning.shards.contract import ShardError
from cxr_lightning.shards.index import read_index, write_index
from cxr_lightning.shards.rows import Row, ShardRows, rows_of
from cxr_lightning.shards.sample import RawSample, sample_bytes
from cxr_lightning.shards.storage import StorageError
from cxr_lightning.stream.encode import Encoder
from cxr_lightning.stream.lengths import fit_lines
from cxr_lightning.stream.loader import Fetch, Place, ValidateBatches
from cxr_lightning.stream.reader import ShardReader
from cxr_lightning.stream.skipped import allowed, reason


@pytest.fixture(scope="module")
def encoder(parts):
    processor = load_processor(ModelSource(vision=parts["siglip"], language=parts["language"]))
    return Encoder(processor, "summary", 300)


@pytest.fixture(scope="module")
def good(shards):
    reader = ShardReader(read_index(shards).split("train"))
    return [reader[number] for number in range(6)]


def packed(folder: Path, samples: list[RawSample | bytes]) -> ShardReader:
    """Makes a shard of samples, or of bytes in the place of one; the index has their true checksums."""
    folder.mkdir(parents=True)
    rows, tar = [], b""
    for number, sample in enumerate(samples):
        whole = isinstance(sample, RawSample)
        block = sample_bytes(f"s{number}", sample.record, sample.images) if whole else sample
        rows.append(Row(f"s{number}".encode(), b"p", 0, len(tar), len(block), 9, 1, zlib.crc32(block)))
        tar += block
    (folder / "a.tar").write_bytes(tar)
    write_index(
        folder, [ShardRows("a.tar", len(tar), "0" * 64, {"train": rows_of(rows)})], {"size": 64, "format": "jpg"}
    )
    return ShardReader(read_index(folder).split("train"))


def changed(sample: RawSample, images: dict[str, bytes] | None = None, **record: object) -> RawSample:
    return RawSample(sample.key, {**sample.record, **record}, sample.images if images is None else images)


def without(sample: RawSample, name: str) -> RawSample:
    return RawSample(sample.key, {key: value for key, value in sample.record.items() if key != name}, sample.images)


def asked(question: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": "x"}]


WRONG = {
    "image cannot be decoded": lambda sample: changed(sample, {"jpg": b"no image"}),
    "image cannot be decoded ": lambda sample: changed(sample, {"jpg": next(iter(sample.images.values()))[:300]}),
    "image cannot be decoded  ": lambda sample: changed(sample, {"png": b"\x89PNG\r\n\x1a\n" + b"\0" * 60}),
    "prompt and image alone fill": lambda sample: changed(
        sample, summary="", conversation=asked("<image>" + "long " * 400)
    ),
    "no sample of the contract": lambda sample: changed(
        sample, summary="", conversation=asked("<image>" * 9)
    ),
    "no sample of the contract ": lambda sample: changed(sample, schema=77),
    "no sample of the contract  ": lambda sample: b"\0" * 1024,
    "record is malformed": lambda sample: without(sample, "summary"),
    "record is malformed ": lambda sample: changed(sample, summary="", conversation=[{"role": "user"}]),
    "record is malformed  ": lambda sample: changed(sample, summary=7),
}  # fmt: skip


@pytest.mark.parametrize("why", WRONG)
@pytest.mark.parametrize("layout", ["packed", "padded"])
def test_a_bad_sample_is_left_out_and_named(tmp_path, encoder, good, layout, why):
    reader = packed(tmp_path / "shards", [good[0], WRONG[why](good[1]), good[2]])
    batch = Fetch(reader, encoder, layout)([0, 1, 2])
    rest = Fetch(reader, encoder, layout)([0, 2])
    (skipped,) = batch.pop("skipped")
    assert (skipped.split, skipped.number, skipped.key) == ("train", 1, "s1")
    assert skipped.shard.endswith("a.tar")
    assert skipped.reason.startswith(why.strip())
    assert rest.pop("skipped") == []
    assert all(torch.equal(a, b) for a, b in zip(tensors(batch), tensors(rest), strict=True))
    assert {name: batch[name] for name in ("tokens", "samples", "supervised_in_step", "keys")} == {
        name: rest[name] for name in ("tokens", "samples", "supervised_in_step", "keys")
    }


def tensors(batch):
    return [value for value in (*batch["inputs"].values(), batch["targets_RL"]) if isinstance(value, torch.Tensor)]


def test_a_batch_without_any_good_sample_computes_a_stand_in(tmp_path, encoder, good):
    bad = changed(good[1], {"jpg": b"no image"})
    reader = packed(tmp_path / "shards", [bad, bad, good[2]])
    batch = Fetch(reader, encoder, "packed")([0, 1])
    assert len(batch["skipped"]) == 2
    assert batch["samples"] == batch["supervised_in_step"] == batch["tokens"] == 0
    assert (batch["targets_RL"] == -100).all()
    assert batch["inputs"]["pixel_values"].shape[0] == 1
    validation = ValidateBatches(Fetch(reader, encoder, "packed"), 3, 2, Place(1, 2))[0]
    assert validation["keys"] == ["s2"]


def test_a_set_of_which_nothing_can_be_used_is_an_error(tmp_path, encoder, good):
    reader = packed(tmp_path / "shards", [changed(good[1], {"jpg": b"no image"})] * 3)
    with pytest.raises(ShardError, match=r"none of 3 samples tried can be used.*cannot be decoded"):
        fit_lines(reader.samples, lambda number: encoder(reader[number]).extent)


def test_no_words_of_a_report_are_in_a_reason(tmp_path, encoder, good):
    secret = "Mrs Example of 5 Bank Street"
    wrong = [changed(good[0], summary=[secret]), changed(good[0], summary="", conversation=secret), good[1]]
    batch = Fetch(packed(tmp_path / "shards", wrong), encoder, "packed")([0, 1, 2])
    assert len(batch["skipped"]) == 2
    assert not any(word in json.dumps(batch["skipped"]) for word in ("Example", "Bank", "Street"))


def test_a_storage_that_fails_for_all_is_not_the_samples_fault(tmp_path, encoder, good):
    class Broken(ShardReader):
        def __getitem__(self, number):
            if number:
                raise StorageError("s3://films/a.tar", "cannot be read after 6 attempts", unreachable=True)
            return super().__getitem__(number)

    reader = Broken(packed(tmp_path / "shards", [good[0]] * 30).samples)
    fetch = Fetch(reader, encoder, "packed")
    assert len(fetch([0, 1, 2, 3, 0, 4, 5])["skipped"]) == 5
    with pytest.raises(StorageError):
        fetch(range(30))


def test_a_storage_of_features_that_fails_for_all_is_not_the_samples_fault(tmp_path, encoder, good):
    def broken(number, images):
        raise StorageError("s3://features/a.npy", "cannot be read after 6 attempts", unreachable=True)

    reader = packed(tmp_path / "shards", [good[0]] * 30)
    fetch = Fetch(reader, encoder, "packed", broken)
    assert len(fetch(range(7))["skipped"]) == 7
    with pytest.raises(StorageError):
        fetch([7])


@pytest.mark.quick
@given(st.integers(1, 10**7), st.floats(0, 1, exclude_max=True))
@settings(deadline=None)
def test_the_bound_is_a_share_and_never_all(samples, share):
    most = allowed(samples, share)
    assert 0 <= most < samples
    assert most == 0 if share == 0 else most >= min(1, samples - 1)
    assert most <= max(1, samples * share)


@pytest.mark.quick
def test_reasons_are_short_and_fixed():
    assert reason(StorageError("s3://a/b?signature=secret", "gone", missing=True)) == "shard missing"
    assert reason(StorageError("s3://a/b?signature=secret", "403")) == "shard cannot be read"
    assert reason(KeyError("Mrs Example")) == "record is malformed (KeyError)"
    assert reason(SyntaxError("broken PNG file")) == "image cannot be decoded (SyntaxError)"


def test_missing_shards_leave_the_stand_in(tmp_path, encoder, good):
    """Validation reads in order, and the first shard may be the one that is gone."""

    class Lost(ShardReader):
        def __getitem__(self, number):
            raise StorageError("/shards/validate-000000.tar", "no such file or object", missing=True)

    batch = Fetch(Lost(packed(tmp_path / "shards", [good[0]] * 3).samples), encoder, "packed")([0, 1])
    assert len(batch["skipped"]) == 2
    assert batch["supervised_in_step"] == 0


def test_a_view_that_cannot_be_resized_is_skipped_and_not_its_batch(tmp_path, encoder, good, monkeypatch):
    resize = encoder.pixels.resize

    def fussy(views):
        if any(view.shape[-1] == 33 for view in views):
            raise ValueError("not this one")
        return resize(views)

    monkeypatch.setattr(encoder.pixels, "resize", fussy)
    image = io.BytesIO()
    Image.new("L", (33, 40), 90).save(image, "PNG")
    odd = changed(good[0], {"png": image.getvalue()})
    batch = Fetch(packed(tmp_path / "shards", [good[0], odd, good[1]]), encoder, "packed")([0, 1, 2])
    assert [each.number for each in batch["skipped"]] == [1]
    assert batch["samples"] == 2
    alone = Fetch(packed(tmp_path / "first", [odd, good[1]]), encoder, "packed")([0])  # it is no stand-in for itself
    assert [each.number for each in alone["skipped"]] == [0]
    assert alone["samples"] == 0


def test_an_answer_with_the_models_own_image_token_is_skipped(tmp_path, encoder, good):
    wrong = changed(good[0], summary=f"Clear {encoder.processor.image_token} lungs.")
    batch = Fetch(packed(tmp_path / "shards", [wrong, good[1]]), encoder, "packed")([0, 1])
    assert [each.number for each in batch["skipped"]] == [0]
