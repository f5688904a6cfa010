"""What ranks measured of the network enters; a finding for each node leaves, and the node at fault is named.

An edge of the ring that fails or is slow may be the fault of either end. A node both of whose edges do is at fault;
where an edge alone is bad, or there are only two nodes, both ends are named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

from cxr_lightning.cluster.preflight.finding import Finding
from cxr_lightning.cluster.preflight.links import Backend, Measured, ring
from cxr_lightning.cluster.preflight.meeting import Roll
from cxr_lightning.cluster.units import size

NEIGHBOURS, INSIDE, ALL = "to neighbours", "inside node", "all-reduce"
_SLOW = 0.5
"""Share of the other nodes' speed under which a node is worth a warning."""
_REMEDY = (
    "see that no firewall is between nodes of a job, name the interface in slurm/site.sh (NCCL_SOCKET_IFNAME, "
    "GLOO_SOCKET_IFNAME), or leave the node out (sbatch --exclude)"
)
_SLOW_REMEDY = "leave the node out (sbatch --exclude), and have its network looked at"


@dataclass(frozen=True)
class Measurements:
    """Of one rank.

    Attributes:
        inside: Within its node.
        neighbours: With the nodes next to its own, by name.
        everyone: With all ranks.
    """

    inside: Measured | None = None
    neighbours: Mapping[str, Measured] = field(default_factory=dict)
    everyone: Measured | None = None


def bad_edges(found: Mapping[int, Measurements], roll: Roll) -> dict[str, dict[str, str]]:
    """Returns what went wrong between neighbours: the reason by neighbour, by node.

    Args:
        found: What ranks measured; one that is not in it gave no answer.
        roll: Which ranks are on which node.
    """
    bad: dict[str, dict[str, str]] = {}
    for edge in ring(list(roll.nodes)):
        for node in (edge.one, edge.other):
            reason = _reason(found, roll.nodes[node], edge.beyond(node))
            if reason:
                bad.setdefault(edge.one, {}).setdefault(edge.other, reason)
                bad.setdefault(edge.other, {}).setdefault(edge.one, reason)
    return bad


def culprits(bad: Mapping[str, Mapping[str, str]], roll: Roll) -> set[str]:
    """Returns the nodes at fault: those that no neighbour reaches, else both ends of each bad edge."""
    if len(roll.nodes) < 3:
        return set(bad)
    certain = {node for node, others in bad.items() if len(others) == 2}
    # Beside a node that nobody reaches, its neighbours each have one bad edge, and are not at fault for it.
    doubtful = {node for node, others in bad.items() if not certain & {node, *others}}
    return certain | doubtful


def neighbours(found: Mapping[int, Measurements], roll: Roll, backend: Backend) -> dict[str, Finding]:
    """Returns what each node's neighbours say of it, in all its ranks together."""
    bad = bad_edges(found, roll)
    guilty = culprits(bad, roll)
    rates = {node: _rates(found, ranks) for node, ranks in roll.nodes.items()}
    best = {node: max(each.values(), default=0.0) for node, each in rates.items()}
    told: dict[str, Finding] = {}
    for node in roll.nodes:
        figures = {"bytes_per_second": {other: round(rate) for other, rate in rates[node].items()}, "backend": backend}
        finding = Finding(NEIGHBOURS, f"{size(best[node])}/s", figures=figures, value=best[node])
        others = [rate for name, rate in best.items() if name != node and rate]
        if node in bad:
            finding = _bad(finding, bad[node], guilty=node in guilty)
        elif len(others) >= 2 and best[node] < _SLOW * median(others):
            why = f"{size(best[node])}/s with its neighbours, where other nodes have {size(median(others))}/s"
            finding = finding.but("warning", why, _SLOW_REMEDY)
        told[node] = finding
    return told


def inside(found: Mapping[int, Measurements], roll: Roll) -> dict[str, Finding]:
    """Returns how quickly the ranks of each node sum among themselves."""
    return {
        node: _summed(INSIDE, [found[rank].inside if rank in found else "no answer" for rank in ranks])
        for node, ranks in roll.nodes.items()
        if len(ranks) > 1
    }


def everyone(found: Mapping[int, Measurements], roll: Roll) -> dict[str, Finding]:
    """Returns how quickly all ranks sum."""
    return {
        node: _summed(ALL, [found[rank].everyone if rank in found else "no answer" for rank in ranks])
        for node, ranks in roll.nodes.items()
    }


def _bad(finding: Finding, reasons: Mapping[str, str], *, guilty: bool) -> Finding:
    others = " and ".join(reasons)
    if guilty:
        why = f"nothing passes to or from {others} ({next(iter(reasons.values()))})"
        return finding.but("failed", why, _REMEDY, told=f"none with {others}")
    return finding.but("warning", f"nothing passes to or from {others}, which no neighbour reaches", _REMEDY)


def _summed(check: str, rates: list[Measured | None]) -> Finding:
    wrong = [rate for rate in rates if isinstance(rate, str)]
    if wrong:
        return Finding(check, "failed", "failed", f"{len(wrong)} of {len(rates)} ranks: {wrong[0]}", _REMEDY)
    slowest = min((rate for rate in rates if isinstance(rate, float)), default=0.0)
    return Finding(check, f"{size(slowest)}/s", figures={"bus_bytes_per_second": round(slowest)}, value=slowest)


def _reason(found: Mapping[int, Measurements], ranks: Iterable[int], other: str) -> str:
    """Returns what a node's ranks say went wrong with a neighbour, or nothing."""
    for rank in ranks:
        if rank not in found:
            return "a rank gave no answer"
        rate = found[rank].neighbours.get(other)
        if isinstance(rate, str):
            return rate
    return ""


def _rates(found: Mapping[int, Measurements], ranks: Iterable[int]) -> dict[str, float]:
    """Returns bytes a second of all ranks of a node with each neighbour."""
    summed: dict[str, float] = {}
    for rank in ranks:
        for other, rate in (found[rank].neighbours if rank in found else {}).items():
            if isinstance(rate, float):
                summed[other] = summed.get(other, 0.0) + rate
    return summed
