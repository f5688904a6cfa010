"""Processes of this machine: told apart beyond numbers, which are used again, and what the kernel knows of them."""

from __future__ import annotations

import os
from pathlib import Path


def started(pid: int) -> str:
    """Returns when a process began, in the kernel's ticks; empty where there is none of this number."""
    return next(iter(fields(pid)[19:]), "")


def fields(pid: int) -> list[str]:
    """Returns what the kernel counts of a process, its state first; nothing where there is none of this number."""
    return read(pid, "stat").rpartition(")")[2].split()


def kernel() -> str:
    """Returns the machine's boot and the space of process numbers, in which a number means something."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def state(pid: int) -> str:
    """Returns what a process does, as the kernel sees it: all that can be had of one that cannot say it itself."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return "is gone"
    told = next((line.partition(":")[2].strip() for line in lines if line.startswith("State:")), "?")
    waits = read(pid, "wchan")
    return f"is {told}" + (f", in {waits}" if waits not in ("", "0") else "")


def read(pid: int, name: str) -> str:
    """Returns a file that the kernel keeps on a process; empty where it may not be read."""
    try:
        return Path(f"/proc/{pid}/{name}").read_text().strip()
    except OSError:
        return ""


def threads(pid: int) -> str:
    """Returns the threads of a process, as the kernel sees them: one that waits for a disk is in state D."""
    try:
        tasks = sorted(Path(f"/proc/{pid}/task").iterdir(), key=lambda task: int(task.name))
    except OSError:
        return ""
    told = []
    for task in tasks:
        number = int(task.name)
        name, stack = read(number, "comm"), " < ".join(line.split()[-1] for line in read(number, "stack").splitlines())
        told.append(f"  {number} {name}: {state(number)}" + (f" ({stack})" if stack else ""))
    return "\n".join(told)
