"""Rank 0's part: it gathers what ranks told, says whether the network is worth trying, and judges."""

from __future__ import annotations

from collections import Counter
from typing import Any

from cxr_lightning.cluster.preflight import data, devices, likeness, network
from cxr_lightning.cluster.preflight.finding import Finding, Status
from cxr_lightning.cluster.preflight.links import NODE, PAIR, Backend, long_enough
from cxr_lightning.cluster.preflight.meeting import Meeting, Roll
from cxr_lightning.cluster.preflight.network import Measurements
from cxr_lightning.cluster.preflight.session import ARGUMENTS, LONG

_ANSWER = "answer"
_FACTS = 5.0
"""Seconds that the slowest rank may be behind in telling what it is about to do, once all nodes have looked."""
_SILENT = "see the node's log, whether a process there hangs or died, or leave the node out (sbatch --exclude)"


class Gathering:
    """What all ranks told.

    Args:
        meeting: Where they told it.
        roll: Who came.
        gpus: Whether the training runs on GPUs.
    """

    def __init__(self, meeting: Meeting, roll: Roll, *, gpus: bool) -> None:
        self.meeting, self.roll, self.gpus = meeting, roll, gpus
        self.ranks = [rank for ranks in roll.nodes.values() for rank in ranks]
        self.findings: dict[str, list[Finding]] = {}
        self.backend: Backend | None = None

    def nodes(self) -> None:
        """Gathers what nodes saw by themselves, and holds them against one another."""
        whole = [f"found/{node}" for node in self.roll.nodes if node not in self.roll.missing]
        parts = [f"found/{node}" for node in self.roll.nodes if node in self.roll.missing]  # perhaps without its leader
        told = {**self.meeting.hear_all(whole, LONG), **self.meeting.hear_all(parts, 1.0)}
        for node in self.roll.nodes:
            found = told.get(f"found/{node}")
            came = Finding("ranks", f"{len(self.roll.nodes[node])} came")
            rest = [Finding.from_json(each) for each in found] if found else [self._silent(node)]
            self.findings[node] = [came, *rest]
        self._same_devices()
        self._devices(self._heard("device", NODE + 2))
        self._same_shards()
        facts = self._heard("facts", _FACTS)
        for node, found in likeness.compare(facts, self.roll).items() if facts else ():
            self.findings[node] += found

    def decide(self) -> None:
        """Tells ranks to try the network, where all came and can; they are many, and would wait for who cannot."""
        stopped = (devices.CHECK, ARGUMENTS, _ANSWER)
        failed = [each for found in self.findings.values() for each in found if each.status == "failed"]
        able = self.roll.complete and self.roll.ranks > 1 and not any(each.check in stopped for each in failed)
        self.backend = ("nccl" if self.gpus else "gloo") if able else None
        self.meeting.tell("backend", self.backend)

    def near(self) -> None:
        """Gathers what ranks measured inside nodes and to neighbours; all try together only if all that went well."""
        if self.backend is None:
            return
        near = self._heard("near", NODE + PAIR)  # rank 0 is through with its own, and all go in step
        found = {rank: Measurements(each["inside"], each["neighbours"]) for rank, each in near.items()}
        several = len(self.roll.nodes) > 1
        inside = network.inside(found, self.roll) if several else {}
        neighbours = network.neighbours(found, self.roll, self.backend) if several else {}
        for node, findings in self.findings.items():
            findings += [each[node] for each in (inside, neighbours) if node in each]
        bad = network.bad_edges(found, self.roll) or any(each.status == "failed" for each in inside.values())
        bad = self._fell_silent(set(self.ranks) - set(near)) or bad
        self.meeting.tell("all", not bad)
        if bad:
            self.backend = None

    def _fell_silent(self, lost: set[int]) -> bool:
        for node, ranks in self.roll.nodes.items():
            gone = [str(rank) for rank in ranks if rank in lost]
            if gone:
                why = f"rank {', '.join(gone)} came, and fell silent while the network was tried"
                self.findings[node].append(Finding(_ANSWER, "lost", "failed", why, _SILENT))
        return bool(lost)

    def everyone(self) -> None:
        """Gathers what all ranks measured together."""
        if self.backend is None:
            return
        told = self._heard("all", long_enough(self.roll.ranks) + 5)
        everyone = network.everyone({rank: Measurements(everyone=each) for rank, each in told.items()}, self.roll)
        for node, findings in self.findings.items():
            findings.append(everyone[node])

    def _devices(self, told: dict[int, str]) -> None:
        """Adds what ranks say of their own GPU to what their node saw."""
        for node, ranks in self.roll.nodes.items():
            wrong = [each for rank in ranks if (each := told.get(rank, f"rank {rank} told nothing"))]
            if wrong:
                remedy = "see nvidia-smi on the node, and leave the node out (sbatch --exclude) until it is mended"
                self._change(node, devices.CHECK, "failed", "; ".join(wrong[:3]), remedy)

    def _same_devices(self) -> None:
        """Warns of nodes whose GPUs are others than most have: all wait for the slowest."""
        kinds = {node: self._figures(node, devices.CHECK).get("name") for node in self.roll.nodes}
        commonest = Counter(kinds.values()).most_common(1)[0][0]
        for node, kind in kinds.items():
            if kind != commonest:
                why = f"its GPUs are {kind or 'none'}, and most nodes have {commonest or 'none'}"
                self._change(node, devices.CHECK, "warning", why, "ask for one kind (--constraint), or leave it out")

    def _same_shards(self) -> None:
        """Refuses nodes that see other shards under the same name than the first node does; says if others see them."""
        prints = {node: self._figures(node, data.CHECK).get("fingerprint") for node in self.roll.nodes}
        seen = [each for each in prints.values() if each]
        for node, mine in prints.items():
            if not mine and any(prints.values()):
                self._mount(node, next(name for name, each in prints.items() if each))
            if mine and mine != seen[0]:
                first = next(name for name, each in prints.items() if each == seen[0])
                why = f"the shards here are not those of {first} (fingerprint {mine[:12]} here, {seen[0][:12]} there)"
                remedy = "copy or mount the same shards on all nodes"
                self._change(node, data.CHECK, "failed", why, remedy, told="other shards")

    def _mount(self, node: str, sees: str) -> None:
        remedy = f"{sees} reads them: see that the disk is mounted here too, or copy them to where all nodes see them"
        why = next((each.why for each in self.findings[node] if each.check == data.CHECK), "").partition(";")[0]
        self._change(node, data.CHECK, "failed", why, remedy)

    def _figures(self, node: str, check: str) -> dict[str, Any]:
        return next((each.figures for each in self.findings[node] if each.check == check), {})

    def _change(self, node: str, check: str, status: Status, why: str, remedy: str, *, told: str | None = None) -> None:
        """Makes a finding worse, never better."""
        self.findings[node] = [
            each.but(status, why, remedy, told=told)
            if each.check == check and (status == "failed" or each.status == "ok")
            else each
            for each in self.findings[node]
        ]

    def _silent(self, node: str) -> Finding:
        crash = self.meeting.hear(f"crash/{self.roll.leader(node)}", 0.1)
        why = f"the look itself failed: {crash}" if crash else f"told nothing within {LONG:.0f} s"
        return Finding(_ANSWER, "none", "failed", why, _SILENT)

    def _heard(self, what: str, seconds: float) -> dict[int, Any]:
        told = self.meeting.hear_all([f"{what}/{rank}" for rank in self.ranks], seconds)
        return {int(key.partition("/")[2]): value for key, value in told.items()}
