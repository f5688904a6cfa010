"""Who wrote what is taken away: studies and reports are shuffled, and what undoes it goes into the key.

Enters studies with reports by system; leaves what a page may hold (items: films, and texts called A, B, C) and the key,
which stays with whoever owns the study. The shuffle is drawn from a secret, unless a seed is given for it: a seed that
anyone could guess would be as good as the key.
"""

from __future__ import annotations

import hashlib
import json
import random
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cxr_lightning.evaluation.experts.material import ReadingError, Study

SCHEMA = 1
MOST_REPORTS = 8
"""Reports of one study that a reader can weigh against each other."""

_SILENT = "(no text)"


@dataclass(frozen=True)
class Plan:
    """How a reading is divided.

    Attributes:
        readers: How many readers there will be.
        overlap: Studies that all of them read; None for all studies. The others are dealt out among them.
        repeats: Studies that each reader is shown a second time, later, unannounced.
    """

    readers: int
    overlap: int | None
    repeats: int


@dataclass(frozen=True)
class Blinded:
    """A reading without names.

    Attributes:
        items: What is shown: `{"id", "study", "reports": [{"label", "text"}]}`, `study` counting in the films.
        seats: For each reader, the order of items.
        key: For each item by id: study, patient, whose report is behind each label, and of which item it is a repeat.
        fingerprint: Digest of all that is shown; a saved file names it.
    """

    items: list[dict[str, Any]]
    seats: list[list[int]]
    key: dict[str, dict[str, Any]]
    fingerprint: str


def blind(studies: Sequence[Study], plan: Plan, seed: int) -> Blinded:
    """Shuffles studies for each reader and reports for each study.

    Equal texts are shown once and stand for all who wrote them, so nobody judges the same words twice in a row.

    Args:
        studies: What is to be read.
        plan: How it is divided.
        seed: The secret.

    Returns:
        What may be shown, and the key.

    Raises:
        ReadingError: A study has more reports than a reader can weigh, or the plan does not fit the studies.
    """
    _check(studies, plan)
    draw = random.Random(seed)
    items = [_item(number, study, draw) for number, study in enumerate(studies)]
    key = {item["id"]: entry for item, entry in items}
    shown = [item for item, _ in items]
    again: dict[int, int] = {}
    seats = []
    for numbers in _deal(len(studies), plan, draw):
        order = list(numbers)
        draw.shuffle(order)
        repeated = order[: min(plan.repeats, len(order) // 2)]
        for number in repeated:
            if number not in again:
                item, entry = _item(number, studies[number], draw)
                again[number] = len(shown)
                shown.append(item)
                key[item["id"]] = {**entry, "repeat_of": shown[number]["id"]}
        seats.append(_with_repeats(order, repeated, again, draw))
    return Blinded(shown, seats, key, _fingerprint(studies, shown, seats))


def _check(studies: Sequence[Study], plan: Plan) -> None:
    most = max(len(study.reports) for study in studies)
    if most > MOST_REPORTS:
        raise ReadingError(
            f"{most} reports a study are more than a reader can weigh; the most is {MOST_REPORTS}. "
            "Remedy: give fewer folders, and make several pages."
        )
    if plan.overlap is not None and plan.overlap > len(studies):
        raise ReadingError(
            f"--overlap {plan.overlap} is more than the {len(studies)} studies there are. Remedy: a smaller one."
        )
    alone = 0 if plan.overlap is None else len(studies) - plan.overlap
    if not plan.overlap and 0 < alone < plan.readers:
        raise ReadingError(f"{len(studies)} studies cannot be dealt out among {plan.readers} readers. Remedy: fewer.")


def _item(number: int, study: Study, draw: random.Random) -> tuple[dict[str, Any], dict[str, Any]]:
    """Makes one item and its entry in the key."""
    writers: dict[str, list[str]] = {}
    for system, text in study.reports.items():
        writers.setdefault(text or _SILENT, []).append(system)
    texts = list(writers)
    draw.shuffle(texts)
    reports = [{"label": label, "text": text} for label, text in zip(string.ascii_uppercase, texts, strict=False)]
    named = {report["label"]: {"systems": writers[report["text"]], "text": report["text"]} for report in reports}
    item = {"id": f"{draw.getrandbits(64):016x}", "study": number, "reports": reports}
    return item, {"study": study.key, "patient": study.patient, "repeat_of": None, "reports": named}


def _deal(count: int, plan: Plan, draw: random.Random) -> list[list[int]]:
    """Gives every reader the common studies, and each of the others to one of them."""
    order = list(range(count))
    draw.shuffle(order)
    common = count if plan.overlap is None else plan.overlap
    return [order[:common] + order[common + seat :: plan.readers] for seat in range(plan.readers)]


def _with_repeats(order: list[int], repeated: list[int], again: dict[int, int], draw: random.Random) -> list[int]:
    """Puts repeated studies into the first half and their second showing into the last third."""
    others = [number for number in order if number not in repeated]
    half = len(order) // 2
    early = repeated + others[: half - len(repeated)]
    draw.shuffle(early)
    late = others[half - len(repeated) :]
    third = len(order) // 3
    tail = late[len(late) - third :] + [again[number] for number in repeated]
    draw.shuffle(tail)
    return early + late[: len(late) - third] + tail


def _fingerprint(studies: Sequence[Study], items: list[dict[str, Any]], seats: list[list[int]]) -> str:
    films = [[hashlib.sha256(film.data).hexdigest() for film in study.films] for study in studies]
    shown = {"schema": SCHEMA, "films": films, "items": items, "seats": seats}
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()
