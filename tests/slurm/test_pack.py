"""pack.sh as it is: an array whose parts, on two nodes and one of them preempted, make what one machine makes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cxr_lightning.shards.packing import pack
from tests.shards.tables import picture, table_of
from tests.slurm.cluster import Cluster
from tests.slurm.jobs import ROOT, exports

pytestmark = [pytest.mark.slurm, pytest.mark.slow]


def test_an_array_makes_what_one_machine_makes(slurm: Cluster, tmp_path: Path):
    table = table_of(tmp_path / "in", 60)
    for number in range(60):
        picture(number, 1200, 1000).save(table / "images" / f"{number:03d}.png", compress_level=0)
    pack("table", table, out=tmp_path / "one", samples_per_shard=4)
    job = slurm.call(
        "sbatch", "--parsable", f"--chdir={ROOT}", f"--output={tmp_path}/%a.log", exports(), "--array=4-10:2",
        "--cpus-per-task=1", "--mem=1000", "--time=5", ROOT / "slurm" / "pack.sh",
        "table", table, "--out", tmp_path / "two", "--samples_per_shard", "4",
    )  # fmt: skip
    _preempt_one(slurm, job, tmp_path / "two.partial" / "made")
    for task in range(4, 11, 2):
        facts = slurm.wait(f"{job}_{task}", 240)
        assert facts["JobState"] == "COMPLETED", (tmp_path / f"{task}.log").read_text()
    files = [{path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("one", "two")]
    assert files[0] == files[1]
    assert not (tmp_path / "two.partial").exists()


def _preempt_one(slurm: Cluster, job: str, made: Path) -> None:
    deadline = time.monotonic() + 120
    while not list(made.glob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.1)
    if slurm.job(f"{job}_4")["JobState"] == "RUNNING":
        slurm.call("scontrol", "requeue", f"{job}_4")


def test_an_array_with_gaps_is_refused(slurm: Cluster, tmp_path: Path):
    job = slurm.call(
        "sbatch", "--parsable", f"--chdir={ROOT}", f"--output={tmp_path}/%a.log", exports(), "--array=3,7,8",
        "--cpus-per-task=1", "--mem=500", "--time=5", ROOT / "slurm" / "pack.sh", "table", tmp_path, "--out", tmp_path,
    )  # fmt: skip
    assert slurm.wait(f"{job}_3", 120)["JobState"] == "FAILED"
    assert "CXR_PARTS" in (tmp_path / "3.log").read_text()
