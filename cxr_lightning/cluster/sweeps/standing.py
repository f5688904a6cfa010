"""Where each trial stands: what its run left behind, what its jobs said of themselves, and whether one is alive.

Nothing is remembered elsewhere, so whoever asks, and whenever, is told the same; and accounting is not needed.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
import shutil
import signal
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from cxr_lightning.checkpoint.runs import newest_checkpoint, step_of
from cxr_lightning.cluster.sweeps.folder import SweepFolder
from cxr_lightning.cluster.sweeps.liveness import began, slurm_job, slurm_jobs
from cxr_lightning.cluster.sweeps.space import Trial
from cxr_lightning.durable import json_lines

State = Literal[
    "waiting", "queued", "running", "requeued", "paused", "stopped", "cancelled", "interrupted", "failed", "done"
]
"""paused: at a rung; stopped: there for good. cancelled: somebody ended it, and it goes on when the sweep is started
again. interrupted: it lost its job through no fault of its own, and goes on."""
LIVE: tuple[State, ...] = ("queued", "running", "requeued")

_ASKED_BY = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
_ASKED = {*(-number for number in _ASKED_BY), 128 + signal.SIGINT, 128 + signal.SIGTERM}
_BLAMELESS = ("PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "REQUEUED")
_NOISE = re.compile(r"^(srun|slurmstepd): |^\(CXR_TRACEBACK|^submitit |^\s*$|^== |^\[[WI]\d{4} ")
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_ERROR = re.compile(r"^(cxr fit: |[\w.]*(Error|Exception|Interrupt|Warning): |fatal|FAILED)", re.IGNORECASE)
_TAIL = 20_000


@dataclass(frozen=True)
class Standing:
    """A trial and what is known of it.

    Attributes:
        trial: The trial.
        state: In a word.
        job: Its newest job: a number of Slurm's or of a process; empty before there is one.
        step: Optimizer steps that its newest checkpoint has made.
        logged: The last step that it logged.
        steps: Steps of the whole run; None before it began.
        curve: Validation loss by step.
        until: Step that its newest job was to reach; None for the end.
        attempts: How often a job of it began.
        reason: Why it failed or was interrupted, in a line.
        tail: Last lines of the log of what failed.
        log: Where to read on.
        gained: Whether it saved anything since it was submitted last.
        gpus: Of this machine, which its process holds.
    """

    trial: Trial
    state: State
    job: str = ""
    step: int = 0
    logged: int = 0
    steps: int | None = None
    curve: tuple[tuple[int, float], ...] = ()
    until: int | None = None
    attempts: int = 0
    reason: str = ""
    tail: tuple[str, ...] = ()
    log: str = ""
    gained: bool = False
    gpus: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """The trial's name."""
        return self.trial.name

    @property
    def live(self) -> bool:
        """Whether a job of it runs or waits for its turn."""
        return self.state in LIVE

    @property
    def best(self) -> tuple[int, float] | None:
        """Step and value of its lowest validation loss."""
        finite = [point for point in self.curve if math.isfinite(point[1])]
        return min(finite, key=lambda point: point[1], default=None)


def look(folder: SweepFolder, trials: Sequence[Trial]) -> list[Standing]:
    """Returns where all trials stand.

    Raises:
        QueueError: If Slurm has jobs of the sweep and does not answer.
    """
    submitted = {trial.name: json_lines(folder.submissions(trial.name)) for trial in trials}
    on_slurm = any(line.get("executor") == "slurm" for told in submitted.values() for line in told)
    queue = None if shutil.which("squeue") is None else slurm_jobs() if on_slurm else {}
    return [_standing(folder, trial, submitted[trial.name], queue) for trial in trials]


def _standing(
    folder: SweepFolder, trial: Trial, told: list[dict[str, Any]], queue: Mapping[str, str] | None
) -> Standing:
    run = folder.run(trial.name)
    newest = newest_checkpoint(run)
    step, steps = 0 if newest is None else step_of(newest), _steps(run)
    curve, logged = _metrics(run)
    events = json_lines(folder.events(trial.name))
    known: dict[str, Any] = {
        "trial": trial, "step": step, "logged": max(step, logged), "steps": steps, "curve": curve,
        "log": str(folder.log(trial.name)),
        "attempts": sum(event["event"] == "began" for event in events),
    }  # fmt: skip
    if not told:
        return Standing(state="done" if steps is not None and step >= steps else "waiting", **known)
    submission = _newest(told)
    mine = [event for event in events if event["token"] == submission["token"]]
    submission = _found(submission, mine)
    job = submission.get("job", "")
    if not job and not mine:  # whoever meant to submit it was killed
        return Standing(state="waiting", **known)
    alive = _alive(submission, job, mine, queue)
    if alive is None and submission["executor"] == "local":
        job = ""  # the number of a process that is over says nothing
    known |= {"job": job, "until": submission["until"], "gained": step > submission["from"]}
    if alive is not None:
        return Standing(state=alive, gpus=tuple(submission.get("gpus", ())), **known)
    if steps is not None and step >= steps:
        return Standing(state="done", **known)
    if submission["until"] is not None and any(at == submission["until"] for at, _ in curve):
        return Standing(state="paused", **known)
    return _ended(folder, known, submission["executor"] == "slurm", mine)


def _newest(told: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the newest submission: what was intended, and what came of it where that was still written down."""
    intended = [line for line in told if "until" in line][-1]
    came = [line for line in told if line["token"] == intended["token"]]
    return {name: value for line in came for name, value in line.items()}


def _found(submission: dict[str, Any], events: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns a submission with its job, also where whoever submitted it was killed before it could write that down."""
    if "job" in submission or not events:
        return submission
    first = events[0]
    return {**submission, **first, "job": first["job"] or str(first["process"])}


def _alive(
    submission: dict[str, Any], job: str, events: list[dict[str, Any]], queue: Mapping[str, str] | None
) -> State | None:
    """Returns how a submission's job lives, or None if it does not."""
    slurm, here = submission["executor"] == "slurm", socket.gethostname()
    if (slurm and queue is None) or (not slurm and submission.get("host", here) != here):
        return "running" if events and events[-1]["event"] == "began" else None  # nobody can be asked from here
    if queue is not None and slurm:
        state = queue.get(job)
        if state is None:
            return None
        if state == "PENDING":
            return "requeued" if events else "queued"
        return "running"
    return "running" if began(int(job)) == submission["ticks"] else None


def _ended(folder: SweepFolder, known: dict[str, Any], slurm: bool, events: list[dict[str, Any]]) -> Standing:
    """Says how a trial ended that did not come as far as it was to."""
    name = known["trial"].name
    facts = slurm_job(known["job"]) if slurm and known["job"] else {}
    said = facts.get("JobState", "")
    code = events[-1].get("code") if events else None
    rank, failure = _first_failure(folder, name, events)
    if said == "CANCELLED" or (not slurm and code in _ASKED):
        return Standing(state="cancelled", reason="somebody ended it", **known)
    if said.startswith(_BLAMELESS) or (failure is None and code in {0, *_ASKED}):
        return Standing(state="interrupted", reason=f"its job ended early ({said or 'asked to'})", **known)
    if failure is not None:
        code, known["log"] = failure, str(folder.log(name, rank))
    told = f"exit code {code}" if code is not None and code >= 0 else _signal(code)
    if code is None:
        if not said:  # neither Slurm nor the job has a word to say: the machine went away
            return Standing(state="interrupted", reason="it ended without a word", **known)
        told = f"Slurm says {said}, exit code {facts.get('ExitCode', '?')}"
        if not events:
            known["log"] = str(folder.submitit / f"{known['job']}_0_log.out")
    tail = last_words(Path(known["log"]))
    why = next((line for line in reversed(tail) if _ERROR.match(line)), tail[-1] if tail else "")
    return Standing(state="failed", reason=f"{told}: {why}" if why else told, tail=tuple(tail), **known)


def _first_failure(folder: SweepFolder, name: str, events: list[dict[str, Any]]) -> tuple[int, int | None]:
    """Returns which rank of the newest attempt failed first, and its exit code; the others were ended after it."""
    if not events:
        return 0, None
    token, restart = events[-1]["token"], events[-1]["restart"]
    found = []
    for file in folder.job(name).glob("rank-*.jsonl"):
        rank = int(file.stem.removeprefix("rank-"))
        found += [
            (event["at"], rank, event["code"])
            for event in json_lines(file)
            if (event["token"], event["restart"]) == (token, restart) and event.get("code") not in {None, 0, *_ASKED}
        ]
    return min(found)[1:] if found else (0, None)


def _signal(code: int | None) -> str:
    if code is None:
        return "no exit code"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    return f"{name}, perhaps for memory" if code == -signal.SIGKILL else name


def last_words(log: Path, count: int = 6) -> list[str]:
    """Returns the last lines of a log that say something."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _TAIL))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    said = [_COLOURS.sub("", line.rpartition("\r")[2]).rstrip() for line in text.splitlines()]
    return [line for line in said if not _NOISE.match(line)][-count:]


def _steps(run: Path) -> int | None:
    try:
        return int(json.loads((run / "run.json").read_text())["data"]["steps"])
    except (OSError, ValueError, KeyError):
        return None


def _metrics(run: Path) -> tuple[tuple[tuple[int, float], ...], int]:
    """Returns validation loss by step, and the last step that was logged; other lines, the most, are not parsed."""
    try:
        rows = (run / "metrics.jsonl").read_text().splitlines()
    except OSError:
        return (), 0
    found = []
    for row in [*(row for row in rows if '"validate/loss"' in row), *rows[-1:]]:
        with contextlib.suppress(ValueError):  # half a line, just being written
            found.append(json.loads(row))
    curve = {int(line["step"]): float(line["validate/loss"]) for line in found if "validate/loss" in line}
    return tuple(curve.items()), int(found[-1].get("step", 0)) if found else 0
