"""What a check found on a node: the figures, and where something is wrong, what it is and how to mend it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

Status = Literal["ok", "warning", "failed"]
_WORSE: dict[Status, int] = {"ok": 0, "warning": 1, "failed": 2}


@dataclass(frozen=True)
class Finding:
    """What one check found on one node.

    Attributes:
        check: Its name.
        told: The figures, short enough for a cell of the table.
        status: Whether training can begin; a warning does not keep it from it.
        why: What is wrong, in a sentence.
        remedy: What helps.
        figures: Numbers for programs.
        value: The number by which nodes are compared, if there is one; more is better.
    """

    check: str
    told: str
    status: Status = "ok"
    why: str = ""
    remedy: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    value: float | None = None

    def but(self, status: Status, why: str, remedy: str, *, told: str | None = None) -> Finding:
        """Returns it with something that is wrong."""
        return replace(self, status=status, why=why, remedy=remedy, told=told or self.told)

    def to_json(self) -> dict[str, Any]:
        """Returns it as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Finding:
        """Reads back what `to_json` wrote."""
        return cls(**values)


def worst(findings: list[Finding]) -> Status:
    """Returns the worst status of several findings."""
    return max((finding.status for finding in findings), key=_WORSE.__getitem__, default="ok")


def within(seconds: float, check: str, look: Callable[[], Finding]) -> Finding:
    """Runs a check that may hang, as whoever asks a lost disk does.

    Args:
        seconds: How long to wait for it; its thread is left behind.
        check: Its name.
        look: The check.

    Returns:
        What it found, or that it failed or did not answer.
    """
    found: list[Finding] = []

    def run() -> None:
        try:
            found.append(look())
        except Exception as error:  # whatever it is: the other checks go on
            why, _, remedy = told(error).partition(" Remedy: ")
            found.append(Finding(check, type(error).__name__, "failed", why, remedy))

    thread = threading.Thread(target=run, name=f"preflight-{check}", daemon=True)
    thread.start()
    thread.join(seconds)
    if found:
        return found[0]
    return Finding(
        check,
        f"no answer in {seconds:.0f} s",
        "failed",
        f"the check did not end within {seconds:.0f} s",
        "see whether disks and network of the node answer, or leave the node out",
    )


def told(error: BaseException) -> str:
    """Returns what an error says; ours are written for people, others need their name."""
    text = " ".join(str(error).split())
    ours = type(error).__module__.startswith("cxr_lightning.")
    return text if ours and text else f"{type(error).__name__}: {text[:400]}"
