"""The look before a training on two nodes of a real Slurm: each has its own network, name, /etc/hosts and /dev/shm."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import cxr_lightning
from tests.fitting import ROOT, options
from tests.slurm.cluster import Cluster

pytestmark = [pytest.mark.slurm, pytest.mark.ranks]


@dataclass
class Look:
    """What a look printed on rank 0 and on rank 1, the exit status of each, and what it wrote as JSON."""

    first: str
    second: str
    status: list[int]
    report: dict[str, Any]


@pytest.fixture(scope="module")
def looks(slurm: Cluster, shards: Path, parts: dict[str, str], tmp_path_factory) -> dict[str, Look]:
    """One step of two nodes takes all looks, one after another."""
    folder = tmp_path_factory.mktemp("preflight")
    other = shutil.copytree(Path(cxr_lightning.__file__).parent, folder / "other" / "cxr_lightning")
    (other / "study.py").write_text((other / "study.py").read_text() + "\n")
    near = Path("/dev/shm") / shards.name

    def arguments(*more: str, run: Path = folder / "run", where: Path = shards) -> list[str]:
        two = ["--trainer.num_nodes", "2", "--trainer.devices", "1"]
        return [*options(1, where, run, parts), *two, *more]

    listed: dict[str, dict[str, Any]] = {
        "good": {"arguments": arguments("--data.stage_to", str(folder / "scratch"))},
        "lacking": {
            "arguments": arguments("--checkpoint.keep", "1", run=Path("/dev/shm/run"), where=near),
            "lag": 2.0,
            "apart": {"0": {"copies": [str(shards)]}},
        },
        "unlike": {
            "arguments": arguments(),
            "apart": {
                "1": {
                    "arguments": ["--data.seed", "3"],
                    "environment": {"NCCL_DEBUG": "INFO"},
                    "package": str(other / "__init__.py"),
                }
            },
        },
        "absent": {"arguments": arguments("--preflight.wait", "3"), "absent": [1]},
    }
    for number, (name, look) in enumerate(listed.items()):
        output = folder / name
        look["arguments"] += ["--preflight.json", f"{output}.json"]
        look |= {"output": str(output), "port": 21000 + number}
    (folder / "looks.json").write_text(json.dumps(list(listed.values())))
    step = ["--nodes=2", "--ntasks-per-node=1", "--cpus-per-task=1", "--gpus-per-node=4", "--job-name=look"]
    command = [sys.executable, "-m", "tests.slurm.preflights", folder / "looks.json"]
    slurm.call("srun", *step, f"--chdir={ROOT}", "--export=ALL,OMP_NUM_THREADS=1,COLUMNS=100", *command, timeout=240)
    return {name: read(folder / name) for name in listed}


def read(output: Path) -> Look:
    told = [Path(f"{output}.told-{rank}") for rank in (0, 1)]
    first, second = (path.read_text() if path.exists() else "" for path in told)
    status = [int(path.read_text()) for path in sorted(output.parent.glob(f"{output.name}.[01]"))]
    return Look(first, second, status, json.loads(Path(f"{output}.json").read_text()))


def wrong(look: Look, node: str) -> set[str]:
    return {check for check, found in look.report["nodes"][node].items() if found["status"] == "failed"}


def test_good_nodes_pass_and_their_figures_are_there(looks):
    good = looks["good"]
    assert good.status == [0, 0], good.first
    assert good.report["ready"]
    assert good.report["seconds"] < 60
    first, second = (good.report["nodes"][node] for node in ("node1", "node2"))
    assert first["devices"]["told"].startswith("CPU"), "the accelerator is the configuration's word, not Slurm's GPUs"
    assert first["to neighbours"]["figures"]["bytes_per_second"]["node2"] > 0
    assert second["all-reduce"]["figures"]["bus_bytes_per_second"] > 0
    assert abs(second["clock"]["figures"]["seconds_ahead"]) < 1
    assert {"shards", "run folder", "scratch", "seen by all", "names", "limits", "model", "code"} <= set(second)
    assert good.first.count("Preflight of 2 nodes, 2 ranks") == 1
    assert "Ready after" in good.first
    assert not good.second, "only rank 0 speaks"


def test_the_look_leaves_nothing_behind(looks, shards, tmp_path_factory):
    folder = next(tmp_path_factory.getbasetemp().glob("preflight*"))
    assert not (folder / "run").exists()
    assert not list((folder / "scratch").rglob("*speed"))


def test_a_node_that_lacks_the_shards_or_the_run_folder_is_named(looks):
    lacking = looks["lacking"]
    assert lacking.status == [1, 1]
    assert lacking.report["bad"] == ["node2"]
    assert wrong(lacking, "node2") == {"shards", "seen by all"}
    assert "failed node2, shards: /dev/shm/shards/index.json: no such file" in lacking.first
    assert "Remedy: node1 reads them" in lacking.first
    assert "failed node2, seen by all: /dev/shm/run: what node1 wrote there is not seen here" in lacking.first
    assert "Not ready: node2" in lacking.first


def test_a_node_with_another_configuration_or_code_is_named_with_the_keys(looks):
    unlike = looks["unlike"]
    assert unlike.status == [1, 1]
    assert wrong(unlike, "node2") == {"code", "configuration"}
    assert wrong(unlike, "node1") == set()
    assert "failed node2, configuration: data.seed is 3, and 0 on node1" in unlike.first
    assert unlike.report["nodes"]["node2"]["code"]["figures"]["differs"] == ["source"]
    assert "warning node2, environment: NCCL_DEBUG is INFO, and not set on node1" in unlike.first


def test_a_node_that_never_comes_is_named_within_the_time(looks):
    absent = looks["absent"]
    assert absent.status == [1]
    assert absent.report["missing"] == {"node2": "did not come"}
    assert absent.report["seconds"] < 30
    assert "failed node2: did not come within the time" in absent.first
    assert "sbatch --exclude=node2" in absent.first
    assert wrong(absent, "node1") == set()
