"""Which reports are summarised, and what is still to be asked: digests and places in the file, never the texts.

A file of 227,000 reports takes some 60 MB of memory so.
"""

from __future__ import annotations

import hashlib
import heapq
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from cxr_lightning.reports.summaries.budget import Forecast
from cxr_lightning.reports.summaries.material import (
    KEY_BYTES,
    Line,
    Question,
    Unasked,
    line_at,
    question_of,
    read_lines,
)
from cxr_lightning.reports.summaries.outcome import Open, Outcome
from cxr_lightning.reports.summaries.trouble import SummariesError

_NO_KEY: dict[Unasked, bytes] = {"nothing to merge": bytes(KEY_BYTES), "identifiers": b"\xff" * KEY_BYTES}
_UNASKED = {key: why for why, key in _NO_KEY.items()}


@dataclass(slots=True)
class Choice:
    """The reports that are summarised.

    Attributes:
        file: Their file.
        places: Where their lines begin, in order.
        sources: How many come from which source.
    """

    file: Path
    places: array[int] = field(default_factory=lambda: array("Q"))
    sources: Counter[str] = field(default_factory=Counter)

    def lines(self) -> Iterator[Line]:
        """Reads them again."""
        with self.file.open("rb") as stream:
            for at in self.places:
                yield line_at(stream, at)


def choose(file: Path, *, limit: int | None, sample: int | None) -> Choice:
    """Reads which reports there are.

    Args:
        file: As `cxr reports` writes it.
        limit: How many of the first ones.
        sample: How many, drawn from all: the same whenever this is asked.

    Raises:
        SummariesError: A line is no report's, or two are of one study.
    """
    choice, seen = Choice(file), set[bytes]()
    for line in _drawn(read_lines(file), limit, sample):
        name = hashlib.sha256(line.study_id.encode(errors="surrogatepass")).digest()[:KEY_BYTES]
        if name in seen:
            raise SummariesError(
                f"{file}, byte {line.at}: its study has another line. Remedy: a line a study, as `cxr reports` writes."
            )
        seen.add(name)
        choice.places.append(line.at)
        choice.sources[line.source] += 1
    return choice


def _drawn(lines: Iterator[Line], limit: int | None, sample: int | None) -> Iterable[Line]:
    chosen = islice(lines, limit)
    if sample is None:
        return chosen
    drawn = heapq.nsmallest(sample, chosen, key=lambda line: hashlib.sha256(line.study_id.encode()).digest())
    return sorted(drawn, key=lambda line: line.at)


@dataclass(slots=True)
class Plan:
    """What is asked about the chosen reports.

    Attributes:
        choice: The reports.
        keys: Digest of each report's question, one behind the other; zeros or ones where nobody is asked.
        open: Where the lines begin whose questions are still to be asked, each question once.
        outcomes: What became of the others, by digest.
        forecast: What is to come.
        alike: Reports whose question another report has too.
    """

    choice: Choice
    keys: bytearray = field(default_factory=bytearray)
    open: array[int] = field(default_factory=lambda: array("Q"))
    outcomes: dict[bytes, Outcome] = field(default_factory=dict)
    forecast: Forecast = field(default_factory=Forecast)
    alike: int = 0

    def questions(self, model: str, max_tokens: int) -> Iterator[Question]:
        """Makes the questions that are still to be asked.

        Args:
            model: Who is asked.
            max_tokens: Longest answer.
        """
        with self.choice.file.open("rb") as stream:
            for at in self.open:
                question = question_of(line_at(stream, at), model, max_tokens)
                if isinstance(question, Question):
                    yield question

    def key(self, number: int) -> bytes | Unasked:
        """Returns the digest of a report's question, or why it has none.

        Args:
            number: Which of the chosen.
        """
        key = bytes(self.keys[number * KEY_BYTES : (number + 1) * KEY_BYTES])
        return _UNASKED.get(key, key)


def make_plan(
    choice: Choice, model: str, max_tokens: int, look: Callable[[Question], Outcome | Open], tick: Callable[[], object]
) -> Plan:
    """Finds what is still to be asked.

    Args:
        choice: The reports.
        model: Who is asked.
        max_tokens: Longest answer.
        look: Says what became of a question.
        tick: Called once a report.
    """
    plan, seen = Plan(choice), set[bytes]()
    for line in choice.lines():
        tick()
        question = question_of(line, model, max_tokens)
        plan.keys += question.key if isinstance(question, Question) else _NO_KEY[question]
        if not isinstance(question, Question):
            continue
        if question.key in seen:
            plan.alike += 1
            continue
        seen.add(question.key)
        state = look(question)
        if isinstance(state, Outcome):
            plan.outcomes[question.key] = state
        else:
            plan.open.append(line.at)
            plan.forecast.add(question)
    return plan
