"""pack.sh as it is: an array whose parts, on two nodes and one of them preempted, make what one machine makes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cxr_lightning.shards.packing import pack
from tests.shards.tables import picture, table_of
from tests.slurm.cluster import Cluster
from tests.slurm.jobs import ROOT, exports


def on_slurm(test: Callable[..., None]) -> Callable[..., None]:
    return pytest.mark.slurm(pytest.mark.slow(test))


@on_slurm
def test_an_array_makes_what_one_machine_makes(slurm: Cluster, tmp_path: Path):
    table = table_of(tmp_path / "in", 60)
    for number in range(60):
        picture(number, 1200, 1000).save(table / "images" / f"{number:03d}.png", compress_level=0)
    pack("table", table, out=tmp_path / "one", samples_per_shard=4)
    job = slurm.call(
        "sbatch", "--parsable", f"--chdir={ROOT}", f"--output={tmp_path}/%a.log", exports(), "--array=0-3",
        "--cpus-per-task=1", "--mem=1000", "--time=5", ROOT / "slurm" / "pack.sh",
        "table", table, "--out", tmp_path / "two", "--samples_per_shard", "4",
    )  # fmt: skip
    _preempt_one(slurm, job, tmp_path / "two.partial" / "made")
    for task in range(4):
        facts = slurm.wait(f"{job}_{task}", 240)
        assert facts["JobState"] == "COMPLETED", (tmp_path / f"{task}.log").read_text()
    files = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two")]
    assert files[0] == files[1]
    assert not (tmp_path / "two.partial").exists()


def _preempt_one(slurm: Cluster, job: str, made: Path) -> None:
    deadline = time.monotonic() + 120
    while not list(made.glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.1)
    if slurm.job(f"{job}_0")["JobState"] == "RUNNING":
        slurm.call("scontrol", "requeue", f"{job}_0")


@on_slurm
def test_an_array_with_gaps_is_refused(slurm: Cluster, tmp_path: Path):
    job = slurm.call(
        "sbatch", "--parsable", f"--chdir={ROOT}", f"--output={tmp_path}/%a.log", exports(), "--array=3,7,8",
        "--cpus-per-task=1", "--mem=500", "--time=5", ROOT / "slurm" / "pack.sh", "table", tmp_path, "--out", tmp_path,
    )  # fmt: skip
    assert slurm.wait(f"{job}_3", 120)["JobState"] == "FAILED"
    assert "CXR_PARTS" in (tmp_path / "3.log").read_text()


def of_task(tmp_path: Path, ids: list[int], task: int, **more: str) -> subprocess.CompletedProcess[str]:
    """Runs the script as Slurm would a task, with an srun that says what it was told to run."""
    (tmp_path / "bin").mkdir(exist_ok=True)
    srun = tmp_path / "bin" / "srun"
    srun.write_text('#!/bin/sh\necho "$@"\n')
    srun.chmod(0o755)
    (tmp_path / "venv" / "bin").mkdir(parents=True, exist_ok=True)
    (tmp_path / "venv" / "bin" / "activate").write_text("")
    given = {
        "PATH": f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path),
        "CXR_VENV": str(tmp_path / "venv"), "SLURM_ARRAY_TASK_COUNT": str(len(ids)), "SLURM_JOB_ID": "1",
        "SLURM_ARRAY_TASK_MIN": str(min(ids)), "SLURM_ARRAY_TASK_MAX": str(max(ids)),
        "SLURM_ARRAY_TASK_STEP": "1", "SLURM_ARRAY_TASK_ID": str(task), **more,
    }  # fmt: skip
    return subprocess.run(["bash", "slurm/pack.sh", "table", "x"], cwd=ROOT, env=given, capture_output=True, text=True)


@pytest.mark.parametrize("ids", [list(range(1, 17)), [4, 6, 8, 10], [0, 2, 4], [0, 1, 5]])
def test_an_array_whose_numbers_are_not_its_parts_is_refused(tmp_path: Path, ids: list[int]):
    done = of_task(tmp_path, ids, ids[0])
    assert done.returncode == 2
    assert "CXR_PARTS" in done.stderr


def test_a_task_again_makes_the_part_that_it_was(tmp_path: Path):
    first = of_task(tmp_path, list(range(16)), 7)
    again = of_task(tmp_path, [3, 7], 7, CXR_PARTS="16")
    assert "--part 7/16" in first.stdout, first.stderr
    assert "--part 7/16" in again.stdout, again.stderr
