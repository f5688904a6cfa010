"""The course of a sweep: look where all trials stand, see who may go on and how far, submit as many as have room.

Each turn begins anew with what is on the disk and in the queue, so a sweep that is killed at any moment goes on by
starting it again: what is done stays, what runs is taken over.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from cxr_lightning.cluster.sweeps.folder import SweepFolder
from cxr_lightning.cluster.sweeps.halving import WHOLE, Halving, Runner, plan
from cxr_lightning.cluster.sweeps.resources import ResourcesError
from cxr_lightning.cluster.sweeps.space import Trial
from cxr_lightning.cluster.sweeps.standing import Standing, look
from cxr_lightning.cluster.sweeps.submission import MOST, Launch, gpus_here, submit
from cxr_lightning.cluster.sweeps.sweep import Sweep


@dataclass
class Course:
    """A sweep under way, as one process drives it.

    Attributes:
        folder: The sweep's.
        sweep: What was asked for.
        trials: Its trials.
        retries: Whether trials that failed are tried once more.
    """

    folder: SweepFolder
    sweep: Sweep
    trials: list[Trial]
    retries: bool = False
    _pardoned: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.parallel = self._parallel()
        ended = ("cancelled", "interrupted", *(("failed",) if self.retries else ()))
        self._pardoned = {each.name for each in look(self.folder, self.trials) if each.state in ended}

    def turn(self) -> tuple[list[Standing], int]:
        """Looks, and submits what may go on.

        Returns:
            Where all trials stand, and how many were submitted just now.

        Raises:
            QueueError: If Slurm does not say which jobs there are; then nothing was done.
            SubmissionError: If it does not take the jobs.
        """
        standings, until = judge(look(self.folder, self.trials), self.sweep.halving, self._pardoned)
        ready = [each for each in standings if self._may_go(each, until[each.name])]
        ready.sort(key=lambda each: until[each.name] or WHOLE, reverse=True)
        chosen = ready[: self._room(standings)]
        if chosen:
            launches = [Launch(each.name, until[each.name], each.step) for each in chosen]
            held = [number for each in standings for number in each.gpus]
            self._pardoned -= {each.name for each in chosen}
            submit(self.folder, launches, self.sweep.jobs, self.parallel, held)
        return standings, len(chosen)

    def end_processes(self) -> None:
        """Asks the processes of this machine to save and end; those of Slurm go on without us."""
        if not self.sweep.jobs.on_slurm:
            for each in look(self.folder, self.trials):
                if each.live:
                    with contextlib.suppress(ProcessLookupError, ValueError):
                        os.kill(int(each.job), signal.SIGTERM)

    def _may_go(self, each: Standing, until: int | None) -> bool:
        if until is not None and until in dict(each.curve):
            return False
        if each.state == "paused":
            return True
        if each.state == "interrupted" and each.gained:
            return True
        return each.state == "waiting" or (each.state in ("cancelled", "interrupted") and each.name in self._pardoned)

    def _room(self, standings: Sequence[Standing]) -> int:
        """Returns how many may be submitted: a whole array where none is under way, for it has a cap, else the rest."""
        live = sum(each.live for each in standings)
        in_pieces = self.sweep.halving is not None and self.sweep.halving.asynchronous
        if self.sweep.jobs.on_slurm and not live and not in_pieces:
            return MOST
        return max(0, self.parallel - live)

    def _parallel(self) -> int:
        """Returns how many jobs may run at once: on this machine no more than have GPUs."""
        each = self.sweep.jobs.gpus_per_node
        if self.sweep.jobs.on_slurm or not each:
            return self.sweep.parallel
        here = len(gpus_here())
        if here < each:
            raise ResourcesError(
                f"jobs.gpus_per_node is {each}, and this machine shows {here}. Remedy: lower it, or see "
                "CUDA_VISIBLE_DEVICES (numbers, not names)."
            )
        return min(self.sweep.parallel, here // each)


def judge(
    standings: Sequence[Standing], halving: Halving | None, pardoned: set[str] | None = None
) -> tuple[list[Standing], dict[str, int | None]]:
    """Returns the trials with those stopped that are hopeless, and the step that each is to reach (None: its end).

    Args:
        standings: Where trials stand.
        halving: How hopeless ones are found; None finds none.
        pardoned: Trials whose failure does not count any more.
    """
    kept = [
        replace(each, state="waiting") if each.state == "failed" and each.name in (pardoned or ()) else each
        for each in standings
    ]
    if halving is None:
        return kept, {each.name: None for each in kept}
    decided = plan([_runner(each, halving) for each in kept], halving)
    stopped = [
        replace(each, state="stopped") if each.name in decided.stopped and not each.live else each for each in kept
    ]
    return stopped, {name: halving.step(rung) for name, rung in decided.rungs.items()}


def _runner(each: Standing, halving: Halving) -> Runner:
    losses, by_step, rung = [], dict(each.curve), 0
    while (at := halving.step(rung)) in by_step:
        losses.append(by_step[at])
        rung += 1
    done = each.state == "done"
    if done and each.curve:
        losses.append(each.curve[-1][1])
    return Runner(each.name, tuple(losses), _sent(each, halving), done, each.state == "failed")


def _sent(each: Standing, halving: Halving) -> int:
    """Returns the rung that a trial's newest job was to reach."""
    if not each.job and not each.attempts:
        return -1
    if each.until is None:
        return WHOLE
    rung = 0
    while (halving.step(rung) or 0) < each.until:
        rung += 1
    return rung
