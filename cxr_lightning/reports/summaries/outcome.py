"""What became of a text: how its summary was made, and if by rule, why; read off the journal, so that runs agree."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from rich.table import Table

from cxr_lightning.endpoint.reply import Reply
from cxr_lightning.reports.summaries.checks import find_faults
from cxr_lightning.reports.summaries.fault import Fault
from cxr_lightning.reports.summaries.journal import Journal, Turn
from cxr_lightning.reports.summaries.material import Question

How = Literal["model", "corrected", "rules"]
"""Written by the model, by the model once it was told what was wrong, or by rule."""
Why = Literal["", "checks", "refused", "in the air", "nothing to merge", "identifiers", "no endpoint"]

_MEANING: dict[Why, str] = {
    "": "",
    "checks": "checks: both answers were at fault",
    "refused": "refused by the server",
    "in the air": "in the air when it was cut off: not to be paid twice",
    "nothing to merge": "nothing to merge: one sentence, or none",
    "identifiers": "identifiers: may name somebody, so not sent",
    "no endpoint": "no endpoint was given",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a summary was made.

    Attributes:
        how: By whom.
        why: Why by rule.
        faults: Kinds of fault of the first answer.
        last: Kinds of fault of the corrected one.
    """

    how: How
    why: Why = ""
    faults: tuple[str, ...] = ()
    last: tuple[str, ...] = ()

    @property
    def turn(self) -> Turn | None:
        """Which answer is the summary; None where it is by rule."""
        return None if self.how == "rules" else 1 if self.how == "model" else 2


@dataclass(frozen=True, slots=True)
class Open:
    """A text that is still to be asked about.

    Attributes:
        turn: Which question.
        reply: The first answer, where it was at fault.
        faults: What was wrong with it.
    """

    turn: Turn
    reply: Reply | None = None
    faults: tuple[Fault, ...] = ()


_one = lru_cache(maxsize=4096)(Outcome)  # most are alike, and there are hundreds of thousands


def look(question: Question, journal: Journal, *, ask_again: bool) -> Outcome | Open:
    """Reads off the journal what became of a question.

    Args:
        question: The question.
        journal: The journal.
        ask_again: Whether what was in the air at a kill is asked again.
    """
    first = journal.answer(question.key, 1)
    if first is None:
        return _unanswered(question, journal, Open(1), (), ask_again=ask_again)
    faults = _faults(question, first)
    if not faults:
        return _one("model")
    second, kinds = journal.answer(question.key, 2), _kinds(faults)
    if second is None:
        return _unanswered(question, journal, Open(2, first, faults), kinds, ask_again=ask_again)
    last = _kinds(_faults(question, second))
    return _one("rules", "checks", kinds, last) if last else _one("corrected", "", kinds)


def _unanswered(
    question: Question, journal: Journal, still: Open, kinds: tuple[str, ...], *, ask_again: bool
) -> Outcome | Open:
    if journal.was_refused(question.key):
        return _one("rules", "refused", kinds)
    if not ask_again and journal.was_in_the_air(question.key, still.turn):
        return _one("rules", "in the air", kinds)
    return still


def _faults(question: Question, reply: Reply) -> tuple[Fault, ...]:
    return find_faults(question.report, reply.text, cut_off=reply.finish == "length")


def _kinds(faults: tuple[Fault, ...]) -> tuple[str, ...]:
    return tuple(sorted({fault.kind for fault in faults}))


def tables(outcomes: Counter[Outcome]) -> list[Table]:
    """Returns what is printed at the end: how summaries were made, and what was wrong with answers.

    Args:
        outcomes: How many reports came to each.
    """
    total = max(outcomes.total(), 1)
    made = Table(title="How the summaries were made")
    for name in ("by", "why", "reports", "share"):
        made.add_column(name, justify="right" if name in ("reports", "share") else "left")
    rows = Counter[tuple[str, str]]()
    first, last = Counter[str](), Counter[str]()
    for outcome, count in outcomes.items():
        rows[outcome.how, _MEANING[outcome.why]] += count
        first.update(dict.fromkeys(outcome.faults, count))
        last.update(dict.fromkeys(outcome.last, count))
    for (how, why), count in rows.most_common():
        made.add_row(how, why, f"{count:,}", f"{100 * count / total:.1f} %")
    if not first:
        return [made]
    wrong = Table(title="What was wrong with answers")
    for name in ("fault", "at first", "once told"):
        wrong.add_column(name, justify="left" if name == "fault" else "right")
    for kind, count in first.most_common():
        wrong.add_row(kind, f"{count:,}", f"{last[kind]:,}")
    for kind in sorted(last.keys() - first.keys()):
        wrong.add_row(kind, "0", f"{last[kind]:,}")
    return [made, wrong]
