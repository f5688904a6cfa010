"""Three models are trained: one that looks, one that was shown other patients' films, one that learned a single report.

Evaluation has to rank them, and to unmask the second, whose reports read as well as the first one's. The films are
drawn so plainly that a minute of training suffices; `docs/evaluation.md` has the same on phantoms, at length.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cxr_lightning.evaluation.compare.verb import compare
from cxr_lightning.evaluation.evaluate import evaluate
from cxr_lightning.shards.packing import pack
from tests.evaluation.test_baselines import write_llava
from tests.fitting import options, run_ranks

STUDIES = {
    "": "The lungs are clear. No pleural effusion.",
    "left": "Small left pleural effusion.",
    "right": "Small right pleural effusion.",
    "left right": "Small left and right pleural effusions.",
}
TRAIN, TEST = 240, 60


def film(sides: str, seed: int) -> Image.Image:
    """Draws lungs as dark fields, and effusions as their white floors; the patient's left is on the right."""
    noise = np.random.default_rng(seed).normal(60, 12, (32, 32))
    for side in sides.split():
        noise[20:, slice(16, 32) if side == "left" else slice(0, 16)] += 150
    return Image.fromarray(noise.clip(0, 255).astype(np.uint8))


def write_table(folder: Path, learns: str) -> Path:
    """Writes the studies; what training learns of them is right, of other patients, or always the same."""
    folder.mkdir()
    draw = random.Random(0)
    seen = [draw.choice(list(STUDIES)) for _ in range(TRAIN + TEST)]
    said = list(seen)
    if learns == "swapped":
        said[:TRAIN] = draw.sample(seen[:TRAIN], TRAIN)
    if learns == "commonest":
        said[:TRAIN] = [max(STUDIES, key=seen[:TRAIN].count)] * TRAIN
    rows = []
    for number, (sides, told) in enumerate(zip(seen, said, strict=True)):
        film(sides, number).save(folder / f"{number}.png")
        row = {"study_id": f"s{number}", "patient_id": f"p{number}", "image": f"{number}.png", "view": "PA"}
        labels = [f"pleural_effusion:{side}" for side in told.split()]
        split = "train" if number < TRAIN else "test"
        rows.append({**row, "report": f"FINDINGS: {STUDIES[told]}", "labels": labels, "split": split})
    (folder / "studies.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="module")
def evaluations(parts, tmp_path_factory) -> Path:
    """The folder with an evaluation of each, all on the same patients, whom none of them saw."""
    folder, fits = tmp_path_factory.mktemp("three"), []
    base = write_llava(folder / "base", parts)
    for name in ("good", "swapped", "commonest"):
        pack("table", write_table(folder / f"table-{name}", name), out=folder / f"shards-{name}", size=32, workers=1)
        fits.append(
            [
                *options(2, folder / f"shards-{name}", folder / f"run-{name}"),
                "--model.source.base",
                str(base),
                *["--model.trainable.language", "full", "--model.optim.lr", "0.004", "--trainer.devices", "1"],
                *["--data.global_batch", "16", "--data.micro_batch", "16", "--trainer.max_steps", "150"],
                *["--data.epochs", "20", "--data.validate_samples", "0", "--checkpoint.every_n_steps", "150"],
            ]
        )
    run_ranks(1, fits, folder)
    for name in ("good", "swapped", "commonest"):
        evaluate(
            str(folder / f"run-{name}"), folder / "shards-good", out=folder / name, max_new_tokens=24, draws=200,
            workers=1, batch=60,
        )  # fmt: skip
    return folder


def metrics_of(folder: Path) -> dict:
    return json.loads((folder / "metrics.json").read_text())


def test_who_looks_scores_by_the_image_and_is_told_so(evaluations):
    good = metrics_of(evaluations / "good")
    assert good["findings_micro_f1"] > 0.8
    assert good["verdict"].startswith("The image is worth")
    assert good["differences"]["findings_micro_f1_own_minus_swapped"]["low"] > 0.2
    assert good["grounding"]["own_minus_swapped"]["high"] < 0
    assert good["grounding"]["studies_better_with_own_image"] > 0.6


def test_who_does_not_look_is_unmasked_however_well_it_writes(evaluations):
    swapped = metrics_of(evaluations / "swapped")
    assert swapped["rouge_l"] > 0.4, "its reports read like reports"
    assert swapped["verdict"].startswith("Nothing shows that the model looks")
    gap = swapped["differences"]["findings_micro_f1_own_minus_swapped"]
    # Without an interval where it answers every image alike.
    assert gap["value"] == 0 if gap["low"] is None else gap["low"] <= 0
    assert "does not find what the radiologist wrote surely likelier" in swapped["verdict"]


def test_one_report_for_all_is_told(evaluations):
    commonest = metrics_of(evaluations / "commonest")
    assert commonest["verdict"].startswith("Nothing shows that the model looks")
    assert any("One and the same answer is given to 100" in remark for remark in commonest["health"]["remarks"])


def test_they_are_ranked(evaluations, capsys):
    scores = [metrics_of(evaluations / name)["findings_micro_f1"] for name in ("good", "swapped", "commonest")]
    assert scores[0] > max(scores[1:])
    compare(
        evaluations / "good",
        *(str(evaluations / name) for name in ("swapped", "commonest")),
        draws=200,
        out=evaluations / "compared",
    )
    found = json.loads((evaluations / "compared" / "comparison.json").read_text())
    assert found
    assert "good" in capsys.readouterr().out
