"""What a judge said of the reports: who won how often, and which grades were given, each with its interval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from cxr_lightning.evaluation.judge.outcomes import Graded, Outcome
from cxr_lightning.evaluation.judge.prompts import GRADES
from cxr_lightning.evaluation.judge.questions import STRANGER, DuelKind
from cxr_lightning.evaluation.judge.shares import Draws, mean, plain, share

KINDS: tuple[DuelKind, ...] = ("truth", "swapped", "models")
"""Duels about the models, in the order in which they are told."""
PARTS = {"won": "left", "tied": "tie", "undecided": "undecided", "lost": "right"}
_POINTS = {"left": 1.0, "tie": 0.5, "undecided": 0.5, "right": 0.0}


def tally_duels(found: Sequence[Outcome], draws: Draws) -> list[dict[str, Any]]:
    """Counts the duels of each pair.

    Args:
        found: What became of the duels.
        draws: How intervals are drawn.

    Returns:
        A row for each kind and pair, seen from the left one: shares `won`, `tied`, `undecided` and `lost` of the duels
        whose verdicts could be read, `points` (a half for ties and undecided ones), and how many are `alike`.
    """
    pairs = dict.fromkeys((each.duel.kind, each.duel.left, each.duel.right) for each in found)
    ordered = sorted((pair for pair in pairs if pair[0] in KINDS), key=lambda pair: KINDS.index(pair[0]))
    rows = []
    for pair in ordered:
        of_pair = [each for each in found if (each.duel.kind, each.duel.left, each.duel.right) == pair]
        settled = [(each.duel.study.patient, each.settled) for each in of_pair if each.settled is not None]
        rows.append(
            {
                "kind": pair[0],
                "left": pair[1],
                "right": pair[2],
                "duels": len(of_pair),
                "unread": len(of_pair) - len(settled),
                "alike": sum(each.duel.alike for each in of_pair),
                "points": plain(mean(((patient, _POINTS[how]) for patient, how in settled), draws)),
                **{
                    name: plain(share(((patient, how == part) for patient, how in settled), draws))
                    for name, part in PARTS.items()
                },
            }
        )
    return rows


def tally_grades(found: Sequence[Graded], draws: Draws) -> list[dict[str, Any]]:
    """Counts the grades of each subject.

    Args:
        found: The grades.
        draws: How intervals are drawn.

    Returns:
        A row for each subject, another patient's report last: for each of `GRADES` the mean with its interval, and
        how often each of 1 to 5 was given.
    """
    subjects = sorted(dict.fromkeys(each.subject for each in found), key=lambda name: name == STRANGER)
    rows = []
    for subject in subjects:
        of_subject = [each for each in found if each.subject == subject]
        read = [(each.patient, each.grades) for each in of_subject if each.grades is not None]
        row: dict[str, Any] = {"subject": subject, "reports": len(of_subject), "unread": len(of_subject) - len(read)}
        for name in GRADES:
            counts = Counter(grades[name] for _, grades in read)
            row[name] = {
                "mean": plain(mean(((patient, grades[name]) for patient, grades in read), draws)),
                "shares": [
                    plain(share(((patient, grades[name] == grade) for patient, grades in read), draws))
                    for grade in range(1, 6)
                ],
                "counts": [counts[grade] for grade in range(1, 6)],
            }
        rows.append(row)
    return rows
