"""Panels show what a study was asked, with all the images that its question marks; ranks that finish apart end."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cxr_lightning.shards.packing import pack
from cxr_lightning.shards.splits import Fractions
from cxr_lightning.training import panels
from tests.fitting import losses, options, run_ranks


@pytest.mark.quick
def test_ranks_show_the_studies_that_all_of_them_could_read(monkeypatch):
    ranks = [{0: "a", 1: "b", 2: "c"}, {1: "b", 2: "c", 5: "d"}]  # storage failed the second one for a moment
    monkeypatch.setattr(panels, "gather", lambda _: [list(found) for found in ranks])
    chosen = []
    for found in ranks:
        there = {number: SimpleNamespace(images=name != "b", name=name) for number, name in found.items()}
        samples = panels.Panels(3)._samples(SimpleNamespace(first_samples=lambda _, there=there: there))
        chosen.append([sample.name for sample in samples])
    assert chosen == [["c"], ["c"]]


@pytest.mark.ranks
def test_a_question_with_two_marks_is_validated_and_shown(parts, tmp_path):
    rows = []
    for number in range(16):
        for name in (f"{number}.png", f"{number}.side.png"):
            Image.fromarray(np.pad(np.full((62, 62), 8 * number, np.uint8), 1, constant_values=255)).save(
                tmp_path / name
            )
        row = {"study_id": number, "patient_id": number, "image": f"{number}.png", "lateral": f"{number}.side.png"}
        pair = {"question": "<image>\n<image>\nWhich view is the first?", "answer": "The frontal one."}
        rows.append({**row, **pair, "view": "PA", "split": "train" if number < 12 else "validate"})
    (tmp_path / "studies.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pack("table", tmp_path, out=tmp_path / "shards", size=64, split=Fractions(0.5, 0.25, 0.25), workers=1)
    run = tmp_path / "run"
    few = ["--trainer.devices", "1", "--trainer.max_steps", "1", "--panels.max_new_tokens", "2"]
    run_ranks(1, [[*options(1, tmp_path / "shards", run, parts), *few, "--panels.studies", "2"]], tmp_path)
    assert set(losses(run)) == {1}
    board = EventAccumulator(str(run / "tensorboard")).Reload()
    assert {"studies/study 0", "studies/study 1"} <= set(board.Tags()["images"])
    shown = board.Images("studies/study 0")[0]
    assert shown.width == 2 * shown.height
    text = board.Tensors("study 0/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "Which view is the first?" in text
    assert "The frontal one." in text


@pytest.mark.ranks
def test_ranks_whose_texts_end_apart_do_not_wait_for_one_another_for_ever(zygote, shards, parts, tmp_path):
    """Each forward pass under ZeRO-3 gathers weights from all ranks: one that stopped early would leave the others."""
    few = ["--config", "configs/zero/stage3.yaml", "--trainer.max_steps", "2", "--validate_every_n_steps", "1"]
    arguments = [*options(1, shards, tmp_path / "run", parts), *few]
    for studies in (3, 1):  # two on one rank and one on the other; one, and none
        apart = [["babble", {"tokens": [40, 3]}]]
        run = tmp_path / str(studies)
        more = ["--run", str(run), "--panels.studies", str(studies)]
        group = zygote.start([*arguments, *more], 2, tmp_path / f"log-{studies}", faults=apart)
        assert zygote.wait(group) == [0, 0], (tmp_path / f"log-{studies}").read_text()[-4000:]
        assert set(losses(run)) == {1, 2}
        board = EventAccumulator(str(run / "tensorboard")).Reload()
        for number in range(studies):
            assert [each.step for each in board.Tensors(f"study {number}/text_summary")] == [1, 2]
            assert len(board.Images(f"studies/study {number}")) == 1
