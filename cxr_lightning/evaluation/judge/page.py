"""judge.html: whether the judge may be believed, what it said, and why we think so; one file that needs no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr_lightning.durable import write_text
from cxr_lightning.evaluation.judge import prompts
from cxr_lightning.evaluation.judge.examples import examples
from cxr_lightning.evaluation.judge.journal import Line
from cxr_lightning.evaluation.judge.outcomes import Outcome
from cxr_lightning.evaluation.judge.questions import CORRUPTED, STRANGER, Plan
from cxr_lightning.evaluation.judge.tally import KINDS, PARTS
from cxr_lightning.evaluation.judge.trust import CONSISTENT, KNOWS, LENGTH, PLACE, SAME
from cxr_lightning.evaluation.page.words import say_share
from cxr_lightning.template import environment

NAME = "judge.html"

_TITLES = {
    "truth": ("Against the radiologist", "Blind: neither image nor reference is shown, so only form is compared. A "
              "model that writes like a radiologist ties here, whether it looked or not."),
    "swapped": ("With its image, and with another patient’s", "The radiologist’s report is given as reference. A model "
                "that looks wins with its own image; one that only writes well ties."),
    "models": ("Model against model", "The radiologist’s report is given as reference."),
}  # fmt: skip
_GRADES = {
    "accuracy": "what it states is so",
    "completeness": "what matters is stated",
    "safety": "5: no error that could harm",
}
assert tuple(_GRADES) == prompts.GRADES


@dataclass(frozen=True)
class Gauge:
    """One measure of the judge, on a line.

    Attributes:
        title: What it is.
        meaning: What it says.
        score: Value, low, high and n; None if it was not measured.
        good: From where to where it should be.
        least: Left end of the line.
        most: Right end.
        unit: What it is told in.
    """

    title: str
    meaning: str
    score: Mapping[str, Any] | None
    good: tuple[float, float]
    least: float = 0.0
    most: float = 1.0
    unit: str = " %"

    def at(self, value: float) -> str:
        """Returns where a value stands, in percent of the line.

        Args:
            value: The value.
        """
        inside = min(max(value, self.least), self.most)
        return f"{100 * (inside - self.least) / (self.most - self.least):.2f}"

    @property
    def state(self) -> str:
        """Whether the value is where it should be."""
        if self.score is None:
            return "none"
        return "good" if self.good[0] <= self.score["value"] <= self.good[1] else "bad"


def write_page(
    out: Path, told: Mapping[str, Any], found: Sequence[Outcome], known: Mapping[str, Line], plan: Plan
) -> Path:
    """Writes judge.html.

    Args:
        out: Its folder.
        told: What judge.json holds.
        found: What became of the duels.
        known: Verdicts by id of the question.
        plan: What was asked.

    Returns:
        The file.
    """
    templates = environment("cxr_lightning.evaluation.judge")
    templates.filters |= {"percent": _percent, "share": say_share}
    html = templates.get_template("page.html").render(
        told=told,
        kinds=[(*_TITLES[kind], rows) for kind in KINDS if (rows := _of_kind(told, kind))],
        parts=tuple(PARTS),
        gauges=list(_gauges(told["trial"])),
        grades=_GRADES,
        examples=examples(found, known, plan),
        prompts=prompts.shown(),
    )
    write_text(out / NAME, html)
    return out / NAME


def _of_kind(told: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    return [row for row in told["duels"] if row["kind"] == kind]


def _gauges(trial: Mapping[str, Any]) -> Iterator[Gauge]:
    controls = trial["controls"]
    yield Gauge("Knows true from false", "verdicts in controls that name the true report", controls["all"], (KNOWS, 1))
    yield Gauge("… from " + STRANGER, "the patient’s own report against another’s", controls["stranger"], (KNOWS, 1))
    yield Gauge("… from " + CORRUPTED, "sides swapped, negations dropped", controls["corrupted"], (KNOWS, 1))
    yield Gauge("Keeps its verdict", "duels whose two orders agree", trial["consistent"], (CONSISTENT, 1))
    yield Gauge(
        "Prefers the first place", "choices that fall on report A; a half if place does not matter", trial["first"],
        (0.5 - PLACE, 0.5 + PLACE),
    )  # fmt: skip
    yield Gauge(
        "Follows length", "how much more often it names the truth where that is the longer report; 0 if length does "
        "not matter", trial["length_effect"], (-LENGTH, LENGTH), -1, 1, " points",
    )  # fmt: skip
    yield Gauge(
        "Chooses the longer", "choices that fall on the longer report, in all duels; the better may be the longer",
        trial["longer"], (0, 1),
    )  # fmt: skip
    yield Gauge("Agrees with itself", "the same verdict when asked again", trial["self_agreement"], (SAME, 1))


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f}"
