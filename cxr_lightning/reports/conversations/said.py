"""What a conversation is made from, and what its prompts carry beside the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cxr_lightning.study import Position

Style = Literal["describe", "mixed"]
Carried = Literal["view", "technique", "indication", "prior"]
"""What a line of a prompt says, in the order of the lines."""


@dataclass(frozen=True, slots=True)
class Said:
    """What is known about a study, in words ready to be answers, and what its radiologist knew before looking.

    Attributes:
        summary: Findings and impression merged.
        findings: The cleaned findings; may be empty.
        impression: The cleaned impression; may be empty.
        labels: Located findings known to be true; None where nobody knows.
        turns: Question-answer pairs of the source.
        indication: Why the film was taken, as the report has it: it is cleaned where it is shown.
        technique: How it was taken, as the report has it.
        position: Position of the primary view.
        lateral: Whether a lateral image is stored beside the primary one.
        prior: Summary of the patient's previous study; empty where there is none.
        observations: CheXpert's observations as the source labels them: 1 (there), 0 (not there) or -1 (uncertain);
            None where it does not.
        source: Where the study comes from: how common findings are there decides how often they are asked about.
        written: Findings and impression as the radiologist wrote them: what cleaning took out is on the film all the
            same, and no answer may deny it. Empty where nobody has them any more.
    """

    summary: str
    findings: str = ""
    impression: str = ""
    labels: tuple[str, ...] | None = None
    turns: tuple[tuple[str, str], ...] = ()
    indication: str = ""
    technique: str = ""
    position: Position = "unknown"
    lateral: bool = False
    prior: str = ""
    observations: tuple[tuple[str, int], ...] | None = None
    source: str = ""
    written: str = ""


@dataclass(frozen=True)
class Context:
    """What prompts carry beside the image, as far as a study has it. What training saw, serving should be able to give.

    The first three are carried in style `mixed` and not in `describe` where they are not said (null), and never before
    questions that a source brings unless they are asked for.

    Attributes:
        indication: Why the film was taken, without ages, names and blanks ("Indication: Chest pain.").
        technique: How it was taken, where the report says so ("Technique: Portable AP.").
        view: Whether the image is a frontal or a lateral view ("View: frontal.").
        prior: What the patient's previous report said, summarised. Answers speak of this study alone all the same.
        lateral: Show the lateral image too, where one is stored. The model must take two images.
        always: Put them into every prompt; else one study in four, drawn by its key, shows its images alone, so that a
            model learns to read without them too.
    """

    indication: bool | None = None
    technique: bool | None = None
    view: bool | None = None
    prior: bool = False
    lateral: bool = False
    always: bool = False

    def carries(self, name: Carried, *, mixed: bool) -> bool:
        """Tell whether prompts carry one of them.

        Args:
            name: Which.
            mixed: Whether the questions are those of style `mixed`.
        """
        wanted: bool | None = getattr(self, name)
        return mixed if wanted is None else wanted
