"""An exported folder is the trained model, for people who never heard of this package."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from cxr_lightning.checkpoint import manifest
from cxr_lightning.checkpoint.runs import RunError, open_run
from cxr_lightning.checkpoint.weights import OtherBaseError
from cxr_lightning.export.package import export
from cxr_lightning.export.proof import ExportNotProvenError
from cxr_lightning.export.room import ExportExistsError
from cxr_lightning.serve.dialogue import Dialogue
from cxr_lightning.serve.films import open_film
from cxr_lightning.serve.folder import NotAnExportError
from cxr_lightning.serve.local import Local
from tests.fitting import options, run_ranks

PLAIN = """
import sys
sys.modules["cxr_lightning"] = None  # cannot be imported here
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor
folder, image, question = sys.argv[1:]
processor = AutoProcessor.from_pretrained(folder)
model = AutoModelForImageTextToText.from_pretrained(folder)
content = [{"type": "image"}, {"type": "text", "text": question}]
text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
inputs = processor(images=Image.open(image).convert("RGB"), text=text, return_tensors="pt")
new = model.generate(**inputs, max_new_tokens=24)[:, inputs["input_ids"].shape[1]:]
print(repr(processor.batch_decode(new, skip_special_tokens=True)[0].strip()))
"""


@pytest.fixture(scope="module")
def exported(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "model"
    export(runs["stage2"], out=folder)
    return folder


def test_plain_transformers_writes_what_describe_writes(exported, phantoms):
    image = next(iter(sorted((phantoms / "images").glob("*.png"))))
    asked = Dialogue.ask(open_film(image), question="What is seen?")
    ours = Local(exported).answers([asked], max_new_tokens=24)[0]
    command = [sys.executable, "-c", PLAIN, str(exported), str(image), "What is seen?"]
    theirs = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/").stdout.strip()
    assert theirs == repr(ours)
    assert ours  # an empty answer would equal anything empty


def test_the_folder_is_complete_and_holds_no_pickle(exported):
    names = {path.name for path in exported.iterdir()}
    assert {
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "processor_config.json",
        "chat_template.jinja",
    } <= names
    assert {"README.md", "provenance.json", "model.safetensors"} <= names
    assert not {path.suffix for path in exported.iterdir()} & {".bin", ".pt", ".pth", ".pkl"}
    assert "quantization_config" not in (exported / "config.json").read_text()


def test_it_says_where_it_comes_from(exported, runs):
    provenance = json.loads((exported / "provenance.json").read_text())
    assert provenance["stage"] == "instruction"
    assert provenance["inherits"]["provenance"]["stage"] == "alignment"
    assert all(check["holds"] for check in provenance["proof"])
    assert "Not a medical device" in (exported / "README.md").read_text()


def test_merged_weights_are_w_plus_scaled_ba(exported, runs):
    learned = load_file(open_run(runs["stage2"]).weights())
    name = next(name for name in learned if name.endswith("q_proj.lora_A.default.weight"))
    layer = name.removesuffix(".lora_A.default.weight")
    update = learned[layer + ".lora_B.default.weight"] @ learned[name]
    assert update.abs().max() > 0  # the adapter did learn
    provenance = open_run(runs["stage2"]).provenance
    base = load_file(Path(provenance["model"]["language"]) / "model.safetensors")
    inner = layer.removeprefix("model.language_model.")
    expected = base[f"model.{inner}.weight"] + 8 / 4 * update
    with safe_open(exported / "model.safetensors", framework="pt") as file:
        merged = next(file.get_tensor(key) for key in file.keys() if key.endswith(f"{inner}.weight"))  # noqa: SIM118
    torch.testing.assert_close(merged, expected, atol=1e-7, rtol=0)


def test_vision_weights_have_the_names_that_vllm_reads(exported):
    with safe_open(exported / "model.safetensors", framework="pt") as file:
        towers = [key for key in file.keys() if "vision_tower" in key]  # noqa: SIM118
    assert towers
    assert all("vision_tower.vision_model." in key for key in towers)


def test_a_stage_one_run_exports_too(runs, tmp_path):
    export(runs["stage1"], out=tmp_path / "aligned", dtype="bfloat16")
    assert json.loads((tmp_path / "aligned" / "config.json").read_text())["projector_hidden_act"] in ("relu", "linear")


def test_an_earlier_export_is_not_overwritten_unasked(exported, runs):
    with pytest.raises(ExportExistsError, match="--overwrite"):
        export(runs["stage2"], out=exported)


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"has no run\.json"):
        export(tmp_path, out=tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_run_without_checkpoint_is_refused(runs, tmp_path):
    shutil.copytree(runs["stage2"], tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    with pytest.raises(RunError, match="no complete checkpoint"):
        export(tmp_path / "run", out=tmp_path / "model")


def test_a_damaged_checkpoint_is_refused(runs, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs["stage2"], run)
    weights = open_run(run).weights()
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(manifest.DamagedCheckpointError, match="checksum differs"):
        export(run, out=tmp_path / "model")
    assert not list(tmp_path.glob("model*"))


def test_a_half_written_checkpoint_is_never_taken(runs, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs["stage2"], run)
    newest = open_run(run).checkpoint()
    (newest / manifest.NAME).unlink()
    assert open_run(run).checkpoint() != newest


def test_weights_of_another_base_are_refused(runs, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs["stage2"], run)
    weights = open_run(run).weights()
    save_file(load_file(weights), weights, metadata={"about": json.dumps({"base": "0" * 32})})
    kept = json.loads((weights.parent / manifest.NAME).read_text())["files"]
    manifest.write(weights.parent, {name: manifest.entry(weights.parent / name) for name in kept})
    with pytest.raises(OtherBaseError, match="another base model"):
        export(run, out=tmp_path / "model")
    assert not list(tmp_path.glob("model*"))


def test_a_half_export_is_not_served(exported, tmp_path):
    shutil.copytree(exported, tmp_path / "half", ignore=shutil.ignore_patterns("processor_config.json"))
    with pytest.raises(NotAnExportError, match=r"processor_config\.json"):
        Local(tmp_path / "half")


def test_what_is_no_export_is_never_replaced(runs, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
    with pytest.raises(ExportExistsError, match="no earlier export"):
        export(runs["stage2"], out=tmp_path / "thesis", overwrite=True)
    with pytest.raises(ExportExistsError, match="no earlier export"):
        export(runs["stage2"], out=runs["stage2"], overwrite=True)
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "years of work"


def test_an_export_is_replaced_when_asked(exported, runs, tmp_path):
    shutil.copytree(exported, tmp_path / "model")
    (tmp_path / "model" / "old").touch()
    export(runs["stage2"], out=tmp_path / "model", overwrite=True)
    assert not (tmp_path / "model" / "old").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_merge_that_loses_the_adapter_is_never_proven(runs, tmp_path, monkeypatch, dtype):
    monkeypatch.setattr("cxr_lightning.export.merge.Lora.scale", 0.0)
    with pytest.raises(ExportNotProvenError, match="not the trained model"):
        export(runs["stage2"], out=tmp_path / "model", dtype=dtype)
    assert not list(tmp_path.iterdir())


def test_half_precision_exports(runs, tmp_path):
    export(runs["stage2"], out=tmp_path / "model", dtype="float16")
    with safe_open(tmp_path / "model" / "model.safetensors", framework="pt") as file:
        assert {file.get_tensor(key).dtype for key in file.keys()} == {torch.float16}  # noqa: SIM118


def test_the_adapters_scale_is_the_one_they_were_learned_with(runs, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs["stage2"], run)
    record = json.loads((run / "run.json").read_text())
    record["lora"]["alpha"] = 64  # whatever the record says: the settings lie with the weights
    (run / "run.json").write_text(json.dumps(record))
    export(run, out=tmp_path / "one")
    export(runs["stage2"], out=tmp_path / "other")
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "other"))
    assert all(torch.equal(one[name], other[name]) for name in other)


@pytest.mark.ranks
def test_a_joined_model_trained_in_bfloat16_exports(shards, parts, tmp_path):
    first, second = tmp_path / "stage1", tmp_path / "stage2"
    few = ["--trainer.devices", "1", "--trainer.max_steps", "2", "--trainer.precision", "bf16-true"]
    fits = [[*options(1, shards, first, parts), *few]]
    fits += [[*options(2, shards, second), "--model.init_from", str(first), *few]]
    run_ranks(1, fits, tmp_path)
    export(second, out=tmp_path / "model")
    export(first, out=tmp_path / "aligned")
    assert json.loads((tmp_path / "model" / "config.json").read_text())["dtype"] == "bfloat16"
