"""The judge is tried: does it know true from false, and does place, length or chance decide instead?

In controls the truth is known, so that what a judge does there is measured, not guessed: with the radiologist's report
as reference, that very report meets one of another patient, and a falsified copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cxr_lightning.evaluation.judge.journal import Line
from cxr_lightning.evaluation.judge.outcomes import Heard, Outcome
from cxr_lightning.evaluation.judge.questions import CONTROLS
from cxr_lightning.evaluation.judge.shares import Draws, difference_of_shares, plain, share

Said = tuple[str, Outcome, Heard]
"""Patient, duel, and one verdict of it."""


def tried(found: Sequence[Outcome], lines: Sequence[Line], *, asked: int, draws: Draws) -> dict[str, Any]:
    """Measures a judge.

    Args:
        found: What became of the duels.
        lines: All verdicts, grades too.
        asked: Questions that were to be asked.
        draws: How intervals are drawn.

    Returns:
        `patients`: how many were in the controls. `controls`: share of verdicts that name the truth, over all and by
        kind. `first`: share of choices that fall on the report that stands first. `consistent`: share of duels whose
        two orders agree. `longer`: share of choices that fall on the report longer by a tenth. `length_effect`: how
        much more often the truth is named where it is the longer one, against reports of other patients.
        `self_agreement`: share of verdicts that are the same when asked again. `answers`: how many were read,
        corrected, unreadable, refused.
    """
    real = _distinct(found)
    said = [(each.duel.study.patient, each, heard) for each in real for heard in each.heard]
    chosen = [each for each in said if each[2].side in ("left", "right")]
    controls = [each for each in said if each[1].duel.kind in CONTROLS]
    unlike = [each for each in chosen if each[1].duel.longer]
    pairs = [each for each in real if each.settled is not None]
    twice = [(each, each.heard[0], each.again) for each in real if each.again is not None]
    return {
        "patients": len({patient for patient, _, _ in controls}),
        "controls": {
            "all": plain(share(_right(controls), draws)),
            **{
                kind: plain(share(_right(each for each in controls if each[1].duel.kind == kind), draws))
                for kind in CONTROLS
            },
        },
        "first": plain(share(((patient, heard.first) for patient, _, heard in chosen), draws)),
        "tie": plain(share(((patient, heard.side == "tie") for patient, _, heard in said if heard.side), draws)),
        "consistent": plain(share(((each.duel.study.patient, each.settled != "undecided") for each in pairs), draws)),
        "longer": plain(share(((patient, heard.side == each.duel.longer) for patient, each, heard in unlike), draws)),
        "length_effect": plain(_length_effect(controls, draws)),
        "self_agreement": plain(
            share(((each.duel.study.patient, first == second) for each, first, second in twice), draws)
        ),
        "answers": _answers(lines, asked, draws),
    }


def _distinct(found: Sequence[Outcome]) -> list[Outcome]:
    """Takes each question once: a stock phrase of many patients is judged once, and tells of the judge once."""
    duels = ((each.duel, each) for each in found if not each.duel.alike)
    return list(
        {
            (duel.left_text, duel.right_text, duel.study.reference if duel.informed else None): each
            for duel, each in duels
        }.values()
    )


def _right(said: Iterable[Said]) -> Iterable[tuple[str, bool]]:
    """In controls the left report is the true one; a tie does not know it, and what cannot be read does not say it."""
    return [(patient, heard.side == "left") for patient, _, heard in said]


def _length_effect(controls: Sequence[Said], draws: Draws) -> Any:
    """Compares controls whose truth is longer with those whose truth is shorter: one who reads wins both alike.

    Of the reports of other patients alone, whose lengths are drawn: falsified copies are harder to tell, and their
    length follows from what was done to them, so that among them length would stand for how hard they are.
    """
    unlike = [each for each in controls if each[1].duel.kind == "stranger" and each[1].duel.longer]
    return difference_of_shares(
        ((patient, each.duel.longer == "left", heard.side == "left") for patient, each, heard in unlike), draws
    )


def _answers(lines: Sequence[Line], asked: int, draws: Draws) -> Mapping[str, Any]:
    unread = [(str(line["key"]), line["verdict"] is None) for line in lines]
    return {
        "asked": asked,
        "answered": len(lines),
        "refused": asked - len(lines),
        "corrected": sum(len(line["replies"]) > 1 and line["verdict"] is not None for line in lines),
        "unread": sum(so for _, so in unread),
        "share_unread": plain(share(unread, draws)),
        "cut_off": sum(line["finish"] == "length" for line in lines),
    }
