"""Lines of `cxr reports` enter, one at a time; what is to be summarised leaves.

The text that a model gets is cleaned first: what must not be in a summary need not leave the machine. Where it still
may name somebody, no model gets it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from cxr_lightning.endpoint.reply import sound
from cxr_lightning.reports.cleaning import clean
from cxr_lightning.reports.identifiers import find_identifiers
from cxr_lightning.reports.sentences import split_sentences
from cxr_lightning.reports.summaries import prompt
from cxr_lightning.reports.summaries.trouble import SummariesError

_TEXTS = ("study_id", "findings", "impression", "text")
KEY_BYTES = 16
Unasked = Literal["nothing to merge", "identifiers"]
"""Why nobody is asked about a report: it is one sentence, or none; or it may name somebody."""


@dataclass(frozen=True, slots=True)
class Line:
    """One report that was kept.

    Attributes:
        at: Where its line begins in the file.
        study_id: The study's name in its source.
        findings: As written.
        impression: As written.
        text: The summary by rule.
        source: Name of the source, or empty where the line has none.
    """

    at: int
    study_id: str
    findings: str
    impression: str
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Question:
    """What a model is asked about one text; reports that are word for word alike are one.

    Attributes:
        key: Digest of the model, the prompt and the text.
        report: Findings and impression, cleaned: what a summary is held against.
        prompt: What is asked.
    """

    key: bytes
    report: str
    prompt: str


def read_lines(file: Path) -> Iterator[Line]:
    """Reads the reports that were kept, in their order.

    Args:
        file: As `cxr reports` writes it.

    Raises:
        SummariesError: A line is no report's; it names file and number, never what the line says.
    """
    at = 0
    with file.open("rb") as stream:
        for number, raw in enumerate(stream, start=1):
            if raw.strip():
                line = _line(raw, at, f"{file}, line {number}")
                if line is not None:
                    yield line
            at += len(raw)


def line_at(file: BinaryIO, at: int) -> Line:
    """Returns one report again.

    Args:
        file: The file, open.
        at: Where its line begins.

    Raises:
        SummariesError: No report that was kept stands there: the file has changed.
    """
    file.seek(at)
    line = _line(file.readline(), at, f"{file.name}, byte {at}")
    if line is None:
        raise SummariesError(f"{file.name} was changed meanwhile. Remedy: the same command again.")
    return line


def _line(raw: bytes, at: int, where: str) -> Line | None:
    try:
        table: Any = json.loads(raw.decode())
    except (ValueError, RecursionError):
        raise SummariesError(f"{where}: no line of JSON. Remedy: give the file that `cxr reports` writes.") from None
    texts = [table.get(name) if isinstance(table, dict) else None for name in _TEXTS]
    kept = isinstance(table, dict) and table.get("kept")
    if not isinstance(kept, bool) or not all(isinstance(text, str) for text in texts) or not texts[0]:
        names = ", ".join(_TEXTS)
        raise SummariesError(f"{where}: lacks one of {names} (texts), kept (true or false). Remedy: `cxr reports`.")
    if not kept:
        return None
    source, (name, findings, impression, text) = table.get("source"), (sound(str(each)) for each in texts)
    return Line(at, name, findings, impression, text, source if isinstance(source, str) else "")


def question_of(line: Line, model: str, max_tokens: int) -> Question | Unasked:
    """Returns what a model is asked about a report.

    Args:
        line: The report.
        model: Who is asked.
        max_tokens: Longest answer.

    Returns:
        The question, or why there is none.
    """
    if len(split_sentences(line.text)) < 2:
        return "nothing to merge"
    findings, impression = clean(line.findings), clean(line.impression)
    if find_identifiers(findings) or find_identifiers(impression):
        return "identifiers"
    asked = prompt.first(findings, impression)
    named = json.dumps([model, prompt.version(), max_tokens, asked])
    digest = hashlib.sha256(named.encode()).digest()[:KEY_BYTES]
    return Question(digest, " ".join(each for each in (findings, impression) if each), asked)
