"""Each thing that can be wrong is planted alone in a good set, and is found by its check, with shard and key."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cxr_lightning.shards.inspection.checks import CHECKS
from cxr_lightning.shards.inspection.sample import is_hash
from cxr_lightning.shards.packing import pack
from tests.shards.inspection.planting import Sample, Set, bomb, png
from tests.shards.tables import picture, row, table_of, write_table

pytestmark = pytest.mark.quick
Inspected = Callable[..., dict[str, Any]]
OTHER_KEY = "0123456789abcdef01234567"


def pillow(data: bytes, change: Callable[[Image.Image], Image.Image], format: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        change(image).save(buffer, format, **options)
    return buffer.getvalue()


def found(result: dict[str, Any], severity: str = "error") -> set[tuple[str, str, str]]:
    return {(each["check"], each["shard"], each["key"]) for each in result["wrong"] if each["severity"] == severity}


def test_a_good_set_passes(good, tmp_path, inspected):
    result = inspected(good.write(tmp_path / "set"), strict=True)
    assert result["good"]
    assert result["errors"] == result["warnings"] == 0
    assert result["wrong"] == []
    assert result["looked"]["samples"] == result["looked"]["listed"] == 60
    assert [each["name"] for each in result["checks"]] == list(CHECKS)
    assert all(each["looked"] for each in result["checks"])


def test_what_pack_writes_passes(shards, inspected):
    assert inspected(shards, strict=True)["good"]


def test_what_pack_writes_in_parts_passes(tmp_path, inspected):
    table = table_of(tmp_path / "table", studies=24)
    for part in ("1/3", "0/3", "2/3"):
        pack("table", table, out=tmp_path / "out", samples_per_shard=5, part=part, workers=1)
    result = inspected(tmp_path / "out")
    assert result["good"]
    assert result["set"]["shards"] >= 5
    assert result["looked"]["samples"] == 24


def shared(root: Path) -> Path:
    """A table: 2 and 5 share a lateral, 7 has 1's lateral for its frontal, both of 9's are one film, 10's is plain."""
    other = {2: "shared", 5: "shared", 1: "of-1", 9: "again"}
    rows = [row(n, lateral=f"images/{other[n]}.png" if n in other else "", patient_id=f"p{n}") for n in range(120)]
    rows[7]["image"] = "images/of-1.png"
    (root / "images").mkdir(parents=True)
    picture(500).save(root / "images" / "shared.png")
    picture(501).save(root / "images" / "of-1.png")
    Image.new("L", (48, 40), 7).save(root / "images" / "010.png")
    return write_table(root, rows)


def test_what_pack_writes_of_studies_that_share_films_passes(tmp_path, inspected):
    pack("table", shared(tmp_path / "table"), out=tmp_path / "out", workers=1)
    result = inspected(tmp_path / "out")
    assert result["errors"] == 0
    assert {each["check"] for each in result["wrong"]} <= {"duplicates"}  # a warning: both films of 9 are one
    assert result["looked"]["samples"] == 117  # without one of 2 and 5, one of 1 and 7, and the plain film of 10


def test_what_was_kept_on_purpose_has_its_remedy(tmp_path, inspected):
    pack("table", shared(tmp_path / "table"), out=tmp_path / "out", duplicates="keep", workers=1)
    result = inspected(tmp_path / "out")
    assert {check for check, _, _ in found(result)} == {"duplicates"}
    assert result["errors"] == 2
    assert "without --duplicates keep" in result["raised"]
    assert inspected(tmp_path / "out", warn="duplicates")["good"]


# --- one sample is changed, and the index agrees with it


def says(sample: Sample, summary: str) -> None:
    sample.record["summary"] = summary
    sample.record["conversation"][-1]["content"] = summary


def no_image(sample: Sample) -> None:
    del sample.images["jpg"]


def one_image_more(sample: Sample) -> None:
    sample.images["other.jpg"] = png(20, 20)


def no_text(sample: Sample) -> None:
    says(sample, "")


def schema_2(sample: Sample) -> None:
    sample.record["schema"] = 2


def cut_jpeg(sample: Sample) -> None:
    sample.images["jpg"] = sample.images["jpg"][: len(sample.images["jpg"]) // 2]


def noise_for_jpeg(sample: Sample) -> None:
    sample.images["jpg"] = bytes(range(256)) * 8


def a_bomb(sample: Sample) -> None:
    sample.images = {"png": bomb(60_000)}
    sample.record["views"] = [{"member": "png", "position": "frontal", "width": 60_000, "height": 60_000}]


def a_large_image(sample: Sample) -> None:
    sample.images = {"png": bomb(900)}
    sample.record["views"] = [{"member": "png", "position": "frontal", "width": 900, "height": 900}]


def a_name(sample: Sample) -> None:
    says(sample, sample.record["summary"] + " Findings were discussed with Dr. Fictitious.")


def another_study(sample: Sample) -> None:
    sample.record["study"] = OTHER_KEY


def a_named_study(sample: Sample) -> None:
    sample.record["study"] = "FICTITIOUS^JOHN^19600102"


def a_named_licence(sample: Sample) -> None:
    sample.record["licence"] = "CC BY Dr. John Fictitious 617-555-1234"


def a_named_label(sample: Sample) -> None:
    sample.record["labels"] = ["Dr. Fictitious"]


def a_named_note(sample: Sample) -> None:
    sample.record["note"] = {"by": ["Dr. Fictitious"]}


def a_comment(sample: Sample) -> None:
    sample.images["jpg"] = pillow(sample.images["jpg"], lambda image: image, comment=b"Fictitious, John")


def a_comment_behind_the_pixels(sample: Sample) -> None:
    sample.images["jpg"] = sample.images["jpg"][:-2] + b"\xff\xfe\x00\x12Fictitious, John\xff\xd9"


def turned(sample: Sample) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    sample.images["jpg"] = pillow(sample.images["jpg"], lambda image: image, exif=exif)


def a_date(sample: Sample) -> None:
    sample.record["indication"] = "Cough since 3/14/2019."


def turns_swapped(sample: Sample) -> None:
    sample.record["conversation"].reverse()


def two_marks_more(sample: Sample) -> None:
    sample.record["conversation"][0]["content"] += "<image><image>"


def no_answer(sample: Sample) -> None:
    sample.record["conversation"].pop()


def a_width(sample: Sample) -> None:
    sample.record["views"][0]["width"] += 1


def width_as_text(sample: Sample) -> None:
    sample.record["views"][0]["width"] = str(sample.record["views"][0]["width"])


def png_for_jpg(sample: Sample) -> None:
    view = sample.record["views"][0]
    sample.images["jpg"] = png(view["width"], view["height"])


def position_unheard_of(sample: Sample) -> None:
    sample.record["views"][0]["position"] = "oblique"


def a_field_less(sample: Sample) -> None:
    del sample.record["licence"]


def split_of_another(sample: Sample) -> None:
    sample.record["split"] = "test" if sample.split == "train" else "train"


def json_cut(sample: Sample) -> None:
    sample.json = json.dumps(sample.record).encode()[:-1]


def patient_by_name(sample: Sample) -> None:
    sample.record["patient"] = "10000032"


def half_a_letter(sample: Sample) -> None:
    sample.json = json.dumps(sample.record).replace('"licence": "', '"licence": "\\ud800').encode()


SAMPLES: list[tuple[Callable[[Sample], None], str]] = [
    (no_image, "images"),
    (one_image_more, "images"),
    (no_text, "text"),
    (schema_2, "records"),
    (cut_jpeg, "decode"),
    (noise_for_jpeg, "decode"),
    (a_bomb, "images"),
    (a_large_image, "images"),
    (a_name, "identifiers"),
    (a_date, "identifiers"),
    (turns_swapped, "conversation"),
    (two_marks_more, "conversation"),
    (no_answer, "conversation"),
    (a_width, "images"),
    (width_as_text, "records"),
    (png_for_jpg, "images"),
    (position_unheard_of, "records"),
    (a_field_less, "records"),
    (split_of_another, "splits"),
    (json_cut, "records"),
    (patient_by_name, "records"),
    (half_a_letter, "records"),
    (another_study, "records"),
    (a_named_study, "identifiers"),
    (a_named_licence, "identifiers"),
    (a_named_label, "identifiers"),
    (a_named_note, "identifiers"),
    (a_comment, "identifiers"),
    (a_comment_behind_the_pixels, "identifiers"),
    (turned, "identifiers"),
]


@pytest.mark.parametrize(("plant", "check"), SAMPLES, ids=[plant.__name__ for plant, _ in SAMPLES])
def test_what_is_wrong_with_one_sample_is_found_alone(plant, check, planted: Set, tmp_path, inspected):
    sample = planted.of("train")[7]
    plant(sample)
    result = inspected(planted.write(tmp_path / "set"))
    wanted = (check, planted.shard_of(sample), sample.key)
    assert wanted in found(result)
    assert {each for each in found(result) if each[0] != "splits" or check == "splits"} == {wanted}
    assert sample.key in result["raised"]
    assert wanted[1] in result["raised"]
    assert CHECKS[check].remedy in result["raised"]
    assert not result["good"]
    assert "Fictitious" not in json.dumps(result) + result["raised"]


def one_word(sample: Sample) -> None:
    says(sample, "Normal.")


def without_end(sample: Sample) -> None:
    says(sample, "clear lungs " * 600)


def encoded_twice(sample: Sample) -> None:
    says(sample, "No effusion, no pneumothorax â€“ clear.")


def bytes_behind(sample: Sample) -> None:
    sample.images["jpg"] += b"and who knows what" * 100 + b"\xff\xd9"


def a_field_more(sample: Sample) -> None:
    sample.record["reader"] = 3


def a_label_of_ones_own(sample: Sample) -> None:
    sample.record["labels"] = ["foo:bar"]


def all_black(sample: Sample) -> None:
    sample.images["jpg"] = pillow(sample.images["jpg"], lambda image: image.point(lambda _: 0))


@pytest.mark.parametrize(
    ("plant", "check"),
    [
        (one_word, "text"),
        (without_end, "text"),
        (encoded_twice, "text"),
        (all_black, "decode"),
        (bytes_behind, "images"),
        (a_field_more, "records"),
        (a_label_of_ones_own, "records"),
    ],
    ids=lambda each: getattr(each, "__name__", each),
)
def test_what_is_only_odd_is_a_warning(plant, check, planted: Set, tmp_path, inspected):
    sample = planted.of("train")[7]
    plant(sample)
    folder = planted.write(tmp_path / "set")
    result = inspected(folder)
    assert found(result, "warning") == {(check, planted.shard_of(sample), sample.key)}
    assert result["good"]
    assert sample.key in inspected(folder, strict=True)["raised"]


# --- all samples together


def test_a_key_twice_in_one_tar(planted, tmp_path, inspected):
    samples = next(each for each in planted.shards.values() if len(each) > 5)
    one, two = samples[1], samples[4]
    two.key = two.record["study"] = one.key
    result = inspected(planted.write(tmp_path / "set"))
    assert found(result) == {("keys", planted.shard_of(two), two.key)}
    assert one.key in result["raised"]


def test_a_key_in_two_tars(planted, tmp_path, inspected):
    one, two = planted.of("train")[0], planted.of("test")[0]
    two.key = two.record["study"] = one.key
    result = inspected(planted.write(tmp_path / "set"))
    assert found(result) == {("keys", planted.shard_of(two), one.key)}


def test_the_same_pixels(planted, tmp_path, inspected):
    one, two = planted.of("train")[3], planted.of("train")[-1]
    with Image.open(io.BytesIO(one.images["jpg"])) as image:
        same = np.asarray(image)
    one.images, two.images = {"png": png_of(same, 1)}, {"png": png_of(same, 9)}  # other bytes, the same pixels
    assert one.images != two.images
    for sample in (one, two):
        sample.record["views"] = [{**sample.record["views"][0], "member": "png"}]
    one.record["patient"] = two.record["patient"]
    result = inspected(planted.write(tmp_path / "set"))
    assert found(result) == {("duplicates", planted.shard_of(two), two.key)}
    assert one.key in result["wrong"][0]["what"]
    assert found(result, "warning") == set()


def test_a_sample_with_one_film_twice_is_only_odd(planted, tmp_path, inspected):
    sample = planted.of("train")[3]
    sample.images = {"png": png(60, 64), "lateral.png": png(60, 64)}
    sample.record["views"] = [
        {"member": member, "position": position, "width": 60, "height": 64}
        for member, position in (("png", "frontal"), ("lateral.png", "lateral"))
    ]
    result = inspected(planted.write(tmp_path / "set"))
    assert result["good"]
    assert found(result, "warning") == {("duplicates", planted.shard_of(sample), sample.key)}


def png_of(pixels: Any, level: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=level)
    return buffer.getvalue()


def test_nearly_the_same_film_of_another_patient(planted, tmp_path, inspected):
    one, two, three = planted.of("train")[3], planted.of("train")[9], planted.of("test")[0]
    for sample, quality in ((two, 60), (three, 40)):
        sample.images = {"jpg": pillow(one.images["jpg"], lambda image: image, quality=quality)}
        sample.record["views"] = [dict(one.record["views"][0])]
    result = inspected(planted.write(tmp_path / "set"))
    assert found(result) == set()
    assert {key for _, _, key in found(result, "warning")} == {two.key, three.key}
    loud = [each["what"] for each in result["wrong"] if "ANOTHER SPLIT" in each["what"]]
    assert any(each.startswith(f"nearly the same film as {one.key}") for each in loud)
    assert result["good"]


def test_a_film_mirrored_and_inverted_is_nearly_the_same(planted, tmp_path, inspected):
    one, two, three = planted.of("train")[3], planted.of("train")[9], planted.of("train")[12]
    two.images = {"jpg": pillow(one.images["jpg"], lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT))}
    three.images = {"jpg": pillow(one.images["jpg"], lambda image: image.point(lambda gray: 255 - gray))}
    for sample in (two, three):
        sample.record["views"] = [dict(one.record["views"][0])]
    result = inspected(planted.write(tmp_path / "set"))
    assert {key for _, _, key in found(result, "warning")} == {two.key, three.key}


def test_a_patient_in_two_splits(planted, tmp_path, inspected):
    one, two = planted.of("train")[0], planted.of("test")[0]
    two.record["patient"] = one.record["patient"]
    result = inspected(planted.write(tmp_path / "set"))
    told = {each["check"]: each for each in result["wrong"] if each["severity"] == "error"}
    assert set(told) == {"splits", "index"} or set(told) == {"splits"}
    assert {one.key, two.key} <= set(told["splits"]["what"].split()) | {told["splits"]["key"]}
    assert one.record["patient"] in told["splits"]["what"]


# --- the files


def test_a_flipped_byte(good, tmp_path, inspected):
    folder = good.write(tmp_path / "set")
    name, samples = next(iter(good.shards.items()))
    data = bytearray((folder / name).read_bytes())
    start = sum(len(each.block()) for each in samples[:4])
    data[start + 512 + 900] ^= 1
    (folder / name).write_bytes(data)
    result = inspected(folder)
    assert found(result) == {("checksums", name, samples[4].key), ("shards", name, "")}
    assert samples[4].key in result["raised"]


def test_a_flipped_byte_in_a_header_hides_no_sample_behind_it(good, tmp_path, inspected):
    folder = good.write(tmp_path / "set")
    name, samples = next(iter(good.shards.items()))
    data = bytearray((folder / name).read_bytes())
    data[sum(len(each.block()) for each in samples[:4]) + 20] ^= 1
    (folder / name).write_bytes(data)
    result = inspected(folder)
    assert found(result) == {("checksums", name, samples[4].key), ("shards", name, ""), ("tar", name, "")}
    assert result["looked"]["samples"] == 59


@pytest.mark.parametrize("keep", [0.5, 0.01, 0.0], ids=["half", "little", "nothing"])
def test_a_truncated_tar(keep, good, tmp_path, inspected):
    folder = good.write(tmp_path / "set")
    name, samples = next(iter(good.shards.items()))
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[: int(keep * len(data)) + 100])
    result = inspected(folder)
    assert {("shards", name, ""), ("samples", name, samples[-1].key)} <= found(result)
    assert {shard for _, shard, _ in found(result)} == {name}
    assert ("samples", name, samples[0].key) in found(result) or keep == 0.5
    assert result["looked"]["lost"] == result["looked"]["listed"] - result["looked"]["samples"] > 0
    parts = {each["name"]: each["in_part"] for each in result["checks"]}
    assert parts["decode"]
    assert not parts["index"]


def test_a_missing_shard(good, tmp_path, inspected):
    folder = good.write(tmp_path / "set")
    name = list(good.shards)[1]
    (folder / name).unlink()
    result = inspected(folder)
    assert found(result) == {("shards", name, "")}
    assert "missing" in result["raised"]


def test_a_sample_that_the_index_does_not_list(good, tmp_path, inspected):
    more = deepcopy(good)
    name = next(iter(good.shards))
    extra = deepcopy(more.shards[name][0])
    extra.key, extra.record["study"], extra.images = OTHER_KEY, OTHER_KEY, {"jpg": more.shards[name][0].images["jpg"]}
    folder = more.write(tmp_path / "set")
    data = (folder / name).read_bytes()[:-1024] + extra.block() + bytes(1024)
    (folder / name).write_bytes(data)
    result = inspected(folder)
    assert ("samples", name, OTHER_KEY) in found(result)


def test_another_schema_of_the_index(good, tmp_path, inspected):
    folder = good.write(tmp_path / "set")
    record = json.loads((folder / "index.json").read_text())
    record["schema"] = 99
    (folder / "index.json").write_text(json.dumps(record))
    result = inspected(folder)
    assert found(result) == {("index", "", "")}
    assert "99" in result["raised"]
    assert result["looked"]["samples"] == 60  # the tars are looked at all the same


def test_no_index(good, tmp_path, inspected):
    folder = good.write(tmp_path / "set")
    (folder / "index.json").unlink()
    result = inspected(folder)
    assert found(result) == {("index", "", "")}
    assert result["looked"] == {**result["looked"], "samples": 60, "listed": None}
    unlooked = [each["name"] for each in result["checks"] if not each["looked"]]
    assert unlooked == ["rows", "shards", "checksums", "samples"]


@pytest.mark.parametrize("what", ["fingerprint", "count", "patients", "rows"])
def test_an_index_that_contradicts_itself(what, good, tmp_path, inspected):
    folder = good.write(tmp_path / "set")
    record = json.loads((folder / "index.json").read_text())
    if what == "fingerprint":
        record["fingerprint"] = "0" * 64
    elif what == "count":
        record["shards"][0]["samples"]["train"] += 1
    elif what == "patients":
        record["splits"]["train"]["patients"] += 1
    else:
        data = bytearray((folder / "index.npy").read_bytes())
        data[-40] ^= 1  # a bit of the last sample's checksum
        (folder / "index.npy").write_bytes(data)
    (folder / "index.json").write_text(json.dumps(record))
    result = inspected(folder)
    assert {check for check, _, _ in found(result)} <= {"index", "rows", "checksums"}
    assert not result["good"]
    assert result["looked"]["samples"] >= 59


def test_every_key_that_is_told_is_a_hash(planted, tmp_path, inspected):
    sample = planted.of("train")[2]
    sample.key = "john_doe_1950"
    no_text(sample)
    result = inspected(planted.write(tmp_path / "set"))
    assert result["errors"]
    assert all(is_hash(each["key"]) for each in result["wrong"] if each["key"])
    assert "john" not in json.dumps(result) + result["raised"]
