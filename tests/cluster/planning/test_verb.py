"""`cxr plan` as a user meets it: without weights, GPU or shards; what it says of a run that is there is so."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from cxr_lightning.cli import run
from cxr_lightning.cluster.planning.asking import Asked
from cxr_lightning.cluster.planning.verb import figures, prepare
from cxr_lightning.export.package import export
from tests.fitting import ROOT

SAID = ["--samples", "100000", "--tokens", "300", "--answer_tokens", "80"]
FEW = ["--data.global_batch", "16", "--data.micro_batch", "2"]


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """Configurations lie here; a terminal has 80 columns."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture(scope="module")
def outlines(parts, tmp_path_factory) -> list[str]:
    """Options that name a model of which nothing but two config.json is there."""
    folder, named = tmp_path_factory.mktemp("outlines"), []
    wide = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 3, "head_dim": 64}
    wide |= {"num_attention_heads": 16, "num_key_value_heads": 16}
    for option, part, more in (("vision", parts["clip"], {}), ("language", parts["language"], wide)):
        (folder / option).mkdir()
        config = json.loads((Path(part) / "config.json").read_text())
        (folder / option / "config.json").write_text(json.dumps({**config, **more}))
        named += [f"--model.source.{option}", str(folder / option)]
    return named


def test_a_plan_needs_two_config_files(outlines, tmp_path, capsys):
    out = tmp_path / "plan"
    assert run(["plan", "configs/stage2.yaml", *outlines, *SAID, *FEW, "--nodes", "1,2,128", "--out", str(out)]) == 0
    told = capsys.readouterr().out
    for heading in ("What learns", "What it comes to", "all activations kept", "language computed again", "From one"):
        assert heading in told
    assert "It fits: " in told
    assert max(map(len, told.splitlines())) <= 80
    record = json.loads((out / "plan.json").read_text())
    options = {(each["zero_stage"], each["offload_optimizer"]) for each in record["memory"]}
    assert options == {(0, False), (1, False), (2, False), (2, True), (3, False), (3, True)}
    assert [each["configured"] for each in record["memory"]].count(True) == 1
    assert all(sum(each["bytes"].values()) <= each["total"] for each in record["memory"])
    assert [point["nodes"] for point in record["scaling"]] == [1, 2, 128]
    assert (out / "scaling.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("more", "remedy"),
    [
        (["--data.micro_batch", "8", "--gpu_memory", "1.4"], "--data.micro_batch 4."),
        (
            ["--data.max_tokens", "3000", "--tokens", "2500", "--gpu_memory", "1.4"],
            "--model.compute.activation_checkpointing",
        ),
        (["--gpu_memory", "1"], "larger GPUs."),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_does_not_fit_is_told_with_what_would(more, remedy, outlines, capsys):
    few = ["--data.global_batch", "64", "--data.micro_batch", "1", "--nodes", "1"]
    assert run(["plan", "configs/stage2.yaml", *outlines, *SAID, *few, *more]) == 0
    told = capsys.readouterr().out.split("It does not fit: ")[1]
    assert told.split("Remedy: ")[1].startswith(remedy)


def test_a_cpu_is_told_of_without_gpus(outlines, capsys):
    assert run(["plan", "configs/stage1.yaml", "configs/scale/cpu.yaml", *outlines, *SAID, *FEW]) == 0
    told = capsys.readouterr().out
    assert "of each rank on a CPU" in told
    assert "A rank takes " in told
    assert "GPU" not in told


@pytest.mark.parametrize("stage", [1, 2])
def test_what_is_said_of_a_run_is_so(stage, runs, shards, tmp_path):
    """Checkpoint and export weigh what was planned; what earlier stages learned is counted."""
    trained = runs[f"stage{stage}"]
    config = trained / "config.yaml"
    planned = prepare(Asked.read([str(config), "--data.shards", str(shards)]))
    values = figures(planned)
    checkpoint = sum(file.stat().st_size for file in (trained / "checkpoints/step-0000006").iterdir())
    assert values["checkpoint"] < checkpoint < values["checkpoint"] + 30_000  # the tensors' names
    export(trained, out=tmp_path / "exported")
    weights = sum(file.stat().st_size for file in (tmp_path / "exported").glob("*.safetensors"))
    assert values["export"] == pytest.approx(weights, rel=0.1)
    recorded = json.loads((trained / "run.json").read_text())
    assert recorded["parameters"] == {"total": planned.counts.total, "learning": planned.counts.learning}
    assert recorded["ranks"] == planned.asked.ranks


@pytest.mark.parametrize(
    ("more", "remedy"),
    [
        ([], "--samples and --tokens"),
        ([*SAID[:2], "--tokens", "10"], "images included"),
        ([*SAID, "--gpu", "abacus"], "--gpu_memory"),
        ([*SAID, "--gpu", "abacus", "--gpu_memory", "16"], "--gpu_tflops"),
        ([*SAID, "--nodes", "some"], "--nodes 1,2,4"),
        ([*SAID, "--mfu", "30"], "more than 0, and 1 at most"),
        ([*SAID, "--trainer.strategy", "ddp"], "leave trainer.strategy"),
        (["--samples", "5"], "--data.epochs"),
        ([*SAID, "--gpus", "3"], "a multiple of 6"),
    ],
)
def test_what_is_not_said_is_asked_for(more, remedy, outlines, capsys):
    assert run(["plan", "configs/stage1.yaml", *outlines, *FEW, *more]) == 1
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert remedy in " ".join(told.split())


def test_without_a_model_there_is_no_plan(capsys):
    assert run(["plan", "configs/stage2.yaml", *SAID, "--model.init_from", "null"]) == 1
    assert "--model.source.base" in capsys.readouterr().err


def test_a_family_whose_images_are_unlike_needs_its_processor(tmp_path, parts, capsys):
    from tests.families.models import write_qwen2

    whole = write_qwen2(tmp_path / "whole", parts["language"])
    (tmp_path / "bare").mkdir()
    shutil.copy(whole / "config.json", tmp_path / "bare")
    assert run(["plan", "configs/stage2.yaml", "--model.source.base", str(tmp_path / "bare"), *SAID, *FEW]) == 1
    assert "no weights are needed" in capsys.readouterr().err
