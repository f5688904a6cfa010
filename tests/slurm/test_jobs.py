"""The job scripts as they are, on two nodes of a real Slurm: stage 1, requeued midway, then stage 2 from its run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from safetensors import safe_open

from cxr_lightning.checkpoint.runs import newest_checkpoint
from tests.slurm.cluster import Cluster, until
from tests.slurm.jobs import ROOT, ended_well, submit

SCRIPTS = sorted((ROOT / "slurm").glob("*.sh"))


@pytest.mark.slurm
@pytest.mark.ranks
def test_both_stages_run_on_two_nodes_as_shipped(slurm: Cluster, parts: dict[str, str], shards: Path, tmp_path: Path):
    first, second = tmp_path / "stage1", tmp_path / "stage2"
    data = ["--data.shards", str(shards)]
    model = ["--model.source.vision", parts["siglip"], "--model.source.language", parts["language"]]
    one = submit(slurm, 1, first, [*data, *model, "--trainer.max_steps", "80"])
    inherit = ["--model.init_from", str(first), "--trainer.max_steps", "5"]
    two = submit(slurm, 2, second, [*data, *inherit], f"--dependency=afterok:{one}")

    # What Slurm does when a node is lost or a job is preempted; the same job starts again, from its newest checkpoint.
    until(lambda: newest_checkpoint(first) is not None, 120, "no checkpoint was saved")
    slurm.call("scontrol", "requeue", one)

    aligned, steps, log = ended_well(slurm, one, first)
    assert (aligned.stage, aligned.provenance["ranks"]) == ("alignment", 2)
    assert steps == list(range(1, 80 + 1))
    assert log.count("What learns") == 2, "the log of the first attempt is kept"
    assert aligned.checkpoint().name == "step-0000080"

    tuned, steps, _ = ended_well(slurm, two, second)
    assert (tuned.stage, tuned.provenance["ranks"]) == ("instruction", 2)
    assert steps == list(range(1, 5 + 1))
    assert tuned.provenance["inherits"]["run"] == str(first)
    with safe_open(tuned.weights(), framework="np") as weights:
        names = " ".join(weights.keys())
    assert "multi_modal_projector" in names
    assert "lora_A" in names


@pytest.mark.slurm
@pytest.mark.ranks
def test_the_language_stage_runs_on_two_nodes_as_shipped(
    slurm: Cluster, parts: dict[str, str], shards: Path, tmp_path: Path
):
    run = tmp_path / "stage0"
    language = ["--model.source.language", parts["language"], "--trainer.max_steps", "5"]
    tuned, steps, _ = ended_well(slurm, submit(slurm, 0, run, ["--data.shards", str(shards), *language]), run)
    assert (tuned.stage, tuned.provenance["ranks"]) == ("language", 2)
    assert steps == list(range(1, 5 + 1))


@pytest.mark.slurm
@pytest.mark.parametrize("gpus", ["--gpus-per-node=8", "--gres=gpu:8"])
def test_scripts_are_accepted_however_a_cluster_counts_gpus(gpus: str, slurm: Cluster, tmp_path: Path):
    for stage in ("stage0.sh", "stage1.sh", "stage2.sh"):
        text = (ROOT / "slurm" / stage).read_text()
        assert "#SBATCH --gpus-per-node=8\n" in text
        script = tmp_path / stage
        script.write_text(text.replace("--gpus-per-node=8", gpus))
        slurm.call("sbatch", "--test-only", f"--chdir={ROOT}", "--cpus-per-task=1", script)


@pytest.mark.quick
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_scripts_are_valid_bash(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
