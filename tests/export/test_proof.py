"""Each line of the proof can fail: what would be another model, or another behaviour, is not kept."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from cxr_lightning.checkpoint import manifest, weights
from cxr_lightning.checkpoint.runs import open_run
from cxr_lightning.export import contents, package, trial
from cxr_lightning.export.merge import Merged
from cxr_lightning.export.package import export
from cxr_lightning.export.proof import ExportNotProvenError, note_rounding, prove_merge, prove_texts
from cxr_lightning.export.room import ExportExistsError
from cxr_lightning.model import tiny
from cxr_lightning.model.source import ModelSource
from cxr_lightning.model.trainable import Trainable
from tests.export.made import write_run
from tests.families.models import write_gemma3, write_qwen2_5

BOTH = Trainable(projector="full", language="lora")


@pytest.fixture(scope="module")
def deep(parts, tmp_path_factory):
    """A language model of eight layers, among which one lost adapter hides in the logits."""
    language = tiny.write_language(tmp_path_factory.mktemp("deep") / "language", layers=8)
    return ModelSource(vision=parts["clip"], language=str(language))


@pytest.fixture(scope="module")
def run(deep, tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("made") / "run", deep, BOTH)


def without(run, where, *, ends):
    """Copies a run whose checkpoint lacks some tensors."""
    folder = where / "lacking"
    record = open_run(run)
    path = folder / record.weights().relative_to(run)
    path.parent.mkdir(parents=True)
    (folder / "run.json").write_text((run / "run.json").read_text())
    learned = {name: each for name, each in load_file(record.weights()).items() if not name.endswith(ends)}
    weights.save(path, learned, base=record.provenance["base_fingerprint"], lora=record.provenance["lora"])
    manifest.write(path.parent, {path.name: manifest.entry(path)})
    return folder


@pytest.mark.parametrize("ends", ["projector.weight", "projector.bias", "layers.3.mlp.up_proj.lora_B.default.weight"])
def test_a_checkpoint_that_lacks_what_learned_is_refused(run, tmp_path, ends):
    with pytest.raises(weights.UnknownWeightError, match="lacks"):
        export(without(run, tmp_path, ends=ends), out=tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["lacking"]


@pytest.mark.parametrize("layer", ["6.self_attn.q_proj", "7.self_attn.k_proj", "0.mlp.down_proj"])
def test_one_adapter_that_is_not_merged_is_named(run, tmp_path, monkeypatch, layer):
    merge = Merged.merge

    def forget(self, name, dtype):
        return self.stored(name) if f"{layer}.weight" in name and "language" in name else merge(self, name, dtype)

    monkeypatch.setattr(Merged, "merge", forget)
    with pytest.raises(ExportNotProvenError, match=rf"each adapter is merged: 55 of 56.*{layer}"):
        export(run, out=tmp_path / "model", dtype="bfloat16")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("text_config", "rms_norm_eps", 1e-4),
        ("vision_config", "layer_norm_eps", 1e-3),
        ("vision_config", "hidden_act", "gelu"),
        ("text_config", "rope_parameters", {"rope_type": "default", "rope_theta": 5e4}),
    ],
)
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_a_configuration_that_computes_otherwise_is_found(run, tmp_path, monkeypatch, part, name, value, dtype):
    written = package.write_beside

    def spoil(folder, *rest):
        written(folder, *rest)
        config = json.loads((folder / "config.json").read_text())
        config[part][name] = value
        (folder / "config.json").write_text(json.dumps(config))

    monkeypatch.setattr(package, "write_beside", spoil)
    with pytest.raises(ExportNotProvenError, match="reloaded logits are the merged ones"):
        export(run, out=tmp_path / "model", dtype=dtype)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("generation_config.json", {"eos_token_id": 3}),
        ("generation_config.json", {"do_sample": True}),
        ("processor_config.json", {"image_processor": {"do_pad": False}}),
        ("processor_config.json", {"image_processor": {"do_center_crop": True}}),
    ],
)
def test_settings_that_trials_do_not_reach_are_compared(run, tmp_path, monkeypatch, file, change):
    written = package.write_beside

    def spoil(folder, *rest):
        written(folder, *rest)
        content = json.loads((folder / file).read_text())
        for name, value in change.items():
            content[name] = {**content[name], **value} if isinstance(value, dict) else value
        (folder / file).write_text(json.dumps(content))

    monkeypatch.setattr(package, "write_beside", spoil)
    with pytest.raises(ExportNotProvenError, match=r"template, images and ends|prompts and pixels"):
        export(run, out=tmp_path / "model")


def test_the_end_that_training_taught_ends_answers():
    class Ends:
        generation_config = type("Config", (), {"eos_token_id": 7})

    tokenizer = type("Tokenizer", (), {"eos_token_id": 1, "bos_token_id": 0, "pad_token_id": 1})
    processor = type("Processor", (), {"tokenizer": tokenizer})
    assert contents._generation(processor, Ends).eos_token_id == [1, 7]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("trainable", [BOTH, Trainable(projector="full")])
def test_gemma_stored_in_half_is_proven_in_every_type(parts, tmp_path, dtype, trainable):
    from transformers import AutoModelForImageTextToText

    base = write_gemma3(tmp_path / "base", parts["language"])
    AutoModelForImageTextToText.from_pretrained(base, dtype=torch.bfloat16).save_pretrained(base)
    export(write_run(tmp_path / "run", ModelSource(base=str(base)), trainable), out=tmp_path / "model", dtype=dtype)


def test_answers_hold_no_image_tokens(parts, tmp_path, monkeypatch):
    base = write_qwen2_5(tmp_path / "base", parts["language"])
    run = write_run(tmp_path / "run", ModelSource(base=str(base)), BOTH)
    seen = []
    monkeypatch.setattr(package, "image_ids", lambda config: seen.extend(trial.image_ids(config)) or seen)
    export(run, out=tmp_path / "model")
    assert len(set(seen)) == 2  # images' and videos'


def test_what_is_no_number_never_holds():
    good, bad = torch.ones(1, 8, 4), torch.full((1, 8, 4), torch.nan)
    for merged, trained in ([[good, bad], [good, good]], [[good, good], [good, bad]], [[bad, good], [good, good]]):
        check = prove_merge(merged, trained, [good, good])
        assert not check.holds
        assert "no numbers" in check.found


def test_every_token_of_an_answer_counts():
    trained = torch.zeros(1, 5, 6)
    trained[0, :, 2] = 1.0
    trained[0, 1, 3] = 1.0 + 1e-5
    assert prove_texts([[3, 2, 2]], [trained], tie=1e-4).holds  # the second token leads, where it does, by a tie
    found = prove_texts([[2, 5, 2]], [trained], tie=1e-4)
    assert not found.holds
    assert found.found.startswith("1 of 3 tokens")
    assert prove_texts([[]], [trained], tie=0.0).holds
    trained[0, :, 4] = 9.0
    assert prove_texts([[2, 2, 2]], [trained], tie=1e-4, silent=[4]).holds


def test_rounding_that_eats_what_was_learned_is_told():
    base, merged, coarse = torch.zeros(1, 8, 4), torch.full((1, 8, 4), 0.1), torch.full((1, 8, 4), 0.16)
    assert "float32 would keep it" in note_rounding([coarse], [merged], [base], torch.bfloat16).found
    assert "float32" not in note_rounding([merged + 0.001], [merged], [base], torch.bfloat16).found


def test_a_stage_after_one_that_taught_the_tower_exports(deep, tmp_path):
    run = write_run(tmp_path / "run", deep, Trainable(vision="full", projector="full", language="lora"))
    record = json.loads((run / "run.json").read_text())
    record["trainable"]["vision"] = "frozen"  # in this stage; the weights of the one before are in its checkpoint
    (run / "run.json").write_text(json.dumps(record))
    export(run, out=tmp_path / "model")
    assert "it learned" in (tmp_path / "model" / "README.md").read_text()


def test_a_name_cannot_write_into_the_card(run, tmp_path):
    name = "m | x\n## Evaluation `"
    export(run, out=tmp_path / name)
    card = (tmp_path / name / "README.md").read_text()
    assert card.count("\n## Evaluation") == 1
    assert "# m x Evaluation\n" in card


def test_folders_that_are_someones_own_stay(run, tmp_path):
    for name in ("model.old", "model.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.tex").write_text("years")
    export(run, out=tmp_path / "model")
    assert all((tmp_path / name / "thesis.tex").exists() for name in ("model.old", "model.partial"))


def test_what_appears_meanwhile_is_not_replaced(run, tmp_path, monkeypatch):
    described = package._describe

    def meanwhile(*args, **options):
        described(*args, **options)
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "precious.txt").write_text("mine")

    monkeypatch.setattr(package, "_describe", meanwhile)
    with pytest.raises(ExportExistsError, match="exists"):
        export(run, out=tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model" / "precious.txt").exists()


def test_two_exports_to_one_place_do_not_meet(run, tmp_path, monkeypatch):
    described = package._describe

    def second(*args, **options):
        with pytest.raises(ExportExistsError, match="another export writes there"):
            export(run, out=tmp_path / "model")
        described(*args, **options)

    monkeypatch.setattr(package, "_describe", second)
    export(run, out=tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_base_of_a_run_is_not_replaced_by_its_export(run, deep, tmp_path):
    export(run, out=tmp_path / "first")
    onward = write_run(tmp_path / "onward", ModelSource(base=str(tmp_path / "first")), BOTH)
    with pytest.raises(ExportExistsError, match="what the run was built on"):
        export(onward, out=tmp_path / "first", overwrite=True)


def test_links_and_places_that_cannot_be(run, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "model")
    export(run, out=tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "elsewhere" / "model" / "config.json").exists()
    (tmp_path / "file").touch()
    with pytest.raises(ExportExistsError, match="nothing can be written"):
        export(run, out=tmp_path / "file" / "model")


def test_a_failed_export_leaves_no_folders_that_it_made(run, tmp_path, monkeypatch):
    monkeypatch.setattr("cxr_lightning.export.merge.Lora.scale", 0.0)
    with pytest.raises(ExportNotProvenError):
        export(run, out=tmp_path / "x" / "y" / "model")
    assert not list(tmp_path.iterdir())
