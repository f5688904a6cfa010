"""Findings of all nodes enter; a table, what is wrong in words, and JSON leave."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from cxr_lightning.cluster.preflight.finding import Finding, Status, worst
from cxr_lightning.cluster.preflight.place import compressed
from cxr_lightning.durable import write_text

_COLOURS: dict[Status, str] = {"ok": "green", "warning": "yellow", "failed": "bold red"}
_COLUMN = 24
"""Least width of a node's column; where nodes have less, they share one."""
_NAMED = 6


@dataclass(frozen=True)
class Verdict:
    """What was found everywhere.

    Attributes:
        findings: Of each node that came, in the order of checks.
        missing: Nodes that did not come, or not with all ranks, and what lacks.
        ranks: How many should have come.
        seconds: How long the look took.
        alone: Whether it was one process, which sees nothing of other nodes.
    """

    findings: Mapping[str, Sequence[Finding]]
    missing: Mapping[str, str]
    ranks: int
    seconds: float
    alone: bool = False

    @property
    def bad(self) -> list[str]:
        """The nodes that keep a training from beginning."""
        failed = [node for node, found in self.findings.items() if worst(list(found)) == "failed"]
        return [*self.missing, *(node for node in failed if node not in self.missing)]

    @property
    def ready(self) -> bool:
        """Whether a training can begin."""
        return not self.bad

    def print(self, console: Console) -> None:
        """Prints the table, what is wrong, and the verdict."""
        console.print(table(self, console.width))
        for line in _wrong(self):
            console.print(line, soft_wrap=True, highlight=False)
        console.print(_last_line(self), soft_wrap=True, highlight=False)

    def write(self, path: Path) -> None:
        """Writes everything as JSON, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(self.to_json(), indent=1) + "\n")

    def to_json(self) -> dict[str, Any]:
        """Returns everything as plain data."""
        nodes = {node: {each.check: each.to_json() for each in found} for node, found in self.findings.items()}
        return {
            "ready": self.ready,
            "bad": self.bad,
            "missing": dict(self.missing),
            "ranks": self.ranks,
            "seconds": round(self.seconds, 1),
            "nodes": nodes,
        }


def table(verdict: Verdict, width: int) -> Table:
    """Returns checks by nodes where these have room; else each check with its range, and who stands out.

    Args:
        verdict: What was found.
        width: Columns of the terminal.
    """
    columns = [*verdict.findings, *(node for node in verdict.missing if node not in verdict.findings)]
    made = Table(title=_title(verdict), title_justify="left", title_style="bold")
    made.add_column("check", no_wrap=True)
    rows = _rows(verdict)
    if 17 + (_COLUMN + 3) * len(columns) <= width or len(columns) == 1:
        for name in columns:
            made.add_column(name, ratio=1)
        for check, by_node in rows.items():
            made.add_row(check, *(_cell(by_node.get(name)) for name in columns))
        return made
    made.add_column("nodes, least to most", ratio=3)
    made.add_column("not ok", ratio=2)
    for check, by_node in rows.items():
        made.add_row(check, _range(list(by_node.values())), _odd(by_node))
    return made


def _rows(verdict: Verdict) -> dict[str, dict[str, Finding]]:
    """Returns findings by check and node, in the order in which checks were made."""
    rows: dict[str, dict[str, Finding]] = {}
    for node, found in verdict.findings.items():
        for each in found:
            rows.setdefault(each.check, {})[node] = each
    for node, lacks in verdict.missing.items():
        rows.setdefault("ranks", {})[node] = Finding("ranks", lacks, "failed")
    return rows


def _cell(finding: Finding | None) -> RenderableType:
    if finding is None:
        return Text("not looked at", style="dim")
    return Text.assemble((finding.status, _COLOURS[finding.status]), " ", finding.told)


def _range(found: list[Finding]) -> RenderableType:
    """Returns the figures of nodes that are well: those of the least and of the most, where they can be compared."""
    well = [each for each in found if each.status == "ok"]
    if not well:
        return Text("none ok", style=_COLOURS["failed"])
    counted = sorted((each for each in well if each.value is not None), key=lambda each: each.value or 0.0)
    figures = list(dict.fromkeys(each.told for each in ([counted[0], counted[-1]] if counted else well)))
    shown = " to ".join(figures) if counted else ", ".join(figures[:2]) + (", ..." if len(figures) > 2 else "")
    return Text.assemble((f"{len(well)} ok", _COLOURS["ok"]), " ", shown)


def _odd(by_node: Mapping[str, Finding]) -> RenderableType:
    alike: dict[tuple[Status, str], list[str]] = {}
    for node, each in by_node.items():
        if each.status != "ok":
            alike.setdefault((each.status, each.told), []).append(node)
    lines: list[RenderableType] = [
        Text.assemble((status, _COLOURS[status]), f" {compressed(nodes)}: {told}")
        for (status, told), nodes in sorted(alike.items())
    ]
    more = [Text(f"and {len(lines) - _NAMED} more", style="dim")] if len(lines) > _NAMED else []
    return Group(*lines[:_NAMED], *more)


def _wrong(verdict: Verdict) -> Iterator[Text]:
    """Yields what is wrong, once for all nodes of which the same is; what failed comes last, where eyes are."""
    alike: dict[tuple[Status, str, str, str], list[str]] = {}
    for node, found in verdict.findings.items():
        for each in found:
            if each.status != "ok":
                alike.setdefault((each.status, each.check, each.why, each.remedy), []).append(node)
    for (status, check, why, remedy), nodes in sorted(alike.items(), key=lambda item: item[0][0] == "failed"):
        who = compressed(nodes)
        mended = f" Remedy: {remedy.rstrip('.')}." if remedy else ""
        yield Text.assemble((status, _COLOURS[status]), f" {who}, {check}: {why.rstrip('.')}.{mended}")
    for lacks in dict.fromkeys(verdict.missing.values()):
        nodes = [node for node, each in verdict.missing.items() if each == lacks]
        yield Text.assemble(
            ("failed", _COLOURS["failed"]),
            f" {compressed(nodes)}: {lacks} within the time (--preflight.wait). Remedy: see in the log whether tasks "
            "began there, or leave it out (sbatch --exclude).",
        )


def _title(verdict: Verdict) -> str:
    nodes = len({*verdict.findings, *verdict.missing})
    return f"Preflight of {nodes} {'node' if nodes == 1 else 'nodes'}, {verdict.ranks} {_ranks(verdict.ranks)}"


def _ranks(count: int) -> str:
    return "rank" if count == 1 else "ranks"


def _last_line(verdict: Verdict) -> Text:
    warnings = sum(each.status == "warning" for found in verdict.findings.values() for each in found)
    also = f" {warnings} {'warning' if warnings == 1 else 'warnings'} above." if warnings else ""
    scope = " One process looked: the network and other nodes are seen by srun cxr preflight." if verdict.alone else ""
    if verdict.ready:
        return Text.assemble(("Ready", _COLOURS["ok"]), f" after {verdict.seconds:.0f} s.{also}{scope}")
    named = compressed(verdict.bad)
    some = set(verdict.bad) < {*verdict.findings, *verdict.missing} and not verdict.alone
    without = f" Without: sbatch --exclude={named}" if some else ""
    rest = f": {named} ({verdict.seconds:.0f} s).{also}{scope}{without}"
    return Text.assemble(("Not ready", _COLOURS["failed"]), rest)
