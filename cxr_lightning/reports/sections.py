"""A report's free text enters, its sections leave: indication, technique, comparison, findings, impression.

Radiologists share the order of sections, not their names, so a table of spellings is the heart of this file. A heading
counts where it opens a line, ends a sentence before it, or shouts in capitals; text without headings is findings. In
MIMIC-CXR's layout some reports put the findings as a paragraph below another section: that paragraph is found too.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

from cxr_lightning.study import Report

Section = Literal["indication", "technique", "comparison", "findings", "impression", "other"]

SPELLINGS: dict[Section, tuple[str, ...]] = {
    "findings": (
        r"findings?(?:\s*(?:and|/|&)\s*impressions?)?",
        r"(?:chest|radiographic|radiological|imaging|lung) findings",
        r"observations?",
        r"description",
        r"report(?: text)?",
        # MIMIC-CXR names the section after the views: "PA AND LATERAL VIEWS OF THE CHEST:".
        r"(?:portable |single |two |upright |supine |semi-?upright |semi-?erect |frontal |pa |ap )[a-z ,&/-]{0,40}"
        r"(?:views?|chest|radiographs?|x-?rays?|films?)(?: of (?:the )?chest)?",
        r"chest,? (?:pa|ap|portable|single|two|frontal)[a-z ,&/-]{0,30}",
    ),
    "impression": (
        r"(?:final |clinical )?impressions?",
        r"conclusions?",
        r"opinion",
        r"(?:overall )?summary",
        r"(?:overall )?assessment",
        r"interpretation",
        r"(?:imaging )?diagnos[ie]s",
    ),
    "indication": (
        r"(?:clinical )?indications?(?: for (?:the )?(?:exam(?:ination)?|study))?",
        r"(?:clinical |patient |brief )?history",
        r"history of present illness",
        r"clinical (?:information|data|details|question|context|statement)",
        r"reasons? for (?:the )?(?:exam(?:ination)?|study|request|referral)",
        r"reason",
        r"indication/history",
        r"symptoms",
    ),
    "technique": (r"techniques?", r"methods?", r"(?:imaging )?protocol", r"procedure(?: comments)?", r"views?"),
    "comparison": (
        r"comparisons?(?: (?:stud(?:y|ies)|films?|exams?|made))?",
        r"prior (?:stud(?:y|ies)|exams?)",
        r"priors",
    ),
    "other": (
        r"(?:type of )?exam(?:ination)?s?",
        r"study(?: type| date)?",
        r"wet read(?: version.*)?",
        r"notifications?(?: of critical results)?",
        r"recommendations?(?:\(s\))?",
        r"addend(?:um|a)",
        r"critical results?",
        r"final report",
        r"(?:electronically )?signed(?: by)?",
        r"dictated(?: by)?",
    ),
}

_NAMED = "|".join(f"(?P<{section}>{'|'.join(spellings)})" for section, spellings in SPELLINGS.items())
_HEADING = re.compile(rf"(?<![\w-])(?:{_NAMED})[ \t]*(?:(?P<colon>:)|(?=\r?\n|\Z))", re.IGNORECASE)
_RULE = re.compile(r"^[ \t]*_{20,}[ \t]*$", re.MULTILINE)
_PARAGRAPH = re.compile(r"\n[ \t]*\r?\n")
_CARRIERS: tuple[Section, ...] = ("comparison", "technique", "indication", "other")


def split_sections(text: str) -> Report:
    """Split a report into its sections.

    Args:
        text: The report as it came.

    Returns:
        The report, every section on one line; sections that are not there are empty. A repeated section is joined.
    """
    body = _after_addenda(text)
    headings = [match for match in _HEADING.finditer(body) if _opens(body, match)]
    parts: dict[Section, list[str]] = {section: [] for section in get_args(Section)}
    parts["other" if headings else "findings"].append(body[: headings[0].start()] if headings else body)
    for number, match in enumerate(headings):
        end = headings[number + 1].start() if number + 1 < len(headings) else len(body)
        parts[_section(match)].append(body[match.end() : end])
    if headings and not _line(parts["findings"]):
        _find_unnamed_findings(parts)
    return Report(
        text=text,
        indication=_line(parts["indication"]),
        technique=_line(parts["technique"]),
        comparison=_line(parts["comparison"]),
        findings=_line(parts["findings"]),
        impression=_line(parts["impression"]),
    )


def _section(match: re.Match[str]) -> Section:
    return next(section for section in SPELLINGS if match[section] is not None)


def _after_addenda(text: str) -> str:
    # Addenda stand above the report they amend, behind a line of underscores; the report proper is the last part.
    parts = [part for part in _RULE.split(text) if part.strip()]
    return parts[-1] if parts else ""


def _opens(body: str, match: re.Match[str]) -> bool:
    """Tell a heading from the same word in running text."""
    name = match[0].rstrip(" \t:")
    line = body[body.rfind("\n", 0, match.start()) + 1 : match.start()]
    if not line.strip():
        # Alone on its line a heading needs no colon, but "views" as the last word of a wrapped sentence is none.
        return match["colon"] is not None or name.isupper()
    if match["colon"] is None:
        return False
    return name.isupper() or (name[0].isupper() and line.rstrip()[-1] in ".:;?!_)]")


def _find_unnamed_findings(parts: dict[Section, list[str]]) -> None:
    """Move paragraphs that follow another section's own paragraph to the findings."""
    for section in _CARRIERS:
        for number, part in enumerate(parts[section]):
            paragraphs = [paragraph for paragraph in _PARAGRAPH.split(part) if paragraph.strip()]
            if len(paragraphs) > 1:
                parts[section][number] = paragraphs[0]
                parts["findings"].append("\n".join(paragraphs[1:]))
                return


def _line(pieces: list[str]) -> str:
    return " ".join(" ".join(pieces).split())
