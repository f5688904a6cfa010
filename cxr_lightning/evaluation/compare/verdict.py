"""One sentence or three: who is better, by how much, how sure that is, and whether the score needs the image.

Never "significant" without how large: a small difference may be sure, and one that is not sure may still be large, so
what the interval leaves open is said too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from cxr_lightning.evaluation.compare.differences import Comparison, Difference
from cxr_lightning.evaluation.page.words import say, say_span
from cxr_lightning.scoring.bootstrap import FEWEST_PATIENTS, Score
from cxr_lightning.scoring.registry import scorer_named


def say_verdict(comparison: Comparison) -> str:
    """Says what was found, in plain words.

    Args:
        comparison: What was found.
    """
    return " ".join(sentences(comparison))


def sentences(comparison: Comparison) -> list[str]:
    """Says it sentence by sentence: whose memory is compared, one for each rival, what the scores owe to the image.

    Args:
        comparison: What was found.
    """
    return [
        *_remembering(comparison),
        *(_against(comparison, letter) for letter in _letters(comparison)),
        *_looking(comparison),
    ]


def ranked(comparison: Comparison) -> list[tuple[str, str, float, Difference | None]]:
    """Ranks the models by the leading score.

    Args:
        comparison: What was found.

    Returns:
        Letter, name, score and the difference to the first model (None for itself), the best one first.
    """
    by_rival = {each.rival: each for each in comparison.of("scores") if each.name == comparison.pairs.headline}
    rows: list[tuple[str, str, float, Difference | None]] = []
    for model in comparison.pairs.models:
        own = by_rival.get(model.letter)
        value = own.second if own else next(iter(by_rival.values())).first
        rows.append((model.letter, model.name, value, own))
    return sorted(rows, key=lambda row: (-row[2], row[0]))


def say_p(p: float) -> str:
    """Words a p value: three decimals, or that it is smaller.

    Args:
        p: From 0 to 1.
    """
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _remembering(comparison: Comparison) -> list[str]:
    """Says whose scores are of studies that the model learned from."""
    seen = {model.letter: model.metrics.get("seen") or {} for model in comparison.pairs.models}
    learned = [
        letter
        for letter, memory in seen.items()
        if memory.get("by_key", 0) + memory.get("by_look", 0) > memory.get("left_out", 0)
    ]
    return [f"{' and '.join(learned)} learned from these studies: it is memory that is compared."] if learned else []


def _letters(comparison: Comparison) -> list[str]:
    return [model.letter for model in comparison.pairs.rivals]


def _against(comparison: Comparison, letter: str) -> str:
    """Says how one rival stands to the first model: the leading score, and how many of the others are like it."""
    scores = comparison.of("scores", letter)
    lead = next(each for each in scores if each.name == comparison.pairs.headline)
    first = comparison.pairs.first.letter
    title = scorer_named(lead.name).title
    both = f"{say(lead.second)} against {say(lead.first)}"
    if all(_alike(each.gap) for each in scores):
        return f"{letter} scores exactly as {first} does on every score ({title} {say(lead.first)})."
    if lead.winner:
        better, worse = (letter, first) if lead.winner == "rival" else (first, letter)
        gap = f"{say(abs(lead.gap.value))}{_span(lead.gap)}"
        told = f"{better} is better than {worse}: its {title} is {gap} "
        told += f"higher, {both if better == letter else f'{say(lead.first)} against {say(lead.second)}'}"
        told += f" (p {_equals(lead.corrected)} after correction)"
    else:
        span = say_span(lead.gap.low, lead.gap.high, sign=True)
        told = (
            f"Nothing shows that {letter} and {first} differ in {title}: {both}, a difference of "
            f"{say(lead.gap.value, sign=True)}{f' that may be anything from {span}' if span else ''}"
            f" (p {_equals(lead.corrected)} after correction)"
        )
    return f"{told}; {_tally(scores, letter, first)}."


def _span(gap: Score) -> str:
    """Words the interval of a difference as of its size, in brackets: turned over where it is below zero."""
    span = say_span(gap.low, gap.high) if gap.value >= 0 else say_span(-gap.high, -gap.low)
    return f" ({span})" if span else ""


def _alike(gap: Score) -> bool:
    """Whether every study scores the same, so that draws have nothing to differ in, or has no score."""
    return math.isnan(gap.value) or (gap.value == 0 and not gap.low < gap.high)


def _tally(scores: Sequence[Difference], letter: str, first: str) -> str:
    counts = {
        letter: sum(each.winner == "rival" for each in scores),
        first: sum(each.winner == "first" for each in scores),
    }
    told = [f"{who} is surely better in {count}" for who, count in counts.items() if count]
    left = len(scores) - sum(counts.values())
    if left:
        told.append("all remain open" if left == len(scores) else f"{left} {'remain' if left > 1 else 'remains'} open")
    return f"of {len(scores)} scores {', '.join(told)}"


def _looking(comparison: Comparison) -> list[str]:
    """Says what each model's leading score loses by another's image, and of which nothing shows that they look."""
    needs = {need.letter: need for need in comparison.needs if need.name == comparison.pairs.headline}
    if not needs:
        return ["Whether the scores need the image was not evaluated."]
    scores = {letter: value for letter, _, value, _ in ranked(comparison)}
    told = [_loss(letter, need.loss, scores[letter]) for letter, need in needs.items()]
    found = [f"With another patient's image, {', '.join(told)}."]
    blind = [letter for letter, need in needs.items() if not need.looks]
    if blind:
        looks = "looks" if len(blind) == 1 else "look"
        patients = next(iter(needs.values())).patients
        why = f": {patients} patients are too few to be sure" if patients < FEWEST_PATIENTS else ""
        found.append(f"Nothing shows that {' or '.join(blind)} {looks} at the image{why}.")
    return found


def _loss(letter: str, loss: Score, score: float) -> str:
    moves = "loses" if loss.value >= 0 else "gains"
    return f"{letter} {moves} {say(abs(loss.value))}{_span(loss)} {'of' if loss.value >= 0 else 'on'} its {say(score)}"


def _equals(p: float) -> str:
    return say_p(p) if p < 0.001 else f"= {say_p(p)}"
