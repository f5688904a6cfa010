"""Nothing that lies under an image's name crashes, hangs or fills the memory: an image, or an error with words."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pydicom")
pytest.importorskip("libjpeg")
pytest.importorskip("openjpeg")

from cxr_lightning.shards.dicom import other_than_chest
from cxr_lightning.shards.images import ImageError, load_gray
from cxr_lightning.shards.looks import look_of
from tests.shards.hostile import FILES, KINDS, OTHERS, wholes

MOST_MEMORY = 2 << 30
"""Bytes of address space; libraries and the test take a quarter of it themselves."""

MOST_SECONDS = 20.0
"""Of processor time a file: the largest that is decoded has 64 million pixels."""

MEANT = {  # which are images in spite of all
    "cmyk jpeg", "rgb jpeg", "palette png", "palette png, transparent", "bilevel png", "png with alpha", "animated png",
    "interlaced png", "png of 16 bits and 4 channels", "png of 2 bits", "jpeg in jpeg's comment", "two jpegs",
    "png of 16 bits and colours, interlaced",
    "the largest radiograph", "the largest png of 16 bits", "the largest png with alpha",
    "the largest png of 16 bits and 4 channels",
}  # fmt: skip


def outcome(data: bytes) -> str:
    """Says what became of a file, which is what this file's tests are about: any other exception is a failure."""
    other_than_chest(data)
    look_of(data)
    try:
        gray = load_gray(data)
    except ImageError as error:
        return str(error)
    assert gray.dtype == np.uint8
    assert gray.ndim == 2
    return "an image"


def test_there_are_enough_of_them():
    assert len(FILES) >= 200
    assert len(OTHERS) >= 100
    assert all(outcome(data) == "an image" for data in wholes().values())


def bounded() -> None:
    """Runs in a process of its own: every file, with little memory, timed; one line of JSON for each."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    for name, make in FILES.items():
        data = make()
        start = time.process_time()
        try:
            said = outcome(data)
        except BaseException as error:  # told to the test, whatever it is
            said = f"UNNAMED {type(error).__name__}: {error}"
        print(json.dumps([name, said, time.process_time() - start]), flush=True)


def test_each_is_an_image_or_a_named_error_in_little_time_and_memory():
    command = "from tests.shards.test_hostile_images import bounded; bounded()"
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", command], cwd=Path(__file__).parents[2], capture_output=True, text=True,
        timeout=500, env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
    )  # fmt: skip
    told = {name: (said, seconds) for name, said, seconds in map(json.loads, run.stdout.splitlines())}
    assert run.returncode == 0, (run.returncode, list(told)[-1:], run.stderr[-2000:])
    assert told.keys() == FILES.keys()
    assert not {name: said for name, (said, _) in told.items() if said.startswith("UNNAMED")}
    assert not {name: said for name, (said, _) in told.items() if "MemoryError" in said or "Secret" in said}
    assert not {name: seconds for name, (_, seconds) in told.items() if seconds > MOST_SECONDS}
    assert {name for name in OTHERS if told[name][0] == "an image"} >= MEANT


@pytest.mark.quick
@given(st.sampled_from(KINDS), st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=12))
def test_whatever_bytes_become_others(name, changes):
    data = bytearray(wholes()[name])
    for place, value in changes:
        data[place % len(data)] = value
    outcome(bytes(data))


@pytest.mark.quick
@given(st.sampled_from(KINDS), st.integers(0, 1 << 20), st.binary(max_size=40))
def test_whatever_is_cut_off_or_pushed_in(name, place, noise):
    data = wholes()[name]
    outcome(data[: place % len(data)] + noise)
    outcome(data[: place % len(data)] + noise + data[place % len(data) :])


@pytest.mark.quick
def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.dcm")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    (tmp_path / "secret.png").write_bytes(b"")
    with (tmp_path / "sparse.dcm").open("wb") as file:
        file.truncate(1 << 40)
    for name in ("pipe.dcm", "folder.png", "loop.jpg", "secret.png", "sparse.dcm", "absent.png", "x" * 300, "a/\0b"):
        with pytest.raises(ImageError):
            load_gray(tmp_path / name)
    with pytest.raises(ImageError, match="a device"):
        load_gray(Path("/dev/zero"))


@pytest.mark.quick
@pytest.mark.parametrize("kind", ["png", "jpg", "dicom"])
def test_the_name_of_a_file_does_not_matter(kind, tmp_path):
    for name in ("film.png", "film.dcm", "film", "film.jpg.exe"):
        (tmp_path / name).write_bytes(wholes()[kind])
        assert np.array_equal(load_gray(tmp_path / name), load_gray(wholes()[kind]))
