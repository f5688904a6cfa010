"""Clocks of nodes against that of rank 0, read through the store; the way there and back is taken out.

A node asks at t0, rank 0 answers with its time, the answer is there at t1: the node's clock is ahead by the middle of
t0 and t1, less the answer, within half of the way (Cristian, 1989). The quickest of several rounds counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from cxr_lightning.cluster.preflight.finding import Finding
from cxr_lightning.cluster.preflight.meeting import Meeting

CHECK = "clock"
_ROUNDS = 5
_TOLERATED, _MOST = 1.0, 300.0
"""Seconds: more than the first confuses logs and limits; at the second, Slurm and storage refuse what is signed."""


def serve(meeting: Meeting, store: Any, nodes: Sequence[str], now: Callable[[], float] = time.time) -> None:
    """Answers every node in turn; runs on rank 0, beside what else it does.

    Args:
        meeting: The meeting.
        store: A connection of its own.
        nodes: Who will ask.
        now: Rank 0's clock.
    """
    for node in nodes:
        for number in range(_ROUNDS):
            if meeting.hear(f"clock/{node}/{number}", 5.0, store) is None:
                break  # it is lost; the others still wait
            store.set(f"clock/{node}/{number}/answer", repr(now()))


def look(meeting: Meeting, node: str, seconds: float, now: Callable[[], float] = time.time) -> Finding:
    """Asks rank 0 for its time.

    Args:
        meeting: The meeting.
        node: This node.
        seconds: Longest time to wait for one's turn.
        now: This node's clock.
    """
    best, skew = float("inf"), 0.0
    for number in range(_ROUNDS):
        begin = now()
        meeting.tell(f"clock/{node}/{number}", True)
        answer = meeting.hear(f"clock/{node}/{number}/answer", seconds)
        end = now()
        if answer is None:
            return Finding(CHECK, "no answer", "warning", "rank 0 did not tell its time", "see the network of rank 0")
        if end - begin < best:
            best, skew = end - begin, (begin + end) / 2 - float(answer)
    return judge(skew, best / 2)


def judge(skew: float, within: float) -> Finding:
    """Returns the finding of a clock that is so many seconds ahead of rank 0's, give or take."""
    unit, scale = ("ms", 1e3) if abs(skew) < 1 else ("s", 1.0)
    told = f"{skew * scale:+.1f} {unit} (± {within * 1e3:.1f} ms)"
    figures = {"seconds_ahead": round(skew, 6), "within": round(within, 6)}
    if abs(skew) <= _TOLERATED + within:
        return Finding(CHECK, told, figures=figures, value=skew)
    side = "ahead of" if skew > 0 else "behind"
    why = f"the clock is {abs(skew):.1f} s {side} that of rank 0"
    if abs(skew) > _MOST:
        return Finding(CHECK, told, "failed", why, "set the node's clock (chronyc makestep), or leave it out", figures)
    return Finding(CHECK, told, "warning", why, "have the node's clock set (chronyc tracking shows it)", figures)
