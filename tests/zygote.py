"""A process that has imported everything and forks runs from itself: a killed run starts again in a second, not ten.

python -m tests.zygote reads requests as lines of JSON and answers each with a line:
{"start": [arguments of cxr fit], "ranks": 2, "log": "FILE", "seen": "FOLDER",
 "apart": {"1": [more arguments of rank 1]},
 "die": {"at": "publish", "call": 3, "rank": 0}, "signal": {"at": "step", "call": 3, "rank": 1, "number": 12},
 "full": {"rank": 1, "bytes": 9000}, "faults": [["poison", {"rank": 1, "steps": [3]}]]}
  -> {"group": 1234}: a process group of that many ranks. `seen` asks for the keys of every step's samples, `die` for
  SIGKILL to all ranks at the n-th call of a function, `signal` for another signal to one rank there, `full` for no room
  for larger files, `told` for errors as `cxr` tells them, `faults` for functions of tests/training/faults.py.
{"wait": 1234} -> {"codes": [0, 0]}
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.fitting import ROOT, environment

DEATHS = {
    "file": ("cxr_lightning.checkpoint.manifest", "entry"),
    "manifest": ("cxr_lightning.checkpoint.manifest", "write"),
    "publish": ("cxr_lightning.checkpoint.writing", "publish"),
    "named": ("cxr_lightning.checkpoint.publish", "sync"),
    "retain": ("cxr_lightning.training.saving", "retain"),
    "validation": ("cxr_lightning.training.stage.StageModule", "validation_step"),
    "step": ("cxr_lightning.training.stage.StageModule", "training_step"),
}
"""Where a run can be told to die, and what is called there."""


class Zygote:
    """The forking process, seen from a test."""

    def __init__(self) -> None:
        clean = environment(PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1")
        command = [sys.executable, "-m", "tests.zygote"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=clean, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, arguments: list[str], ranks: int, log: Path, **more: object) -> int:
        """Starts a run and returns its process group."""
        return self._ask({"start": arguments, "ranks": ranks, "log": str(log), **more})["group"]

    def wait(self, group: int) -> list[int]:
        """Waits for a run and returns its ranks' exit codes, negative for a signal."""
        return self._ask({"wait": group})["codes"]

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait(30)

    def _ask(self, request: dict) -> dict:
        print(json.dumps(request), file=self._process.stdin, flush=True)
        ready, _, _ = select.select([self._process.stdout], [], [], 300)
        if not ready:
            os.killpg(request["wait"], signal.SIGKILL)  # ranks that wait for one another would stay for ever
        assert ready, f"no answer to {request}"
        return json.loads(self._process.stdout.readline())


def _fork(request: dict) -> list[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children: list[int] = []
    for rank in range(request["ranks"]):
        child = os.fork()
        if child == 0:
            os.setpgid(0, children[0] if children else 0)
            _become_rank(request, rank, port)
        os.setpgid(child, children[0] if children else child)
        children.append(child)
    return children


def _become_rank(request: dict, rank: int, port: int) -> None:
    output = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), GROUP_RANK="0", WORLD_SIZE=str(request["ranks"]),
        LOCAL_WORLD_SIZE=str(request["ranks"]), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port),
        TORCHELASTIC_RUN_ID="forked",
    )  # fmt: skip
    code = 1
    try:
        if request.get("seen"):
            _note_samples(Path(request["seen"]), rank)
            _note_phase(Path(request["seen"]), rank)
        full = request.get("full")
        if full and full["rank"] == rank:  # no larger file can be written: what a full disk or a quota does
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (full["bytes"], full["bytes"]))
        death, told = request.get("die"), request.get("signal")
        if death and death["rank"] == rank:
            _call_at(*DEATHS[death["at"]], death["call"], lambda: os.killpg(os.getpgid(0), signal.SIGKILL))
        if told and told["rank"] == rank:
            _call_at(*DEATHS[told["at"]], told["call"], lambda: os.kill(os.getpid(), told["number"]))
        for name, options in request.get("faults", []):
            getattr(importlib.import_module("tests.training.faults"), name)(rank, **options)
        from cxr_lightning.training.fit import fit

        given = [*request["start"], *request.get("apart", {}).get(str(rank), [])]
        if request.get("told"):
            code = importlib.import_module("cxr_lightning.cli").run(["fit", *given])
        else:
            fit(given)
            code = 0
    except SystemExit as ending:
        code = ending.code
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _note_samples(folder: Path, rank: int) -> None:
    """Has every micro-batch's keys written down with its step; of a step made twice, the later line counts."""
    from cxr_lightning.training.stage import StageModule

    file, train = (folder / f"rank-{rank}.jsonl").open("a"), StageModule.training_step

    def training_step(self, batch, batch_idx):
        line = {"step": self.trainer.global_step, "batch": batch_idx, "keys": batch["keys"]}
        print(json.dumps(line), file=file, flush=True)
        return train(self, batch, batch_idx)

    StageModule.training_step = training_step


def _note_phase(folder: Path, rank: int) -> None:
    """Has the run say whether it stands in a step, in a validation, or in a save, so that a kill can be placed."""
    from cxr_lightning.checkpoint.writing import Writer
    from cxr_lightning.training.stage import StageModule

    file = (folder / f"phase-{rank}").open("wb", buffering=0)

    def noting(owner: type, name: str, phase: bytes, after: bytes, place: int = 0) -> None:
        function = getattr(owner, name)

        def noted(*args, **kwargs):
            os.pwrite(file.fileno(), phase, place)
            try:
                return function(*args, **kwargs)
            finally:
                os.pwrite(file.fileno(), after, place)

        setattr(owner, name, noted)

    noting(StageModule, "training_step", b"t", b"t")
    noting(StageModule, "validation_step", b"v", b"v")
    noting(Writer, "_write", b"s", b"-", place=1)  # it may go on behind the others


def _call_at(module: str, name: str, call: int, happens: Callable[[], None]) -> None:
    try:
        owner = importlib.import_module(module)
    except ModuleNotFoundError:
        package, _, within = module.rpartition(".")
        owner = getattr(importlib.import_module(package), within)
    function, calls = getattr(owner, name), 0

    def watched(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == call:
            happens()
        return function(*args, **kwargs)

    setattr(owner, name, watched)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print while they are imported
    # Everything that a run imports, but nothing that starts a thread: threads do not survive a fork.
    import transformers.models.llama.modeling_llama
    import transformers.models.llava.modeling_llava
    import transformers.models.siglip.modeling_siglip  # noqa: F401

    import cxr_lightning.training.alignment
    import cxr_lightning.training.fit
    import cxr_lightning.training.instruction
    import cxr_lightning.training.zero  # noqa: F401

    importlib.import_module("deepspeed.runtime.zero.muon.original_muon")  # a compiler, which the first engine imports
    groups: dict[int, list[int]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "start" in request:
            children = _fork(request)
            groups[children[0]] = children
            answer: dict = {"group": children[0]}
        else:
            waited = [os.waitpid(child, 0)[1] for child in groups.pop(request["wait"])]
            answer = {"codes": [os.waitstatus_to_exitcode(status) for status in waited]}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
