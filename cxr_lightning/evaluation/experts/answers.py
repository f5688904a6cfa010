"""What readers saved: files of the page enter with the key, judgements of named systems leave.

A file may come from anywhere, so nothing in it is believed: what is not of this page is refused, and what is not fully
judged is counted and left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr_lightning.evaluation.experts.blinding import SCHEMA
from cxr_lightning.evaluation.experts.rubric import ERRORS

_KINDS = frozenset(error.name for error in ERRORS)


class AnswersError(ValueError):
    """A file is no key, or no reading of the key's page, or one reader's reading comes twice."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one reader said of one report.

    Attributes:
        reader: Who.
        study: Key of the study.
        patient: Its hashed patient.
        label: What the report was called: A, B, C.
        systems: Who wrote it; several where they wrote the same words.
        text: The report.
        accurate: Whether the reader found it accurate.
        score: From 1 to 5.
        errors: What was wrong.
        comment: What else the reader wrote.
        seconds: Spent on it.
        again: Whether the reader had been shown this study before.
    """

    reader: str
    study: str
    patient: str
    label: str
    systems: tuple[str, ...]
    text: str
    accurate: bool
    score: int
    errors: frozenset[str]
    comment: str
    seconds: float
    again: bool

    @property
    def report(self) -> tuple[str, tuple[str, ...]]:
        """Which report of which study it is, whatever it was called."""
        return self.study, self.systems


@dataclass(frozen=True, slots=True)
class Reader:
    """One saved file.

    Attributes:
        name: Initials.
        seat: Which of the planned readers, from 0.
        assigned: Studies that were to be read, repeats included.
        finished: Those of which every report is judged.
        begun: Those of which something is judged, and something lacks.
        judgements: All that is fully judged.
    """

    name: str
    seat: int
    assigned: int
    finished: int
    begun: int
    judgements: tuple[Judgement, ...]


def read_key(file: Path) -> dict[str, Any]:
    """Reads the key of a page.

    Args:
        file: What `cxr evaluate reading` wrote beside the page.

    Raises:
        AnswersError: It is no such file.
    """
    key = _json(file)
    if not isinstance(key, dict) or key.get("kind") != "cxr reading key" or key.get("schema") != SCHEMA:
        raise AnswersError(f"{file} is no key of a reading page. Remedy: --key reading.key.json, beside the page.")
    return key


def read_answers(files: Sequence[Path], key: Mapping[str, Any]) -> list[Reader]:
    """Reads what readers saved.

    Args:
        files: One file a reader.
        key: The key of their page.

    Raises:
        AnswersError: A file is none that the page saved, is of another page, or says what the page cannot say; a reader
            comes twice; nothing is judged at all.
    """
    readers: dict[str, Reader] = {}
    for file in files:
        reader = _reader(file, key)
        name = reader.name.casefold()
        if name in readers:
            raise AnswersError(
                f"{file}: a reading by {reader.name} was given already. Remedy: give the latest file of each reader; "
                'if two people have the same initials, change "reader" in one file.'
            )
        readers[name] = reader
    if not any(reader.judgements for reader in readers.values()):
        raise AnswersError(f"None of the {len(files)} files holds a report that is fully judged.")
    return list(readers.values())


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AnswersError(f"{file}: there is no such file.") from None
    except (OSError, ValueError, RecursionError):
        raise AnswersError(f"{file} cannot be read as JSON. Remedy: have the reader save it again.") from None


def _reader(file: Path, key: Mapping[str, Any]) -> Reader:
    answers = _json(file)
    if not isinstance(answers, dict) or answers.get("kind") != "cxr reading answers":
        raise AnswersError(f"{file} is no file that a reading page saved. Remedy: leave it out.")
    if answers.get("page") != key["page"]:
        raise AnswersError(
            f"{file} was saved by page {str(answers.get('page'))[:8]}, and the key is of page {key['page'][:8]}. "
            "Remedy: give the key that was written beside that page."
        )
    name, seat, items = answers.get("reader"), answers.get("seat"), answers.get("items")
    if not isinstance(name, str) or not name.strip():
        raise AnswersError(f'{file} does not say who read ("reader").')
    if type(seat) is not int or not 0 <= seat < len(key["seats"]):
        raise AnswersError(f'{file}: "seat" is {seat!r}; the page has readers 0 to {len(key["seats"]) - 1}.')
    if not isinstance(items, dict) or not items.keys() <= key["items"].keys():
        raise AnswersError(f'{file}: "items" names studies that the page does not have.')
    order = key["seats"][seat]
    name = " ".join(name.split())
    judged = {item: _item(file, name, key["items"][item], items.get(item, {})) for item in order}
    wanted = {item: len(key["items"][item]["reports"]) for item in order}
    whole = [item for item in order if len(judged[item][0]) == wanted[item]]
    begun = [item for item in order if item not in whole and judged[item][1]]
    return Reader(
        name, seat, len(order), len(whole), len(begun), tuple(each for item in order for each in judged[item][0])
    )


def _item(file: Path, reader: str, entry: Mapping[str, Any], said: Any) -> tuple[list[Judgement], bool]:
    """Returns the reports of an item that are fully judged, and whether anything of it is."""
    if not isinstance(said, dict) or not said.keys() <= entry["reports"].keys():
        raise AnswersError(f"{file}: an item names reports that the page does not have.")
    judgements, touched = [], False
    for label, given in said.items():
        values = _values(file, given)
        touched |= any(value not in (None, frozenset(), "", 0.0) for name, value in values.items() if name != "seconds")
        if values["accurate"] is None or values["score"] is None or not (values["accurate"] or values["errors"]):
            continue
        report = entry["reports"][label]
        judgements.append(
            Judgement(
                reader=reader,
                study=entry["study"],
                patient=entry["patient"],
                label=label,
                systems=tuple(sorted(report["systems"])),
                text=report["text"],
                again=entry["repeat_of"] is not None,
                **values,
            )
        )
    return judgements, touched


def _values(file: Path, given: Any) -> dict[str, Any]:
    """Checks what was said of one report."""
    given = given if isinstance(given, dict) else {"score": "nothing"}
    accurate, score, errors = given.get("accurate"), given.get("score"), given.get("errors") or []
    comment, seconds = given.get("comment") or "", given.get("seconds") or 0
    sound = (
        (accurate is None or isinstance(accurate, bool))
        and (score is None or (type(score) is int and 1 <= score <= 5))
        and isinstance(errors, list)
        and all(isinstance(error, str) and error in _KINDS for error in errors)
        and isinstance(comment, str)
        and type(seconds) in (int, float)
        and math.isfinite(seconds)
        and seconds >= 0
    )
    if not sound:
        raise AnswersError(
            f"{file}: a report is judged in a way that the page does not offer (score {score!r}). "
            "Remedy: have the reader save it again, and do not edit it."
        )
    return {
        "accurate": accurate,
        "score": score,
        "errors": frozenset(errors),
        "comment": comment.strip(),
        "seconds": float(seconds),
    }
