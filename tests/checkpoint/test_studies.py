from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from cxr_lightning.checkpoint.studies import NAME, StudiesError, read_studies, studies_of, trained_on, write_studies
from cxr_lightning.phantoms.archive import draw
from cxr_lightning.shards.index import read_index
from cxr_lightning.shards.packing import pack
from cxr_lightning.shards.splits import Fractions


@pytest.fixture(scope="module")
def twice(tmp_path_factory):
    """The same drawn studies packed twice: as they are, and under other names, half as large, in another format."""
    folder = tmp_path_factory.mktemp("twice")
    draw(folder / "drawn", studies=24, seed=1, size=128, workers=1)
    pack("table", folder / "drawn", out=folder / "first", size=128, workers=1)
    pack(
        "table",
        folder / "drawn",
        out=folder / "other",
        size=96,
        format="png",
        workers=1,
        patient_key="another",
        split=Fractions(1, 0, 0),
    )
    return read_index(folder / "first"), read_index(folder / "other")


def test_a_study_is_known_by_its_key_and_under_another_one_by_its_look(twice):
    first, other = twice
    trained = trained_on([first], [])
    by_key, by_look = studies_of([first.split("train").rows]).among(trained)
    assert by_key.all()
    assert by_look.all()
    by_key, by_look = studies_of([other.split(name).rows for name in ("train",)]).among(trained)
    assert not by_key.any()
    assert by_look.sum() >= len(trained) - 1  # at three quarters of so small a size one may be missed


def test_studies_that_were_not_trained_on_are_unknown(twice):
    trained = trained_on([twice[0]], [])
    by_key, by_look = studies_of([twice[0].split("test").rows, twice[0].split("validate").rows]).among(trained)
    assert not by_key.any()
    assert not by_look.any()


def test_what_earlier_stages_learned_from_goes_along(twice, tmp_path):
    write_studies(tmp_path, trained_on([twice[0]], []))
    both = trained_on([twice[1]], [tmp_path, tmp_path / "absent"])
    assert len(both) == sum(len(index.split("train")) for index in twice)
    write_studies(tmp_path, both)
    again = read_studies(tmp_path)
    assert again is not None
    assert np.array_equal(again.rows, both.rows)


def test_a_damaged_file_is_told(tmp_path):
    assert read_studies(tmp_path) is None
    for content in (
        b"",
        b"nonsense",
        b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    ):
        (tmp_path / NAME).write_bytes(content)
        with pytest.raises(StudiesError, match=r"studies\.npy: damaged"):
            read_studies(tmp_path)
    np.save(tmp_path / NAME, np.zeros(3))
    with pytest.raises(StudiesError, match="Remedy"):
        read_studies(tmp_path)


def test_text_alone_has_no_look(tmp_path):
    Image.new("L", (64, 64), 90).save(tmp_path / "flat.png")
    (tmp_path / "table.jsonl").write_text(
        '{"study_id": "a", "patient_id": "a", "report": "FINDINGS: Clear lungs.", "split": "train"}\n'
    )
    pack("table", tmp_path / "table.jsonl", out=tmp_path / "shards", text_only="allow", workers=1)
    rows = read_index(tmp_path / "shards").split("train").rows
    by_key, by_look = studies_of([rows]).among(studies_of([rows]))
    assert by_key.all()
    assert not by_look.any()
