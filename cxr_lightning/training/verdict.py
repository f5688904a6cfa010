"""Who hangs, where, and for whom the others wait: from what the ranks wrote, in words for people."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from cxr_lightning.training.stacks import Trace

_LISTED = 4


def verdict(traces: Sequence[Trace], idle: float, folder: Path, status: int) -> str:
    """Returns what is known of a hang.

    Args:
        traces: What the ranks wrote, or others for them.
        idle: Seconds without a move.
        folder: Where the stacks are.
        status: With which the run ends.
    """
    told, blamed = _blame(traces)
    lines = [f"Training made no move for {idle:.0f} s: {told}"]
    lines += [f"  {trace}{'' if trace.silent else f', in {trace.where}'}" for trace in blamed[:_LISTED]]
    lines += _rest([trace for trace in traces if trace not in blamed and not trace.silent])
    lines.append(
        f"Stacks of all threads: {folder}/rank-N.txt. The run ends with status {status}. Remedy: if it is always the "
        "same node, leave it out (sbatch --exclude); if the step is only slow, raise --watchdog.timeout_s."
    )
    return "\n".join(lines)


def _blame(traces: Sequence[Trace]) -> tuple[str, list[Trace]]:
    """Returns whom the others wait for, in words, and where those are."""
    silent = [trace for trace in traces if trace.silent]
    speaking = [trace for trace in traces if not trace.silent]
    if silent:
        names = _listed([_name(trace) for trace in silent])
        return f"{names} fell silent: stopped, held in C code, killed, or its node is lost", silent
    apart = [trace for trace in speaking if not trace.waits]
    if 0 < len(apart) < len(speaking):
        return f"{_listed([_name(trace) for trace in apart])} does not come to where the others wait", apart
    least = min((trace.moves for trace in speaking), default=0)
    behind = [trace for trace in speaking if trace.moves == least]
    if len(behind) < len(speaking):
        return f"{_listed([_name(trace) for trace in behind])} is behind, and the others wait", behind
    if len(speaking) == 1:
        return f"{_name(speaking[0])} hangs", speaking
    return "no rank comes on; one waits in another collective than the others, or the network between them stands", []


def _rest(traces: Sequence[Trace]) -> list[str]:
    """Returns where the others are, those in the same call together."""
    by_place = sorted(traces, key=lambda trace: (trace.where, trace.rank))
    groups = [(where, [trace.rank for trace in group]) for where, group in groupby(by_place, lambda trace: trace.where)]
    groups.sort(key=lambda group: -len(group[1]))
    lines = [f"  rank {_ranges(members)}: in {where}" for where, members in groups[:_LISTED]]
    return lines + ([f"  and {len(groups) - _LISTED} more places"] if len(groups) > _LISTED else [])


def _name(trace: Trace) -> str:
    return f"rank {trace.rank} on {trace.host}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def _ranges(ranks: Sequence[int]) -> str:
    """Returns ranks as people write them: 0, 2-7."""
    runs = [
        [rank for _, rank in group]
        for _, group in groupby(enumerate(ranks), lambda numbered: numbered[1] - numbered[0])
    ]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)
