"""Every family through both stages, a resume, an export, and plain transformers' reloading of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from cxr_lightning.export.package import export
from cxr_lightning.serve.dialogue import QUESTION, Dialogue
from cxr_lightning.serve.films import open_film
from cxr_lightning.serve.local import Local
from cxr_lightning.shards.packing import pack
from tests.families.conftest import ONE_IMAGE, TOWERS
from tests.families.models import WRITERS
from tests.fitting import gradient_norms, losses, options, run_ranks

FAMILIES = (*TOWERS, *WRITERS)
STEPS = 2


@pytest.fixture(scope="module")
def pairs(phantoms, tmp_path_factory):
    """Shards whose samples show two films: frontal and lateral, or now and before."""
    folder = tmp_path_factory.mktemp("pairs")
    studies = [json.loads(line) for line in (phantoms / "studies.jsonl").read_text().splitlines()]
    rows = []
    for number, study in enumerate(studies):
        row = {name: study[name] for name in ("study_id", "patient_id", "image")}
        row["lateral"] = study["lateral"] or studies[number - 1]["image"]
        marks = "<image>\n<image>\n" if number % 3 else "<image>\n"
        rows.append({**row, "question": f"{marks}Compare with the prior film.", "answer": "No change is seen."})
    (folder / "studies.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name in ("images",):
        (folder / name).symlink_to(phantoms / name)
    pack("table", folder, out=folder / "shards", size=64, workers=1)
    return folder / "shards"


def named(source) -> list[str]:
    """Returns how a source is named on a command line."""
    given = source.to_json()
    return [part for key in ("base", "vision", "language") for part in (f"--model.source.{key}", given[key] or "null")]


@pytest.fixture(scope="module")
def trained(sources, shards, pairs, tmp_path_factory) -> Path:
    """A folder of runs: of each family both stages, and its second stage gone on from the step before the last."""
    folder = tmp_path_factory.mktemp("trained")
    few = [
        "--trainer.devices", "1", "--data.global_batch", "4", "--model.optim.lr", "0.02", "--data.epochs", "10",
        "--checkpoint.every_n_steps", "1", "--validate_every_n_steps", "100",
    ]  # fmt: skip
    first, second, resumed = [], [], []
    for name in FAMILIES:
        data = shards if name in ONE_IMAGE else pairs
        one, two, again = (folder / f"{name}-{kind}" for kind in ("stage1", "stage2", "resumed"))
        first.append([*options(1, data, one), *named(sources[name]), *few, "--trainer.max_steps", str(STEPS)])
        begin = [*few, "--model.init_from", str(one), "--trainer.max_steps", str(STEPS)]
        second.append([*options(2, data, two), *begin])
        resumed.append([*options(2, data, again), *begin, "--ckpt_path", "last"])
    run_ranks(1, [*first, *second], folder)
    for name in FAMILIES:
        shutil.copytree(folder / f"{name}-stage2", folder / f"{name}-resumed")
        shutil.rmtree(max((folder / f"{name}-resumed" / "checkpoints").glob("step-*")))
    run_ranks(1, resumed, folder)
    return folder


@pytest.mark.ranks
@pytest.mark.parametrize("name", FAMILIES)
def test_both_stages_learn_and_a_resumed_run_goes_on_alike(trained, name):
    aligned = json.loads((trained / f"{name}-stage1" / "run.json").read_text())
    assert aligned["trainable"] == {"vision": "frozen", "projector": "full", "language": "frozen"}
    assert 0 < aligned["parameters"]["learning"] < aligned["parameters"]["total"]
    for stage in ("stage1", "stage2"):
        norms = gradient_norms(trained / f"{name}-{stage}")
        assert all(norm > 0 for norm in norms.values()), norms
    straight, again = (losses(trained / f"{name}-{kind}") for kind in ("stage2", "resumed"))
    assert straight[STEPS] == again[STEPS]
    assert straight[STEPS] != straight[STEPS - 1]


@pytest.mark.ranks
@pytest.mark.parametrize("name", FAMILIES)
def test_the_export_is_a_plain_model_that_answers(trained, phantoms, tmp_path, name):
    export(trained / f"{name}-resumed", out=tmp_path / "model")  # it proves tokens, weights and logits by itself
    film = min((phantoms / "images").glob("*.png"))
    model, loading = AutoModelForImageTextToText.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not any(loading[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    processor = AutoProcessor.from_pretrained(tmp_path / "model")
    turns = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": QUESTION}]}]
    template = processor.chat_template or processor.tokenizer.chat_template  # BLIP-2's processors do not load theirs
    text = processor.apply_chat_template(turns, chat_template=template, add_generation_prompt=True)
    begins = text.startswith(processor.tokenizer.bos_token or "<none>")
    picture = Image.open(film).convert("RGB")
    inputs = processor(images=picture, text=text, add_special_tokens=not begins, return_tensors="pt")
    with torch.no_grad():
        ids = model.generate(**inputs, do_sample=False, max_new_tokens=6)[0, inputs["input_ids"].shape[1] :]
    plain = processor.decode(ids, skip_special_tokens=True).strip()
    assert Local(tmp_path / "model").answers([Dialogue.ask(open_film(film))], max_new_tokens=6) == [plain]


def test_learned_weights_are_the_projectors_and_the_language_models(trained):
    """Of a Q-Former nothing is learned: it belongs to what sees."""
    from safetensors import safe_open

    checkpoint = max((trained / "blip2-stage2" / "checkpoints").glob("step-*"))
    with safe_open(checkpoint / "trainable.safetensors", framework="pt") as file:
        kinds = {name.split(".")[0] for name in file.keys()}  # noqa: SIM118 (not a dict)
    assert kinds == {"language_projection", "language_model"}
