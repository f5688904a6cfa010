"""`cxr index`: what others packed can be trained on, what cannot be used is listed, and nothing is made up."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import webdataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxr_lightning.cli import run
from cxr_lightning.shards.contract import ShardError
from cxr_lightning.shards.gathering import split_named
from cxr_lightning.shards.identity import hashed
from cxr_lightning.shards.index import ShardIndex, read_index
from cxr_lightning.shards.indexing import UNUSED_NAME, index
from cxr_lightning.shards.packing import pack
from cxr_lightning.shards.splits import Fractions, split_of
from cxr_lightning.shards.verification import verify
from cxr_lightning.study import SPLITS

from .tables import table_of
from .test_members import encoded
from .test_tar import tar_of

pytestmark = pytest.mark.quick

IMAGE = encoded()
Members = list[tuple[str, bytes]]


def sample(key: str, text: str = "Clear lungs.", patient: int = 0) -> Members:
    told = json.dumps({"caption": text, "patient": patient}).encode()
    return [(f"{key}.jpg", IMAGE), (f"{key}.json", told), (f"{key}.txt", text.encode())]


def write(path: Path, *samples: Members, **told: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tar_of([member for each in samples for member in each], **told))
    return path


def kinds(folder: Path) -> Counter[str]:
    path = folder / UNUSED_NAME
    return Counter(json.loads(line)["kind"] for line in path.read_text().splitlines()) if path.exists() else Counter()


def texts(made: ShardIndex) -> dict[str, str]:
    splits = [made.split(name) for name in SPLITS]
    return {split.key(n): split.read(n).record["summary"] for split in splits for n in range(len(split))}


@pytest.mark.parametrize("workers", [1, 2])
def test_our_own_tars_get_the_index_that_packing_wrote(tmp_path, workers):
    pack("table", table_of(tmp_path / "in", 40), out=tmp_path / "out", samples_per_shard=7, size=48)
    before = {name: (tmp_path / "out" / name).read_bytes() for name in ("index.npy", "index.json")}
    for name in before:
        (tmp_path / "out" / name).unlink()
    index(str(tmp_path / "out"), workers=workers)
    verify(read_index(tmp_path / "out"))
    assert {name: (tmp_path / "out" / name).read_bytes() for name in before} == before


def test_webdataset_s_own_writer_and_reader_agree_with_us(tmp_path):
    (tmp_path / "in").mkdir()
    with webdataset.ShardWriter(f"{tmp_path}/in/train-%03d.tar", maxcount=4, verbose=0) as writer:
        for number in range(10):
            writer.write({"__key__": f"film{number}", "jpg": IMAGE, "txt": f"Text {number}.", "cls": number})
    index(f"{tmp_path}/in/train-{{000..002}}.tar", workers=1)
    made = read_index(tmp_path / "in")
    verify(made)
    urls = sorted(str(path) for path in (tmp_path / "in").glob("*.tar"))
    theirs = [
        (each["__key__"], each["txt"].decode(), each["jpg"])
        for each in webdataset.WebDataset(urls, shardshuffle=False, empty_check=False)
    ]
    train = made.split("train")
    ours = [train.read(number) for number in range(len(train))]
    assert [(each.key, each.record["summary"], each.images["jpg"]) for each in ours] == theirs
    assert made.members == {"image": ["jpg", "jpeg", "png"], "text": "txt"}
    assert made.image == {"size": 48, "format": "jpg"}


def test_patients_are_hashed_and_keep_to_one_split(tmp_path):
    tars = [write(tmp_path / f"{t}.tar", *(sample(f"s{t}{n}", patient=n) for n in range(20))) for t in range(2)]
    index(*map(str, tars), out=tmp_path / "out", patient="json.patient", patient_key="secret", split="hash", workers=1)
    made = read_index(tmp_path / "out")
    verify(made)
    for name in SPLITS:
        for key, patient in zip(made.split(name).keys, made.split(name).patients, strict=True):
            assert patient == hashed(str(int(key[2:])), "patient", "secret")
            assert split_of(patient, Fractions()) == name
    assert sum(counts["patients"] for counts in made.counts.values()) == 20
    assert sum(counts["samples"] for counts in made.counts.values()) == 40


def test_without_patients_each_sample_is_one_and_that_is_said(tmp_path, capsys):
    index(str(write(tmp_path / "a.tar", *(sample(f"s{n}") for n in range(9)))), split="train", workers=1)
    assert read_index(tmp_path).counts["train"] == {"samples": 9, "patients": 9}
    assert "each sample counts as a patient of its own" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train-000.tar", "train"),
        ("s3://b/train/cxr_val_3.tar", "validate"),
        ("/data/test/Validation.tar", "validate"),
        ("dev.tar", "validate"),
        ("latest-01.tar", None),
        ("constrained.tar", None),
        ("mimic-test.tar", "test"),
    ],
)
def test_a_tar_s_name_may_say_its_split(name, split):
    assert split_named(name) == split


def test_names_say_splits_and_a_patient_in_two_of_them_is_refused(tmp_path):
    write(tmp_path / "train-0.tar", sample("a", patient=1), sample("b", patient=2))
    write(tmp_path / "test-0.tar", sample("c", patient=3))
    index(str(tmp_path), patient="json.patient", workers=1)
    assert {name: read_index(tmp_path).split(name).keys for name in SPLITS} == {
        "train": ("a", "b"),
        "validate": (),
        "test": ("c",),
    }
    write(tmp_path / "test-0.tar", sample("c", patient=2))
    before = (tmp_path / "index.json").read_bytes()
    with pytest.raises(ShardError, match="in two splits"):
        index(str(tmp_path), patient="json.patient", workers=1)
    assert (tmp_path / "index.json").read_bytes() == before


def test_tars_that_number_alike_keep_all_their_samples(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.tar", *(sample(f"{n:04d}", text=f"{name}{n}") for n in range(5)))
    index(str(tmp_path), split="train", workers=1)
    told = texts(read_index(tmp_path))
    assert told == {f"{name}/{n:04d}": f"{name}{n}" for name in ("a", "b") for n in range(5)}
    write(tmp_path / "twin" / "a.tar", sample("0001"))
    with pytest.raises(ShardError, match="two tars of one name"):
        index(str(tmp_path), str(tmp_path / "twin"), out=tmp_path / "out", split="train", workers=1)


def test_what_cannot_be_used_is_listed_and_the_rest_is_used(tmp_path, capsys):
    folder = tarfile.TarInfo("folder")
    folder.type = tarfile.DIRTYPE
    link = tarfile.TarInfo("link.jpg")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(tmp_path / "wild.tar", "w") as tar:
        tar.addfile(folder)
        tar.addfile(link)
        members = [
            *sample("good"),
            *sample("../up"),
            *sample("/root"),
            *sample("bad\udcff"),
            ("README", b""),
            (".hidden.jpg", b""),
            *sample("empty", text=""),
            *sample("mark", text="a <image>"),
            *sample("good"),
            *sample("no-image")[1:],
            *sample("twice"),
            ("twice.JPG", IMAGE),
            *sample("noise")[1:],
            ("noise.jpg", b"noise"),
            *sample("k" * 300),
            *sample("fine [red] ключ"),
        ]
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    index(str(tmp_path / "wild.tar"), split="train", workers=1)
    made = read_index(tmp_path)
    verify(made)
    assert set(texts(made)) == {"good", "fine [red] ключ"}
    assert kinds(tmp_path) == {
        "member outside every sample": 1 + 3 + 3 + 3 + 2 + 3,
        "text empty": 1,
        "text marks images": 1,
        "key again": 1,
        "no image": 1,
        "member twice": 1,
        "image unusable": 1,
    }
    assert "index.json.unused.jsonl" in "".join(capsys.readouterr().err.split())
    write(tmp_path / "wild.tar", sample("good"))
    index(str(tmp_path / "wild.tar"), split="train", workers=1)
    assert not (tmp_path / UNUSED_NAME).exists()


def test_samples_of_ours_that_were_damaged_are_listed_too(tmp_path):
    pack("table", table_of(tmp_path / "in"), out=tmp_path / "out", split=Fractions(1, 0, 0))
    tar = tmp_path / "out" / "train-000000.tar"
    key = read_index(tmp_path / "out").split("train").key(4)
    tar.write_bytes(
        tar.read_bytes().replace(f'"study":"{key}","patient":"'.encode(), f'"study":"{key}","PATIENT":"'.encode())
    )
    index(str(tmp_path / "out"), workers=1)
    assert kinds(tmp_path / "out") == {"no packed sample": 1}
    assert len(read_index(tmp_path / "out").split("train")) == 11


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda data: data[:-4000], "cut off"),
        (lambda data: b"x" * len(data), "not a tar"),
        (lambda data: b"\x1f\x8b" + data[2:], "gunzip"),
    ],
)
def test_tars_that_are_none_stop_it_by_name(tmp_path, damage, told):
    good, bad = (write(tmp_path / f"{name}.tar", sample("a"), sample("b")) for name in ("good", "bad"))
    data = damage(tar_of(sample("a") + sample("b"))[: 2 * len(tar_of(sample("a"))) - 18 * 1024])
    bad.write_bytes(damage(good.read_bytes().rstrip(b"\0") + bytes(100)) if told == "cut off" else data)
    with pytest.raises(ShardError, match=rf"(?s)1 of 2 tars.*bad.tar: .*{told}"):
        index(str(tmp_path), workers=1)
    assert not (tmp_path / "index.json").exists()


def test_a_tar_without_end_and_joined_tars_are_told(tmp_path):
    whole = tar_of(sample("a"))
    body = whole.rstrip(b"\0")
    (tmp_path / "a.tar").write_bytes(body + bytes(-len(body) % 512))
    (tmp_path / "b.tar").write_bytes(tar_of(sample("b")) + tar_of(sample("c")))
    index(str(tmp_path), split="train", workers=1)
    assert set(texts(read_index(tmp_path))) == {"a", "b"}
    assert kinds(tmp_path) == {"no end mark": 1, "bytes after the end": 1}


def test_nothing_usable_says_what_is_there(tmp_path):
    write(tmp_path / "a.tar", sample("a"))
    with pytest.raises(ShardError, match=r"(?s)jpg \(1\), json \(1\), txt \(1\).*--text json.caption.*no text \(1\)"):
        index(str(tmp_path), text="json.report", workers=1)
    assert not (tmp_path / "index.json").exists()


def test_an_index_elsewhere_names_its_tars_in_full(tmp_path):
    tar = write(tmp_path / "in" / "a.tar", sample("a"))
    index(str(tar), out=tmp_path / "out", split="train", workers=1)
    made = read_index(tmp_path / "out")
    assert made.locations == (str(tar),)
    assert texts(made) == {"a": "Clear lungs."}
    index(str(tar), split="train", workers=1)
    assert read_index(tmp_path / "in").shards[0]["name"] == "a.tar"
    assert read_index(tmp_path / "in").fingerprint == made.fingerprint
    with pytest.raises(ValueError, match="--out DIR"):
        index(str(tar), str(write(tmp_path / "b.tar", sample("b"))), workers=1)


def test_what_is_read_under_a_number_is_in_the_fingerprint(tmp_path):
    tar = write(tmp_path / "a.tar", *(sample(f"s{n}", text=f"text {n}", patient=n % 3) for n in range(8)))
    ways = [
        {"split": "train"},
        {"split": "test"},
        {"split": "train", "text": "json.caption"},
        {"split": "train", "patient": "json.patient"},
    ]
    prints = set()
    for number, way in enumerate(ways):
        index(str(tar), out=tmp_path / str(number), workers=1, **way)
        prints.add(read_index(tmp_path / str(number)).fingerprint)
    assert len(prints) == len(ways)


def test_the_verb_takes_several_words(tmp_path, capsys):
    tars = [write(tmp_path / f"{n}.tar", sample(f"s{n}")) for n in range(3)]
    words = ["index", *map(str, tars), "--out", str(tmp_path / "out"), "--split", "test", "--text", "json.caption"]
    assert run(words) == 0
    assert len(read_index(tmp_path / "out").split("test")) == 3
    assert run(["index", str(tmp_path / "none.tar")]) == 1
    assert "none.tar: there is no tar" in capsys.readouterr().err


PARTS = st.sampled_from(["jpg", "JPG", "png", "txt", "json", "x.txt", ""])
WILD = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c/d", "c/../d", ".e", "é", "", "/f"]),
        PARTS,
        st.sampled_from([IMAGE, b"", b"words", b"{}", b"\xff", b"<image>", json.dumps({"caption": "x"}).encode()]),
        st.sampled_from([tarfile.REGTYPE, tarfile.REGTYPE, tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE]),
    ),
    max_size=12,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    members=WILD,
    format=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    text=st.sampled_from(["txt", "json.caption"]),
)
def test_wild_tars_lose_nothing_in_silence(tmp_path, members, format, text):
    shutil.rmtree(tmp_path / "wild", ignore_errors=True)
    (tmp_path / "wild").mkdir()
    with tarfile.open(tmp_path / "wild" / "a.tar", "w", format=format) as tar:
        for stem, suffix, data, kind in [
            *members,
            ("last", "jpg", IMAGE, b"0"),
            ("last", "txt", b"t", b"0"),
            ("last", "json", b'{"caption": "t"}', b"0"),
        ]:
            info = tarfile.TarInfo(f"{stem}.{suffix}" if suffix else stem)
            info.type, info.size = kind, len(data) if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(data))
    index(str(tmp_path / "wild"), text=text, split="train", workers=1)
    made = read_index(tmp_path / "wild")
    verify(made)
    train = made.split("train")
    read = [train.read(number) for number in range(len(train))]
    assert read[-1].key == "last"
    assert all(each.record["summary"].strip() and len(each.images) == 1 for each in read)
    assert np.array_equal(train.characters, [len(each.record["summary"]) for each in read])
    # Every file of the tar is inside a sample that is used, or its sample or itself is listed.
    listed = (
        {json.loads(line)["name"] for line in unused.read_text().splitlines()}
        if (unused := tmp_path / "wild" / UNUSED_NAME).exists()
        else set()
    )
    with tarfile.open(tmp_path / "wild" / "a.tar") as tar:
        for info in tar:
            inside = any(
                start <= info.offset < start + size for start, size in zip(train.offset, train.size, strict=True)
            )
            key = (
                info.name.rpartition("/")[0] + "/" * ("/" in info.name) + info.name.rpartition("/")[2].partition(".")[0]
            )
            assert inside or info.isdir() or {info.name, key} & listed
