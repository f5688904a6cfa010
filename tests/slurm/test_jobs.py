"""The job scripts as they are, on two nodes of a real Slurm: stage 1, requeued midway, then stage 2 from its run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import safe_open

from cxr_lightning.checkpoint.runs import Run, newest_checkpoint, open_run
from tests.slurm.cluster import Cluster, until

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted((ROOT / "slurm").glob("*.sh"))

TWO_NODES = ("--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=1", "--gpus-per-node=4", "--time=5")
SMALL = (
    *("--config", "configs/scale/cpu.yaml", "--panels.max_new_tokens", "4"),
    *("--data.global_batch", "4", "--data.micro_batch", "2", "--data.epochs", "10"),
    *("--checkpoint.every_n_steps", "5", "--validate_every_n_steps", "5", "--trainer.log_every_n_steps", "1"),
)


def submit(slurm: Cluster, stage: int, run: Path, options: list[str], *sbatch: str) -> str:
    environment = {"CXR_VENV": sys.prefix, "HF_HUB_OFFLINE": "1"}
    exported = ",".join(["ALL", *(f"{name}={value}" for name, value in environment.items())])
    where = (f"--chdir={ROOT}", f"--output={run}.log", f"--export={exported}")
    script = ROOT / "slurm" / f"stage{stage}.sh"
    return slurm.call("sbatch", "--parsable", *where, *TWO_NODES, *sbatch, script, "--run", run, *SMALL, *options)


def ended_well(slurm: Cluster, job: str, run: Path) -> tuple[Run, list[int], str]:
    """Waits for a job, and returns its run, the steps whose loss it logged, and its log."""
    facts = slurm.wait(job, 240)
    log = Path(f"{run}.log").read_text()
    assert facts["JobState"] == "COMPLETED", log
    assert facts["NodeList"] == "node[1-2]"
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert any("validate/loss" in line for line in lines)
    return open_run(run), [line["step"] for line in lines if "train/loss" in line], log


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
