"""The job scripts as they are, on two nodes of a real Slurm; stages 1 and 2 run in test_pipeline.py and beside it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster
from tests.slurm.jobs import ROOT, ended_well, submit

SCRIPTS = sorted((ROOT / "slurm").glob("*.sh"))


@pytest.mark.slurm
@pytest.mark.ranks
def test_the_language_stage_runs_on_two_nodes_as_shipped(
    slurm: Cluster, parts: dict[str, str], shards: Path, tmp_path: Path
):
    run = tmp_path / "stage0"
    language = ["--model.source.language", parts["language"], "--trainer.max_steps", "5"]
    data = ["--data.shards", str(shards), "--data.stage_to", "/dev/shm/near"]  # each node has its own
    tuned, steps, log = ended_well(slurm, submit(slurm, 0, run, [*data, *language]), run)
    assert (tuned.stage, tuned.provenance["ranks"]) == ("language", 2)
    assert steps == list(range(1, 5 + 1))
    assert "shards to /dev/shm/near/" in log
    assert log.count(" on 2 nodes in ") == 1, "staged once on each"


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
