"""Text-only samples beside images under ZeRO-3 on two ranks: no rank waits for ever, and no loss changes."""

from __future__ import annotations

import json

import pytest

from cxr_lightning.shards.packing import pack
from tests.fitting import gradient_norms, losses, options, run_ranks

STEPS = 6


def _texts(folder):
    """Packs questions and answers without images."""
    rows = [
        {
            "study_id": f"t{number}",
            "patient_id": f"q{number}",
            "question": f"What does opacity number {number} mean?",
            "answer": "It may be fluid, a consolidation, or a mass." + " It is described by its place." * (number % 5),
            "split": "train" if number < 40 else "validate",
        }
        for number in range(48)
    ]
    folder.mkdir()
    (folder / "studies.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pack("table", folder, out=folder / "shards", workers=1, text_only="allow")
    return folder / "shards"


@pytest.fixture(scope="module")
def curves(shards, parts, runs, tmp_path_factory):
    """Losses and gradient norms of mixes by name."""
    folder = tmp_path_factory.mktemp("mixed")
    texts = _texts(folder / "texts")
    # Of each step's eight samples three quarters are text, so that some micro-batches have no image; validation reads
    # the texts after all images, so its last batches have none.
    mix = json.dumps([{"path": str(shards), "weight": 1}, {"path": str(texts), "weight": 3}])

    def fit(name, ranks, *extra):
        chosen = options(2, shards, folder / name)
        chosen[chosen.index("--data.shards") + 1] = mix
        start = ["--model.init_from", str(runs["stage1"]), "--trainer.devices", str(ranks)]
        begin = ["--trainer.max_steps", str(STEPS), "--data.epochs", "4", "--panels.studies", "3"]
        return [*chosen, *start, *begin, "--model.optim.lr", "0.002", "--panels.max_new_tokens", "8", *extra]

    zero3 = ["--config", "configs/zero/stage3.yaml"]
    few = ["--data.micro_batch", "1"]
    learning = ["--model.trainable.vision", "lora"]
    two = [
        fit("zero2", 2),
        fit("zero3", 2, *zero3),
        fit("ones", 2, *zero3, *few),
        fit("padded", 2, *zero3, "--data.layout", "padded"),
        fit("sees", 2, *learning),
        fit("sees-zero3", 2, *zero3, *few, *learning),
    ]
    run_ranks(2, two, folder)
    run_ranks(1, [fit("alone", 1)], folder)
    found = {path.name: losses(path) for path in folder.glob("*/metrics.jsonl") for path in [path.parent]}
    return {**found, **{f"{name} norms": gradient_norms(folder / name) for name in list(found)}}


@pytest.mark.ranks
@pytest.mark.timeout(400)
@pytest.mark.parametrize("other", ["zero3", "ones", "padded", "alone"])
def test_a_mix_trains_alike_however_it_is_divided(curves, other):
    here, there = curves["zero2"], curves[other]
    assert len(here) == len(there) == STEPS
    assert max(abs(here[step] - there[step]) for step in here) < 1e-5
    here, there = curves["zero2 norms"], curves[f"{other} norms"]
    assert all(abs(here[step] - there[step]) < 1e-3 * here[step] for step in here)


@pytest.mark.ranks
def test_a_tower_that_learns_meets_an_image_in_every_batch(curves):
    here, there = curves["sees"], curves["sees-zero3"]
    assert len(here) == len(there) == STEPS
    assert max(abs(here[step] - there[step]) for step in here) < 1e-5
