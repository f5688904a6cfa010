"""Successive halving: all trials begin, and only the best of them go on from rung to rung.

Jamieson and Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization (AISTATS 2016); without
waiting for the slowest, Li et al., A System for Massively Parallel Hyperparameter Tuning (MLSys 2020; ASHA).

Everything here is a function of what the runs say: who goes on is worked out anew each time, so a sweep that was killed
needs no memory of its own. Rungs are pauses of whole runs, whose learning rates fall as if there were no sweep.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

WHOLE = sys.maxsize
"""The rung above all: the run goes to its end."""


class HalvingError(ValueError):
    """Successive halving is set up in a way that cannot halve."""


@dataclass(frozen=True)
class Halving:
    """How hopeless runs are stopped.

    Attributes:
        first: Optimizer steps up to the first comparison.
        factor: One in so many goes on, for so many times the steps.
        asynchronous: Send a trial on as soon as it is among the best of those that came as far, without waiting for the
            others. No job slot is idle then, but who goes on depends on which job was faster.
    """

    first: int
    factor: int = 3
    asynchronous: bool = False

    def __post_init__(self) -> None:
        if self.first < 1 or self.factor < 2:
            raise HalvingError(
                f"first is {self.first} and factor is {self.factor}. Remedy: first is a number of "
                "steps, 1 or more; one in `factor` goes on, so that is 2 or more."
            )

    def step(self, rung: int) -> int | None:
        """Returns the step at which a rung is compared; None for the end of the run."""
        return None if rung == WHOLE else self.first * self.factor**rung


@dataclass(frozen=True)
class Runner:
    """What is known of a trial.

    Attributes:
        name: Its name.
        losses: Validation loss at each rung that it reached.
        sent: The highest rung that it was ever sent to; -1 if it never began.
        done: Whether it ran its whole length; its last loss then stands for all later rungs.
        failed: Whether it ended with an error, and does not count any more.
    """

    name: str
    losses: tuple[float, ...] = ()
    sent: int = -1
    done: bool = False
    failed: bool = False

    def reached(self, rung: int) -> bool:
        """Returns whether it has a loss to compare at a rung."""
        return len(self.losses) > rung or (self.done and bool(self.losses))

    def loss(self, rung: int) -> float:
        """Returns what it is compared by; a loss that is no number is the worst."""
        loss = self.losses[min(rung, len(self.losses) - 1)]
        return loss if math.isfinite(loss) else math.inf

    @property
    def settled(self) -> bool:
        """Whether nothing more comes of it unless it is sent on."""
        return self.done or self.failed or (self.sent != WHOLE and self.reached(max(self.sent, 0)))


@dataclass(frozen=True)
class Plan:
    """Who goes on.

    Attributes:
        rungs: How far each trial is to go; those that have come as far have nothing to do.
        stopped: Trials that do not go on.
    """

    rungs: dict[str, int]
    stopped: frozenset[str]


def plan(runners: Sequence[Runner], halving: Halving) -> Plan:
    """Returns who goes on, and how far."""
    return _asynchronous(runners, halving) if halving.asynchronous else _in_step(runners, halving)


def _in_step(runners: Sequence[Runner], halving: Halving) -> Plan:
    """Every rung is compared once all that were sent to it have reached it or failed.

    The last one left goes to its end. One that fails later makes room for the next best.
    """
    rungs = {runner.name: 0 for runner in runners}
    stopped: set[str] = set()
    entered, rung = list(runners), 0
    while True:
        if len(entered) == 1:
            rungs[entered[0].name] = WHOLE
            break
        rungs |= {runner.name: rung for runner in entered}
        if not all(runner.failed or runner.reached(rung) for runner in entered):
            break
        winners = _best(entered, rung, max(1, len(entered) // halving.factor))
        stopped |= {each.name for each in entered if each not in winners and not (each.failed or each.done)}
        if all(winner.done for winner in winners):
            break
        entered, rung = winners, rung + 1
    return Plan(rungs, frozenset(stopped))


def _asynchronous(runners: Sequence[Runner], halving: Halving) -> Plan:
    """Whoever is among the best of those that reached its rung goes on; new ones begin while there is nobody to send.

    Where all have come as far as they were sent and none is done, the best of the highest rung goes to its end.
    """
    rungs = {runner.name: max(runner.sent, 0) for runner in runners}
    last = max((len(runner.losses) for runner in runners), default=0)
    for rung in range(last):
        there = [runner for runner in runners if runner.reached(rung)]
        for runner in _best(there, rung, len(there) // halving.factor):
            if not runner.done:
                rungs[runner.name] = max(rungs[runner.name], rung + 1)
    if not all(runner.settled and rungs[runner.name] == max(runner.sent, 0) for runner in runners):
        return Plan(rungs, frozenset())
    open_ones = [runner for runner in runners if not (runner.done or runner.failed)]
    if not any(runner.done for runner in runners):
        highest = max((len(runner.losses) for runner in open_ones), default=0)
        best = _best([each for each in open_ones if len(each.losses) == highest], highest - 1, 1)
        if best:
            return Plan(rungs | {best[0].name: WHOLE}, frozenset())
    return Plan(rungs, frozenset(runner.name for runner in open_ones))


def _best(runners: Sequence[Runner], rung: int, count: int) -> list[Runner]:
    hopeful = [each for each in runners if not each.failed and each.reached(rung) and math.isfinite(each.loss(rung))]
    return sorted(hopeful, key=lambda each: (each.loss(rung), each.name))[:count]
