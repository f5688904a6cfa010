"""What one process can be asked of the look before a training: who is at fault is named, and what helps is said."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import shutil
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from safetensors import safe_open

from cxr_lightning.checkpoint import manifest
from cxr_lightning.cli import run as cli
from cxr_lightning.cluster.port import free_port
from cxr_lightning.cluster.preflight import clock, data, devices, folders, host, likeness, network, weights
from cxr_lightning.cluster.preflight.asking import ask
from cxr_lightning.cluster.preflight.finding import Finding, within
from cxr_lightning.cluster.preflight.gathering import Gathering
from cxr_lightning.cluster.preflight.links import ring
from cxr_lightning.cluster.preflight.meeting import Meeting, NobodyThereError, Roll
from cxr_lightning.cluster.preflight.network import Measurements
from cxr_lightning.cluster.preflight.place import Place, compressed, hosts, tasks
from cxr_lightning.cluster.preflight.saving import checkpoint_size
from cxr_lightning.cluster.preflight.verdict import Verdict
from cxr_lightning.shards.contract import ShardError
from tests.fitting import options

pytestmark = [pytest.mark.quick, pytest.mark.filterwarnings("ignore:LightningCLI.s args parameter")]


def place(rank: int, ranks: int, **expected: int) -> Place:
    return Place("slurm" if expected else "torchrun", rank, ranks, 0, f"node{rank + 1}", expected)


@pytest.fixture
def meet(monkeypatch):
    """Begins the meetings of some ranks in this process."""
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(free_port()))

    def begin(*places: Place, wait: float = 5.0) -> list[Meeting]:
        return [Meeting(each, wait) for each in places]

    return begin


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("node[1-2]", ["node1", "node2"]),
        ("gpu[01-03,7],login", ["gpu01", "gpu02", "gpu03", "gpu7", "login"]),
        ("a[1-2]-b[08-09]", ["a1-b08", "a1-b09", "a2-b08", "a2-b09"]),
        ("", []),
    ],
)
def test_slurms_lists_of_nodes(text, names):
    assert hosts(text) == names


@given(st.lists(st.from_regex(r"[a-z]{1,3}[0-9]{0,4}", fullmatch=True), unique=True, max_size=20))
def test_names_are_joined_as_slurm_writes_them(names):
    assert sorted(hosts(compressed(names))) == sorted(names)


def test_where_a_process_stands():
    env = {
        "SLURM_PROCID": "9", "SLURM_STEP_NUM_TASKS": "12", "SLURM_LOCALID": "1", "SLURMD_NODENAME": "gpu3",
        "SLURM_STEP_NODELIST": "gpu[1-3]", "SLURM_STEP_TASKS_PER_NODE": "5(x2),2", "SLURM_JOB_ID": "120042",
    }  # fmt: skip
    here = Place.here(env)
    assert (here.rank, here.ranks, here.node, here.leads) == (9, 12, "gpu3", False)
    assert here.expected == {"gpu1": 5, "gpu2": 5, "gpu3": 2}
    assert here.meeting_point(env) == ("gpu1", 15042)
    assert here.meeting_point({**env, "MASTER_ADDR": "a", "MASTER_PORT": "7"}) == ("a", 7)
    assert Place.here({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "0"}).launcher == "torchrun"
    # In the shell of sbatch or salloc there is a rank 0 of Slurm's as well, and nobody started others.
    assert Place.here({"SLURM_PROCID": "0", "SLURM_NTASKS": "8"}).launcher == "alone"
    assert tasks("8(x3),4") == [8, 8, 8, 4]


def test_who_does_not_come_is_named_within_the_time(meet):
    begin = time.monotonic()
    (first, second) = meet(*(place(rank, 4, node1=1, node2=2, node3=1) for rank in (0, 1)), wait=0.3)
    roll = first.call_roll()
    assert time.monotonic() - begin < 5
    assert roll == second.hear_roll()
    assert roll.missing == {"node2": "1 of 2 ranks came", "node3": "did not come"}
    assert roll.nodes == {"node1": [0], "node2": [1]}
    assert not roll.complete


def test_without_the_launchers_word_ranks_are_named(meet):
    (first,) = meet(place(0, 3), wait=0.1)
    assert first.call_roll().missing == {"rank 1": "did not come", "rank 2": "did not come"}


def test_rank_0_that_is_not_there_is_named(meet, monkeypatch):
    monkeypatch.setattr("cxr_lightning.cluster.preflight.meeting._PATIENCE", 0.5)
    with pytest.raises(NobodyThereError, match=r"node2: rank 1 does not reach rank 0 on 127.0.0.1:\d+.*Remedy"):
        meet(place(1, 2), wait=0.0)


def test_what_is_not_told_is_not_waited_for(meet):
    (first,) = meet(place(0, 2))
    first.tell("found/a", [1])
    begin = time.monotonic()
    assert first.hear_all(["found/a", "found/b", "found/c"], 0.3) == {"found/a": [1]}
    assert time.monotonic() - begin < 3


@pytest.mark.parametrize(
    ("ahead", "status", "told"), [(0.0, "ok", "ms"), (-42.5, "warning", "-42.5 s"), (4000, "failed", "+4000.0 s")]
)
def test_a_clock_that_is_off_is_told_by_how_much(meet, ahead, status, told):
    first, second = meet(place(0, 2), place(1, 2))
    serving = threading.Thread(target=clock.serve, args=(first, first.again(), ["node2"]))
    serving.start()
    found = clock.look(second, "node2", 5.0, now=lambda: time.time() + ahead)
    serving.join()
    assert found.status == status
    assert told in found.told
    assert found.figures["seconds_ahead"] == pytest.approx(ahead, abs=1.0)


@pytest.mark.parametrize(
    ("built", "driver", "visible", "words"),
    [
        (None, 12040, None, "a build without CUDA"),
        ("13.0", None, None, "no NVIDIA driver"),
        ("13.0", 12040, None, r"driver is too old for this torch build \(it knows CUDA 12.4, torch was built for 13.0"),
        ("12.8", 12040, "", "hides all GPUs"),
        ("12.8", 12040, "-1", "hides all GPUs"),
        ("12.8", 12040, "0,1", "CUDA does not start"),
    ],
)
def test_why_torch_sees_no_gpu_is_said_in_clear_words(built, driver, visible, words):
    why, remedy = devices.explain(built, driver, visible)
    assert re.search(words, why)
    assert remedy


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_what_is_wanted_is_the_configurations_word_not_slurms(monkeypatch):
    monkeypatch.setenv("SLURM_GPUS_ON_NODE", "8")
    assert devices.look("cpu", 8, alone=False).status == "ok"
    assert devices.look("auto", 8, alone=False).status == "warning"
    lacking = devices.look("gpu", 8, alone=False)
    assert lacking.status == "failed"
    assert "torch sees no GPU (Slurm gave 8)" in lacking.why
    monkeypatch.delenv("SLURM_GPUS_ON_NODE")
    assert devices.look("auto", 8, alone=False).status == "ok"
    assert devices.look("gpu", 8, alone=True).status == "warning", "a login node has none"


def test_what_others_hold_of_gpus_is_read_from_nvidia_smi():
    listed = "GPU-aa, NVIDIA A100-SXM4-80GB, 81920, 81038\nGPU-bb, NVIDIA A100-SXM4-80GB, 81920, 1024\n"
    gpus, users = devices.parse(listed, "4711, GPU-bb\n4712, GPU-bb\n")
    assert [(gpu.name, gpu.free) for gpu in gpus][1] == ("NVIDIA A100-SXM4-80GB", 1024)
    assert users == {"GPU-bb": 2}
    assert devices.parse("", "No running processes found\n") == ([], {})


class A100:
    """As much of torch.cuda as is asked, of a node with two GPUs."""

    @staticmethod
    def install(monkeypatch, arches=("sm_80", "sm_90"), free=81000):
        given = {
            "is_available": lambda: True, "device_count": lambda: 2, "get_arch_list": lambda: list(arches),
            "get_device_name": lambda _: "NVIDIA A100-SXM4-80GB", "get_device_capability": lambda _: (8, 0),
        }  # fmt: skip
        for name, function in given.items():
            monkeypatch.setattr(torch.cuda, name, function)
        listed = [devices.Gpu(each, "NVIDIA A100-SXM4-80GB", 81920, free) for each in "ab"]
        monkeypatch.setattr(devices, "_listed", lambda: (listed, {"a": 1, "b": 0}))


def test_gpus_that_cannot_be_used_are_told(monkeypatch):
    A100.install(monkeypatch)
    assert devices.look("gpu", 2, alone=False).told == "2 x A100-SXM4-80GB, 79 GiB free"
    assert devices.look("gpu", 4, alone=False).status == "failed"
    A100.install(monkeypatch, free=1024)
    busy = devices.look("gpu", 2, alone=False)
    assert (busy.status, "in use by others (1 processes; 1 GiB" in busy.why) == ("warning", True)
    A100.install(monkeypatch, arches=("sm_100", "sm_120"))
    assert "no kernels for A100-SXM4-80GB (sm_80" in devices.look("gpu", 2, alone=False).why
    assert "sees 2 GPUs, and needs number 2" in devices.compute(2)


def facts(**more: dict[str, str]) -> likeness.Facts:
    return {"code": {"commit": "a" * 40}, "config": {"seed": "0", "lr": "0.1"}, "environment": {}, **more}


def test_who_differs_is_named_with_the_keys():
    roll = Roll({"node1": [0, 1], "node2": [2, 3], "node3": [4, 5]}, {}, 6)
    found = {rank: facts() for rank in range(6)}
    found[0] = found[1] = facts(config={"seed": "7", "lr": "0.1"})  # most have what is meant, not rank 0
    found[3] = facts(code={"commit": "b" * 40, "source": "changed", "torch": "2.9"}, environment={"NCCL_DEBUG": "INFO"})
    told = {node: {each.check: each for each in found} for node, found in likeness.compare(found, roll).items()}
    assert [told[node]["configuration"].status for node in roll.nodes] == ["failed", "ok", "ok"]
    assert told["node1"]["configuration"].why == "seed is 7, and 0 on node2"
    assert told["node2"]["code"].why.startswith("rank 3: commit is bbbb")
    assert told["node2"]["code"].figures["differs"] == ["commit", "source", "torch"]
    assert told["node2"]["environment"].status == "warning"
    assert told["node3"]["code"].told == "a" * 8


def test_a_commit_that_git_was_too_slow_to_tell_is_no_other_code():
    found = {0: facts(), 1: facts(code={"commit": "None"}), 2: facts(code={"commit": "a" * 40 + "+changes"})}
    told = likeness.compare(found, Roll({"node1": [0], "node2": [1, 2]}, {}, 3))
    assert {each.status for node in told.values() for each in node} == {"ok"}


def test_of_two_it_is_the_one_without_rank_0_and_unread_arguments_are_no_difference():
    roll = Roll({"node1": [0], "node2": [1]}, {}, 2)
    told = likeness.compare({0: facts(), 1: facts(config={"seed": "1"})}, roll)
    assert [each.check for each in told["node2"] if each.status == "failed"] == ["configuration"]
    assert all(each.status == "ok" for each in told["node1"])
    told = likeness.compare({0: facts(), 1: facts(config={})}, roll)
    assert [each.check for each in told["node2"]] == ["code", "environment"]


def test_facts_are_of_this_process_and_hold_no_secret(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("NCCL_SOCKET_IFNAME", "ib0")
    found = likeness.facts("a: {b: 1, c: [2, 3]}\nd: null\n")
    assert found["config"] == {"a.b": "1", "a.c": "[2, 3]", "d": "None"}
    assert found["code"]["torch"] == torch.__version__
    assert found["environment"]["NCCL_SOCKET_IFNAME"] == "ib0"
    assert "secret" not in json.dumps(found)


@given(st.integers(2, 40))
def test_in_each_phase_of_the_ring_a_node_talks_with_one(count):
    edges = ring([f"n{number}" for number in range(count)])
    assert len({frozenset((edge.one, edge.other)) for edge in edges}) == (count if count > 2 else 1)
    for phase in range(3):
        talking = [end for edge in edges if edge.phase == phase for end in (edge.one, edge.other)]
        assert len(talking) == len(set(talking))


def measured(count: int, bad: list[tuple[int, int]], rates: dict[int, float] | None = None):
    """What one rank a node measured, where some edges pass nothing and some nodes are slow."""
    roll = Roll({f"n{number}": [number] for number in range(count)}, {}, count)
    found = {}
    for number in range(count):
        told: dict[str, float | str] = {}
        for other in {(number + 1) % count, (number - 1) % count}:
            speed = min((rates or {}).get(each, 10e9) for each in (number, other))
            told[f"n{other}"] = "timed out" if {number, other} in map(set, bad) else speed
        found[number] = Measurements(neighbours=told)
    return found, roll


@pytest.mark.parametrize(
    ("count", "bad", "named"),
    [
        (4, [(1, 2), (2, 3)], {"n2"}),  # nobody reaches it
        (5, [(0, 4), (4, 3), (3, 2)], {"n3", "n4"}),  # two beside each other
        (4, [(1, 2)], {"n1", "n2"}),  # an edge alone
        (2, [(0, 1)], {"n0", "n1"}),
        (3, [], set()),
    ],
)
def test_a_lost_node_is_known_by_both_its_neighbours(count, bad, named):
    found, roll = measured(count, bad)
    told = network.neighbours(found, roll, "gloo")
    assert {node for node, each in told.items() if each.status == "failed"} == named
    assert {node for node, each in told.items() if each.status == "warning"} == set(
        network.bad_edges(found, roll)
    ) - named


def test_a_rank_that_told_nothing_counts_against_its_node():
    found, roll = measured(4, [])
    del found[2]
    assert network.neighbours(found, roll, "gloo")["n2"].status == "failed"


def test_a_slow_node_is_told_from_its_neighbours():
    told = network.neighbours(*measured(4, [], {2: 1e9}), "nccl")
    assert [each.status for each in told.values()] == ["ok", "ok", "warning", "ok"]
    assert "1 GB/s with its neighbours, where other nodes have 10 GB/s" in told["n2"].why


def test_sums_of_all_ranks():
    roll = Roll({"n0": [0, 1], "n1": [2, 3]}, {}, 4)
    told = network.everyone({rank: Measurements(everyone=2e9 + rank) for rank in range(3)}, roll)
    assert (told["n0"].status, told["n0"].told) == ("ok", "2 GB/s")
    assert "1 of 2 ranks: no answer" in told["n1"].why


def gathered(meeting: Meeting, **nodes: list[Finding]) -> Gathering:
    """What rank 0 makes of what a rank of each node told."""
    roll = Roll({node: [rank] for rank, node in enumerate(nodes)}, {}, len(nodes))
    for rank, (node, found) in enumerate(nodes.items()):
        if found:
            meeting.tell(f"found/{node}", [each.to_json() for each in found])
            meeting.tell(f"device/{rank}", "")
            meeting.tell(f"facts/{rank}", facts())
    gathering = Gathering(meeting, roll, gpus=False)
    gathering.nodes()
    return gathering


def seen(gathering: Gathering, node: str, check: str) -> Finding:
    return next(each for each in gathering.findings[node] if each.check == check)


def sight(gpu: str, fingerprint: str) -> list[Finding]:
    return [
        Finding("devices", f"8 x {gpu}", figures={"name": gpu}),
        Finding("shards", "", figures={"fingerprint": fingerprint}),
    ]


def test_nodes_are_held_against_one_another(meet):
    (first,) = meet(place(0, 1))
    well, others = sight("A100", "a"), sight("V100", "b")
    lacking = [well[0], Finding("shards", "ShardError", "failed", "no such file")]
    found = gathered(first, n0=well, n1=well, n2=others, n3=lacking)
    assert seen(found, "n2", "devices").status == "warning"
    assert seen(found, "n2", "shards").told == "other shards"
    assert seen(found, "n3", "shards").why == "no such file"
    assert "n0 reads them" in seen(found, "n3", "shards").remedy
    assert {each.status for each in found.findings["n1"]} == {"ok"}
    first.tell("device/1", "GPU 0 does not compute")
    found._devices(found._heard("device", 5.0))
    assert seen(found, "n1", "devices").why == "GPU 0 does not compute"


def test_who_tells_nothing_is_named_with_what_is_known_of_it(meet, monkeypatch):
    monkeypatch.setattr("cxr_lightning.cluster.preflight.gathering.LONG", 0.2)
    monkeypatch.setattr("cxr_lightning.cluster.preflight.gathering.NODE", -1.9)
    monkeypatch.setattr("cxr_lightning.cluster.preflight.gathering._FACTS", 0.1)
    (first,) = meet(place(0, 1))
    first.tell("crash/1", "OSError: stale file handle")
    found = gathered(first, n0=[Finding("devices", "CPU")], n1=[], n2=[])
    assert "stale file handle" in seen(found, "n1", "answer").why
    assert "told nothing within" in seen(found, "n2", "answer").why
    found.decide()
    assert found.backend is None, "who is there would wait for who is not"


def test_a_check_that_hangs_or_breaks_is_a_finding():
    answered = threading.Event()
    hung = within(0.05, "disk", answered.wait)
    answered.set()
    assert (hung.status, hung.told) == ("failed", "no answer in 0 s")

    def ours():
        raise ShardError("index.json: damaged. Remedy: copy it again.")

    found = within(5, "shards", ours)
    assert (found.why, found.remedy) == ("index.json: damaged.", "copy it again.")
    assert within(5, "disk", lambda: 1 / 0).why == "ZeroDivisionError: division by zero"


def test_room_and_speed_of_the_run_folder(tmp_path):
    run = tmp_path / "runs" / "new"
    with folders.as_it_was(run, ".mark"):
        found = folders.look_at_run(run, ".mark.a", 0, 2)
        assert found.status == "ok"
        assert found.figures["bytes_per_second"] > 0
        assert folders.look_at_run(run, ".mark.a", 10**18, 2).status == "failed"
        short = folders.look_at_run(run, ".mark.a", found.figures["free"] // 2, 2)
        assert (short.status, "4 checkpoints need" in short.why) == ("warning", True)
        folders.leave_mark(run, ".mark.first")
        assert folders.look_at_mark(run, ".mark.first", "node1", 0).status == "ok"
        assert folders.look_at_mark(run, ".mark.other", "node1", 0).status == "failed"
    assert not (tmp_path / "runs").exists(), "the look leaves nothing"


def test_how_large_a_checkpoint_will_be_is_known_before_there_is_one(shards, parts, begun, tmp_path, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])

    def expected(run: Path, *more: str) -> int:
        return checkpoint_size(run, ask([*line(shards, parts, run), *more]).parsed)

    with safe_open(Path(parts["language"]) / "model.safetensors", framework="pt") as file:
        language = sum(file.get_tensor(name).numel() for name in file.keys())  # noqa: SIM118 (not a dict)
    projector, everything = expected(tmp_path), expected(tmp_path, "--model.trainable.language", "full")
    # A weight, and what Adam keeps of it; the language model has a row for <image> more.
    assert everything - projector == pytest.approx(12 * language, rel=0.01)
    assert expected(begun) == sum(path.stat().st_size for path in (begun / "checkpoints" / "step-0000006").iterdir())
    assert expected(tmp_path, "--model.source.language", str(tmp_path)) == 0


def test_a_run_that_is_there_stays(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("{}")
    with folders.as_it_was(tmp_path, ".mark"):
        folders.leave_mark(tmp_path, ".mark.first")
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]


def given_data(shards: Path, **more: object) -> dict[str, object]:
    return {"shards": str(shards), "global_batch": 8, **more}


def test_damaged_shards_are_found_by_reading_anywhere(shards, tmp_path):
    copy = shutil.copytree(shards, tmp_path / "copy")
    assert data.look(data.open_data(given_data(copy)), 16, 0).status == "ok"
    for path in copy.glob("train-*.tar"):
        damaged = bytearray(path.read_bytes())
        damaged[1024::2048] = bytes(len(damaged[1024::2048]))
        path.write_bytes(damaged)
    found = data.look(data.open_data(given_data(copy)), 16, 0)
    assert (found.status, found.told) == ("failed", "8 of 16 bad")
    assert "checksum differs" in found.why
    weighted = [{"path": str(shards), "weight": 1.0}, {"path": str(shards), "weight": 2.0}]
    assert data.open_data(given_data(shards) | {"shards": weighted}).sets.sets[1].weight == 2.0


def test_what_is_warned_of_while_data_is_opened_is_told(shards, tmp_path):
    copy = shutil.copytree(shards, tmp_path / "copy")
    (copy / "train-000001.tar").unlink()
    with data.warnings_of() as warned:
        data.open_data(given_data(copy, max_bad=0.9))
    found = data.look(data.open_data(given_data(shards)), 2, 0, warned)
    assert (found.status, "missing or cut off" in found.why) == ("warning", True)


def test_room_for_staged_and_cached_shards(shards, tmp_path, monkeypatch):
    staged = data.open_data(given_data(shards, stage_to=str(tmp_path / "a")))
    assert folders.look_at_scratch(staged, ".mark").status == "ok"
    cached = data.open_data(given_data(shards, cache=str(tmp_path / "b"), cache_gb=0.001))
    assert folders.look_at_scratch(cached, ".mark").status == "ok"
    assert not folders.uses_scratch(data.open_data(given_data(shards)))
    monkeypatch.setattr(folders, "_free", lambda _: 10)
    assert folders.look_at_scratch(staged, ".mark").status == "failed"
    assert folders.look_at_scratch(cached, ".mark").status == "warning"


@pytest.fixture
def begun(parts, tmp_path) -> Path:
    """A run with a checkpoint, as far as one looks without reading weights."""
    run = tmp_path / "begun"
    step = run / "checkpoints" / "step-0000006"
    step.mkdir(parents=True)
    (step / "weights").write_text("as if")
    manifest.write(step, {"weights": manifest.entry(step / "weights")})
    model = {"vision": parts["siglip"], "language": parts["language"]}
    (run / "run.json").write_text(json.dumps({"stage": "alignment", "model": model}))
    return run


def test_files_of_the_model(parts, begun, tmp_path, monkeypatch):
    here = {"vision": parts["siglip"], "language": parts["language"]}
    assert weights.look({"source": here}).told == "2 parts found"
    gone = weights.look({"source": {**here, "language": str(tmp_path / "gone")}})
    assert (gone.status, "--model.source.language" in gone.why) == ("failed", True)
    (tmp_path / "half").mkdir()
    shutil.copy(Path(parts["language"]) / "config.json", tmp_path / "half")
    assert "holds no weights" in weights.look({"source": {**here, "language": str(tmp_path / "half")}}).why
    hub = {"source": {**here, "vision": "someone/tower"}}
    monkeypatch.setattr(weights.constants, "HF_HUB_OFFLINE", True)
    assert weights.look(hub).status == "failed"
    assert "HF_HOME" in weights.look(hub).remedy
    monkeypatch.setattr(weights.constants, "HF_HUB_OFFLINE", False)
    assert weights.look(hub).status == "warning"
    assert weights.look({"source": None, "init_from": str(begun)}).told == "3 parts found"


def test_names_and_limits(monkeypatch):
    assert host.look_at_names(["localhost", "node1"], "node1", "nccl").told == "1 found"
    lost = host.look_at_names(["no.such.host.invalid", "node1"], "node1", "gloo")
    assert (lost.status, "no.such.host.invalid" in lost.why) == ("failed", True)
    assert host.look_at_limits(1, cuda=False, nodes=1).figures["open_files"] > 0
    monkeypatch.setattr(host.resource, "getrlimit", lambda _: (256, 1 << 20))
    assert "ulimit -n 4096" in host.look_at_limits(1, cuda=False, nodes=1).remedy
    monkeypatch.setattr(host.resource, "getrlimit", lambda _: (1 << 20, 1 << 20))
    monkeypatch.setattr(host.shutil, "disk_usage", lambda _: SimpleNamespace(free=64 << 20))
    assert "--shm-size" in host.look_at_limits(8, cuda=True, nodes=1).remedy
    assert host.look_at_limits(8, cuda=False, nodes=2).status == "ok"


def printed(verdict: Verdict, width: int) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    verdict.print(console)
    return console.export_text()


def many(count: int) -> Verdict:
    found = {f"gpu{n:03d}": [Finding("ranks", "8 came"), Finding("disk", f"{n} GB/s", value=n)] for n in range(count)}
    found["gpu001"] = [found["gpu001"][0], found["gpu001"][1].but("failed", "it is full", "make room")]
    found["gpu002"] = [found["gpu002"][0], found["gpu002"][1].but("failed", "it is full", "make room")]
    return Verdict(found, {f"gpu{count:03d}": "did not come"}, 8 * count + 8, 12.0)


@pytest.mark.parametrize("count", [3, 40])
@pytest.mark.parametrize("width", [80, 200])
def test_the_table_fits_and_names_the_bad_nodes_once(count, width):
    text = printed(many(count), width)
    table = text[: text.index("failed gpu[001-002], disk: it is full. Remedy: make room.")]
    assert max(map(len, table.splitlines())) <= width
    assert text.count("it is full") == 1
    assert "did not come within the time" in text
    left_out = f"gpu[001-{count:03d}]" if count == 3 else f"gpu[001-002,{count:03d}]"
    assert f"Not ready: {left_out} (12 s)." in text
    assert f"sbatch --exclude={left_out}" in text


def test_what_is_well_is_shown_from_least_to_most():
    assert "38 ok 0 GB/s to 39 GB/s" in printed(many(40), 120)
    well = dataclasses.replace(many(3), findings={"a": [Finding("disk", "1 GB/s", "warning", "slow")]}, missing={})
    assert "Ready after 12 s. 1 warning above." in printed(well, 80)
    assert well.to_json()["nodes"]["a"]["disk"]["status"] == "warning"


def line(shards: Path, parts: dict[str, str], run: Path) -> list[str]:
    return [*options(1, shards, run, parts), "--trainer.devices", "1"]


def test_alone_it_looks_at_what_one_process_sees(shards, parts, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    report = tmp_path / "out" / "preflight.json"
    arguments = line(shards, parts, tmp_path / "run")
    assert cli(["preflight", *arguments, "--preflight.json", str(report)]) == 0
    told = capsys.readouterr().out
    assert "Ready after" in told
    assert "One process looked" in told
    (found,) = json.loads(report.read_text())["nodes"].values()
    assert {"launch", "begins", "devices", "shards", "run folder", "model", "limits", "code"} <= set(found)
    assert not (tmp_path / "run").exists()
    with pytest.raises(SystemExit) as ending:
        cli(["preflight", *arguments, "--data.shards", str(tmp_path / "nowhere")])
    assert ending.value.code == 1
    assert "index.json: no such file" in capsys.readouterr().out


def test_a_run_that_was_begun_before_is_told(shards, parts, begun, capsys, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    arguments, before = line(shards, parts, begun), sorted(begun.iterdir())
    with pytest.raises(SystemExit):
        cli(["preflight", *arguments])
    assert "was begun before" in capsys.readouterr().out
    assert cli(["preflight", *arguments, "--ckpt_path", "auto"]) == 0
    assert "after step-0000006" in capsys.readouterr().out
    assert sorted(begun.iterdir()) == before


def test_arguments_that_a_fit_refuses_are_refused(capsys, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    with pytest.raises(SystemExit) as ending:
        cli(["preflight", "--config", "configs/stage1.yaml", "--data.epoch", "2"])
    assert ending.value.code == 2
    assert "--data.epoch" in capsys.readouterr().err
    asked = ask(["--config", "configs/stage1.yaml", "--trainer.max_epochs", "3"])
    assert (asked.code, "--data.epochs 3" in asked.why) == (1, True)
    assert math.isclose(ask(["--config", "configs/stage1.yaml", "--preflight.wait", "5"]).options.wait, 5.0)
