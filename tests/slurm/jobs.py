"""Submitting the shipped job scripts to the test cluster, and waiting for what they do."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from cxr_lightning.checkpoint.runs import Run, open_run
from tests.slurm.cluster import Cluster

ROOT = Path(__file__).parents[2]
TWO_NODES = ("--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=1", "--gpus-per-node=4", "--time=5")
SMALL = (
    *("--config", "configs/scale/cpu.yaml", "--panels.studies", "4", "--panels.max_new_tokens", "4"),
    *("--data.global_batch", "4", "--data.micro_batch", "2", "--data.epochs", "10"),
    *("--checkpoint.every_n_steps", "5", "--validate_every_n_steps", "5", "--trainer.log_every_n_steps", "1"),
)


def submit(slurm: Cluster, stage: int, run: Path, options: list[str], *sbatch: str) -> str:
    where = (f"--chdir={ROOT}", f"--output={run}.log", exports())
    script = ROOT / "slurm" / f"stage{stage}.sh"
    return slurm.call("sbatch", "--parsable", *where, *TWO_NODES, *sbatch, script, "--run", run, *SMALL, *options)


def exports(**more: str) -> str:
    """Returns sbatch's option for what a site would write into site.sh, and more."""
    site = {"CXR_VENV": sys.prefix, "HF_HUB_OFFLINE": "1", "CXR_PREFLIGHT": "0", **more}
    return "--export=" + ",".join(["ALL", *(f"{name}={value}" for name, value in site.items())])


def ended_well(slurm: Cluster, job: str, run: Path) -> tuple[Run, list[int], str]:
    """Waits for a job, and returns its run, the steps whose loss it logged, and its log."""
    facts = slurm.wait(job, 240)
    log = Path(f"{run}.log").read_text()
    assert facts["JobState"] == "COMPLETED", log
    assert facts["NodeList"] == "node[1-2]"
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert any("validate/loss" in line for line in lines)
    return open_run(run), [line["step"] for line in lines if "train/loss" in line], log
