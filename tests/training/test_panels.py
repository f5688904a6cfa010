"""Panels show what a study was asked, with all the images that its question marks."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cxr_lightning.shards.packing import pack
from cxr_lightning.shards.splits import Fractions
from tests.fitting import losses, options, run_ranks


@pytest.mark.ranks
def test_a_question_with_two_marks_is_validated_and_shown(parts, tmp_path):
    rows = []
    for number in range(16):
        for name in (f"{number}.png", f"{number}.side.png"):
            Image.fromarray(np.full((64, 64), 8 * number, dtype=np.uint8)).save(tmp_path / name)
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
    assert {"study 0/radiograph", "study 1/radiograph"} <= set(board.Tags()["images"])
