"""A merge that keeps nothing in memory is the merge that keeps everything, and a fault on the way is found."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from cxr_lightning.checkpoint.runs import open_run
from cxr_lightning.export import package
from cxr_lightning.export.lending import in_float32
from cxr_lightning.export.merge import Merged
from cxr_lightning.export.package import export
from cxr_lightning.export.proof import ExportNotProvenError
from cxr_lightning.export.room import NoRoomError
from cxr_lightning.export.trained import learn, load_base
from cxr_lightning.export.trial import trial_inputs, trial_logits
from cxr_lightning.model import tiny
from cxr_lightning.model.lora import Lora
from cxr_lightning.model.source import ModelSource
from cxr_lightning.model.trainable import Trainable
from tests.export.made import write_run

ALL = Trainable(vision="lora", projector="full", language="lora")


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """Parts that lie on disk in bfloat16, as large models do."""
    folder = tmp_path_factory.mktemp("halves")
    parts = {"vision": tiny.write_tower(folder / "tower", "clip"), "language": tiny.write_language(folder / "language")}
    for part in parts.values():
        state = {name: each.to(torch.bfloat16) for name, each in load_file(part / "model.safetensors").items()}
        from safetensors.torch import save_file

        save_file(state, part / "model.safetensors", {"format": "pt"})
    return ModelSource(vision=str(parts["vision"]), language=str(parts["language"]))


@pytest.mark.parametrize("kind", ["lora", "rslora", "dora"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_each_matrix_is_the_reference_rounded_once(halves, tmp_path, kind, dtype):
    lora = Lora(rank=3, alpha=7, rslora=kind == "rslora", dora=kind == "dora")
    run = write_run(tmp_path / "run", halves, ALL, lora, Lora(rank=2, alpha=5))
    export(run, out=tmp_path / "model", dtype=dtype)
    learned = load_file(open_run(run).weights())
    base = load_file(Path(halves.language) / "model.safetensors")
    merged = load_file(tmp_path / "model" / "model.safetensors")
    seen = 0
    for name, down in learned.items():
        if not name.startswith("model.language_model.") or not name.endswith("lora_A.default.weight"):
            continue
        layer = name.removesuffix(".lora_A.default.weight")
        inner = layer.removeprefix("model.language_model.")
        total = base[f"model.{inner}.weight"].float() + lora.scale * (learned[f"{layer}.lora_B.default.weight"] @ down)
        if kind == "dora":
            length = learned[f"{layer}.lora_magnitude_vector.default.weight"]
            total *= (length / torch.linalg.norm(total, dim=1))[:, None]
        found = next(each for key, each in merged.items() if key.endswith(f"language_model.model.{inner}.weight"))
        assert torch.equal(found, total.to(getattr(torch, dtype))), name
        seen += 1
    assert seen == 14


def test_the_base_is_neither_copied_nor_changed(halves, tmp_path):
    before = {path: path.read_bytes() for path in Path(halves.language).iterdir()}
    run = open_run(write_run(tmp_path / "run", halves, ALL))
    trained = learn(load_base(run), run.checkpoint())
    merged = Merged(trained.module, trained.loras, trained.family, trained.read, trained.pages)
    inputs = trial_inputs(trained.processor)
    with in_float32(trained.module, trained.read, trained.pages):
        first = trial_logits(trained.module, inputs, torch.float32)
    kept = {name: merged[name].clone() for name in merged}
    for name in merged:
        merged.done_with(merged.stored(name), name)  # its pages are gone, and come again
    assert all(torch.equal(kept[name], merged[name]) for name in merged)
    with in_float32(trained.module, trained.read, trained.pages):
        again = trial_logits(trained.module, inputs, torch.float32)
    assert torch.equal(first, again)
    assert torch.equal(first, trial_logits(trained.module.float(), inputs))  # blocks one by one are the model at once
    assert before == {path: path.read_bytes() for path in Path(halves.language).iterdir()}


def test_weights_go_to_several_files(halves, tmp_path):
    run = write_run(tmp_path / "run", halves, ALL)
    export(run, out=tmp_path / "one")
    export(run, out=tmp_path / "many", max_shard_size="50KB")
    files = sorted((tmp_path / "many").glob("model-*.safetensors"))
    assert len(files) > 2
    one, many = (AutoModelForImageTextToText.from_pretrained(tmp_path / name) for name in ("one", "many"))
    theirs = dict(many.named_parameters())
    assert all(torch.equal(each, theirs[name]) for name, each in one.named_parameters())


def test_nothing_of_this_machine_is_told(halves, tmp_path):
    export(write_run(tmp_path / "run", halves, ALL), out=tmp_path / "model")
    served = [
        path for path in (tmp_path / "model").iterdir() if path.suffix == ".json" and path.name != "provenance.json"
    ]
    assert not [path.name for path in served if str(tmp_path.parent) in path.read_text()]
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert {config[part]["dtype"] for part in ("text_config", "vision_config")} == {config["dtype"]} == {"float32"}


@pytest.mark.parametrize("fault", ["flipped", "swapped", "lost"])
def test_what_was_written_wrong_is_not_kept(halves, tmp_path, monkeypatch, fault):
    """A bit on the disk, a tensor under another's name, one that is not there."""
    written = package.write

    def spoil(folder, entries, most_bytes, **options):
        sums = written(folder, entries, most_bytes, **options)
        path = folder / "model.safetensors"
        if fault == "flipped":
            data = bytearray(path.read_bytes())
            data[-3] ^= 16
            path.write_bytes(data)
            return sums
        from safetensors.torch import save_file

        state = load_file(path)
        left, right = (
            key
            for key in state
            if key.endswith(("0.self_attn.q_proj.weight", "1.self_attn.q_proj.weight")) and "language" in key
        )
        if fault == "swapped":
            state[left], state[right] = state[right].clone(), state[left].clone()
        else:
            del state[left]
        save_file({name: each.clone() for name, each in state.items()}, path, {"format": "pt"})
        return sums

    monkeypatch.setattr(package, "write", spoil)
    run = write_run(tmp_path / "run", halves, ALL)
    with pytest.raises(ExportNotProvenError, match="is not the trained model"):
        export(run, out=tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_what_a_killed_export_left_is_swept(halves, tmp_path):
    for name, mark in ((".model.123.partial", ".being-exported"), (".model.5.partial", "mine")):
        (tmp_path / name).mkdir()
        (tmp_path / name / mark).write_bytes(b"half")
    export(write_run(tmp_path / "run", halves, ALL), out=tmp_path / "model")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".model.5.partial", "model", "run"]


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)], capture_output=True)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_too_small_is_told_before_and_a_full_one_leaves_nothing(halves, tmp_path, small_disk, monkeypatch):
    run = write_run(tmp_path / "run", halves, ALL)
    with pytest.raises(NoRoomError, match="are free"):
        export(run, out=small_disk / "model")
    assert not list(small_disk.iterdir())
    monkeypatch.setattr(package, "require_room", lambda folder, needed: None)  # others fill a disk meanwhile
    with pytest.raises(NoRoomError, match="No space left on device"):
        export(run, out=small_disk / "model")
    assert not list(small_disk.iterdir())


def test_a_checkpoint_that_lacks_an_adapter_is_refused(halves, tmp_path):
    from cxr_lightning.checkpoint import manifest, weights

    run = write_run(tmp_path / "run", halves, ALL)
    path = open_run(run).weights()
    learned = load_file(path)
    lost = next(name for name in learned if "lora_B" in name)
    with safe_open(path, framework="pt") as file:
        about = json.loads(file.metadata()["about"])
    weights.save(path, {k: v for k, v in learned.items() if k != lost}, base=about["base"], lora=about["lora"])
    manifest.write(path.parent, {path.name: manifest.entry(path)})
    with pytest.raises(weights.UnknownWeightError, match="lacks"):
        export(run, out=tmp_path / "model")
    shutil.rmtree(run)
    assert not list(tmp_path.iterdir())
