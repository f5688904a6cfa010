"""An archive holds what its table names, comes out alike from any number of workers, and is whole or not there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxr_lightning.phantoms import archive, draw, draw_study


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.quick
def test_table_names_every_film(tmp_path: Path) -> None:
    draw(tmp_path, studies=24, seed=4, size=64, workers=1)
    rows = [json.loads(line) for line in (tmp_path / "studies.jsonl").read_text().splitlines()]
    assert len(rows) == 24
    films = {row["image"] for row in rows} | {row["lateral"] for row in rows if row["lateral"]}
    assert films == {f"images/{path.name}" for path in (tmp_path / "images").iterdir()}
    for number, row in enumerate(rows):
        study = draw_study(4, number, 64)
        assert row["study_id"] == study.study_id
        assert row["labels"] == list(study.labels) == [detail["label"] for detail in row["details"]]
        assert row["report"] == study.report.text
        assert np.array_equal(np.asarray(Image.open(tmp_path / row["image"])), study.image_HW)
        assert {box["label"] for box in row["boxes"]} == set(row["labels"])
    assert (tmp_path / "README.md").exists()


def test_workers_change_nothing(tmp_path: Path) -> None:
    draw(tmp_path / "one", studies=20, seed=9, size=64, workers=1)
    draw(tmp_path / "two", studies=20, seed=9, size=64, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.quick
def test_a_longer_archive_begins_like_a_shorter_one(tmp_path: Path) -> None:
    draw(tmp_path / "short", studies=4, size=64, workers=1)
    draw(tmp_path / "long", studies=8, size=64, workers=1)
    short = (tmp_path / "short" / "studies.jsonl").read_text()
    assert (tmp_path / "long" / "studies.jsonl").read_text().startswith(short)


@pytest.mark.quick
def test_a_finished_archive_is_not_touched(tmp_path: Path) -> None:
    draw(tmp_path, studies=2, size=64, workers=1)
    before = contents(tmp_path)
    with pytest.raises(ValueError, match="exists"):
        draw(tmp_path, studies=3, size=64, workers=1)
    assert contents(tmp_path) == before


@pytest.mark.quick
def test_an_interrupted_archive_does_not_look_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(seed: int, number: int, size: int) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(archive, "draw_study", fail)
        with pytest.raises(RuntimeError):
            draw(tmp_path, studies=3, size=64, workers=1)
    assert not (tmp_path / "studies.jsonl").exists()
    draw(tmp_path, studies=3, size=64, workers=1)
    assert (tmp_path / "studies.jsonl").exists()


@pytest.mark.quick
@pytest.mark.parametrize("options", [{"studies": 0}, {"workers": 0}, {"seed": -1}, {"size": 8}])
def test_refuses_impossible_options_before_writing(tmp_path: Path, options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="or more"):
        draw(tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()
