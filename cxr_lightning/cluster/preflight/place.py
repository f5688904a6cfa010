"""Where this process stands among those that were started, and which nodes should come, as the launcher says."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Launcher = Literal["slurm", "torchrun", "alone"]


@dataclass(frozen=True)
class Place:
    """One process.

    Attributes:
        launcher: What started it.
        rank: Its number.
        ranks: How many were started.
        local_rank: Its number on its node.
        node: Its node's name.
        expected: Ranks that each node should have, by name; empty where the launcher does not say.
    """

    launcher: Launcher
    rank: int
    ranks: int
    local_rank: int
    node: str
    expected: Mapping[str, int]

    @classmethod
    def here(cls, env: Mapping[str, str] = os.environ) -> Place:
        """Returns this process's place."""
        if "RANK" in env and "WORLD_SIZE" in env:
            local, node = int(env.get("LOCAL_RANK", "0")), socket.gethostname()
            return cls("torchrun", int(env["RANK"]), int(env["WORLD_SIZE"]), local, node, {})
        if "SLURM_PROCID" in env and "SLURM_STEP_NUM_TASKS" in env:
            nodes = hosts(env.get("SLURM_STEP_NODELIST", ""))
            counts = tasks(env.get("SLURM_STEP_TASKS_PER_NODE", ""))
            expected = dict(zip(nodes, counts, strict=False)) if len(nodes) == len(counts) else {}
            return cls(
                "slurm",
                int(env["SLURM_PROCID"]),
                int(env["SLURM_STEP_NUM_TASKS"]),
                int(env.get("SLURM_LOCALID", "0")),
                env.get("SLURMD_NODENAME") or socket.gethostname(),
                expected,
            )
        return cls("alone", 0, 1, 0, socket.gethostname(), {})

    @property
    def leads(self) -> bool:
        """Whether it looks at what all ranks of a node share."""
        return self.local_rank == 0

    def meeting_point(self, env: Mapping[str, str] = os.environ) -> tuple[str, int]:
        """Returns host and port where rank 0 listens; port 0 is any, for one process alone."""
        if self.launcher == "alone" or self.ranks == 1:
            return "localhost", 0
        first = next(iter(self.expected), None) or next(iter(hosts(env.get("SLURM_JOB_NODELIST", ""))), "localhost")
        # The port of Lightning's Slurm environment, where the job script has not chosen a free one.
        otherwise = 15000 + int(env.get("SLURM_JOB_ID", "0")[-4:])
        return env.get("MASTER_ADDR", first), int(env.get("MASTER_PORT", str(otherwise)))


def hosts(text: str) -> list[str]:
    """Returns the names in a list as Slurm writes it.

    Args:
        text: For example `gpu[01-03,7]-a,login1`.
    """
    return [name for part in re.findall(r"(?:\[[^\]]*\]|[^,\[])+", text) for name in _expanded(part)]


def compressed(names: Iterable[str]) -> str:
    """Returns names as Slurm writes them, which its options take: the inverse of `hosts`.

    Args:
        names: Of nodes.
    """
    numbered: dict[tuple[str, int], list[int]] = {}
    plain = []
    for name in dict.fromkeys(names):
        found = re.fullmatch(r"(.*?)(\d+)", name)
        if found:
            numbered.setdefault((found[1], len(found[2])), []).append(int(found[2]))
        else:
            plain.append(name)
    return ",".join([*plain, *(_joined(before, width, numbers) for (before, width), numbers in numbered.items())])


def tasks(text: str) -> list[int]:
    """Returns the tasks of each node in a list as Slurm writes it.

    Args:
        text: For example `8(x3),4`.
    """
    parts = re.findall(r"(\d+)(?:\(x(\d+)\))?", text)
    return [int(count) for count, times in parts for _ in range(int(times or 1))]


def _joined(before: str, width: int, numbers: list[int]) -> str:
    spans: list[list[int]] = []
    for number in sorted(numbers):
        if spans and number == spans[-1][-1] + 1:
            spans[-1][1:] = [number]
        else:
            spans.append([number])
    if len(numbers) == 1:
        return f"{before}{numbers[0]:0{width}d}"
    return f"{before}[{','.join('-'.join(f'{each:0{width}d}' for each in span) for span in spans)}]"


def _expanded(part: str) -> Iterator[str]:
    before, bracket, rest = part.partition("[")
    if not bracket:
        yield part
        return
    inside, _, after = rest.partition("]")
    for span in inside.split(","):
        first, _, last = span.partition("-")
        for number in range(int(first), int(last or first) + 1):
            for end in _expanded(after):
                yield f"{before}{number:0{len(first)}d}{end}"
