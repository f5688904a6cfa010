"""The summaries are written whole, in the order of the reports, from the journal: the same journal, the same bytes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cxr_lightning.durable import written
from cxr_lightning.reports.summaries import prompt
from cxr_lightning.reports.summaries.journal import Journal
from cxr_lightning.reports.summaries.material import Line
from cxr_lightning.reports.summaries.outcome import Outcome
from cxr_lightning.reports.summaries.plan import Choice, Plan


@dataclass(frozen=True, slots=True)
class Summary:
    """One report's.

    Attributes:
        line: The report.
        text: The summary.
        outcome: How it was made.
    """

    line: Line
    text: str
    outcome: Outcome


def by_rule(choice: Choice) -> Iterator[Summary]:
    """Yields the summaries that the rules make.

    Args:
        choice: The reports.
    """
    none = Outcome("rules", "no endpoint")
    for line in choice.lines():
        yield Summary(line, line.text, none)


def by_model(plan: Plan, journal: Journal) -> Iterator[Summary]:
    """Yields the summaries that a model made, and those of the rules where it made none.

    Args:
        plan: What was asked; every question is settled.
        journal: The answers.
    """
    for number, line in enumerate(plan.choice.lines()):
        key = plan.key(number)
        outcome = Outcome("rules", key) if isinstance(key, str) else plan.outcomes[key]
        reply = journal.answer(key, outcome.turn) if isinstance(key, bytes) and outcome.turn is not None else None
        yield Summary(line, line.text if reply is None else " ".join(reply.text.split()), outcome)


def write(summaries: Iterator[Summary], out: Path, model: str, tick: Callable[[Summary], object]) -> Counter[Outcome]:
    """Writes summaries, a line each; only the owner may read them.

    Args:
        summaries: The summaries.
        out: The file; there whole, or not at all.
        model: Who was asked; empty where nobody was.
        tick: Called with each.

    Returns:
        How many came to what.
    """
    counts = Counter[Outcome]()
    with written(out, 0o600) as stream:
        for each in summaries:
            by_rules = each.outcome.how == "rules"
            told = {
                "study_id": each.line.study_id,
                "summary": each.text,
                "how": each.outcome.how,
                "why": each.outcome.why,
                "faults": list(each.outcome.faults),
                "prompt": "" if by_rules else prompt.version(),
                "model": "" if by_rules else model,
            }
            stream.write(json.dumps(told, ensure_ascii=False) + "\n")
            counts[each.outcome] += 1
            tick(each)
    return counts
