"""pipeline.sh as it is: four jobs that wait for one another, from shards to an evaluated model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import safe_open

from cxr_lightning.checkpoint.runs import open_run
from tests.slurm.cluster import Cluster
from tests.slurm.jobs import ROOT, SMALL

pytestmark = [pytest.mark.slurm, pytest.mark.ranks, pytest.mark.slow]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder like the repository's, where runs and models may be left."""
    for name in ("slurm", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def pipeline(slurm: Cluster, checkout: Path, shards: Path, **words: str) -> list[str]:
    """Submits the four jobs and returns their numbers."""
    site = {"CXR_VENV": sys.prefix, "HF_HUB_OFFLINE": "1"}
    command = ["bash", "slurm/pipeline.sh", str(shards)]
    done = subprocess.run(
        command, cwd=checkout, env={**slurm.env, **site, **words}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return [line.split("job ")[1].split()[0] for line in done.stdout.splitlines()[:4]]


def logs(checkout: Path) -> str:
    return "\n".join(f"{path.name}\n{path.read_text()[-2500:]}" for path in sorted(checkout.glob("*.log")))


def test_the_pipeline_runs_from_shards_to_an_evaluated_model(
    slurm: Cluster, parts: dict[str, str], shards: Path, checkout: Path
):
    small = " ".join([*SMALL, "--trainer.max_steps 5"])
    small = small.replace("configs/scale", str(ROOT / "configs/scale"))
    jobs = pipeline(
        slurm, checkout, shards,
        NAME="tiny", JOB="--mem=2000 --cpus-per-task=1",
        TRAIN_JOB="--nodes=2 --ntasks-per-node=1 --gres=gpu:4 --time=5",
        STAGE1=f"{small} --model.source.vision {parts['siglip']} --model.source.language {parts['language']}",
        STAGE2=small, EVALUATE="--limit 2 --workers 1 --draws 20 --max_new_tokens 4",
    )  # fmt: skip
    for job in jobs:
        facts = slurm.wait(job, 240)
        assert facts["JobState"] == "COMPLETED", logs(checkout)
    assert open_run(checkout / "runs" / "tiny-stage1").provenance["ranks"] == 2
    tuned = open_run(checkout / "runs" / "tiny-stage2")
    assert tuned.provenance["inherits"]["run"] == str(checkout / "runs" / "tiny-stage1")
    with safe_open(tuned.weights(), framework="np") as weights:
        names = " ".join(weights.keys())
    assert "multi_modal_projector" in names
    assert "lora_A" in names
    assert (checkout / "models" / "tiny" / "config.json").exists()
    metrics = json.loads((checkout / "models" / "tiny-evaluation" / "metrics.json").read_text())
    assert metrics["model"] == "tiny"


def test_what_follows_a_job_that_failed_is_cancelled(slurm: Cluster, shards: Path, checkout: Path):
    jobs = pipeline(
        slurm, checkout, shards, NAME="wrong", JOB="--mem=2000 --cpus-per-task=1",
        TRAIN_JOB="--ntasks-per-node=1 --time=5", STAGE1="--no_such_option 1",
    )  # fmt: skip
    assert slurm.wait(jobs[0], 120)["JobState"] == "FAILED"
    assert slurm.job(jobs[0])["Restarts"] == "0", "a mistake is not tried again"
    for job in jobs[1:]:
        assert slurm.wait(job, 60)["JobState"] == "CANCELLED"
