"""A report's free text enters, its sections leave: indication, technique, comparison, findings, impression.

The text is cut at its headings into parts that together are the text, so that no word is lost or made up; what the
parts are is then decided. A report that forgot to name its findings has them as a paragraph below another section or
as prose above the first heading: both are found. An addendum is a part of its own, and where it restates a section
under that section's name, its words stand: they were signed last. One that corrects in prose is told, not followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from cxr_lightning.reports.addenda import corrects, restates
from cxr_lightning.reports.cuts import MARKS, headings_of
from cxr_lightning.reports.headings import Section
from cxr_lightning.reports.prose import tells
from cxr_lightning.study import Report

FIELDS: tuple[Section, ...] = ("indication", "technique", "comparison", "findings", "impression")
_SAYS = ("findings", "impression")
_CARRIERS = ("exam", "indication", "technique", "comparison")

_RULE = re.compile(r"^[ \t]*_{20,}[ \t]*$", re.MULTILINE)
_PARAGRAPH = re.compile(r"\n[^\S\n]*\n")
_LOWER_WORD = re.compile(r"[a-z]{3}")
_PREAMBLE_WORDS = 4
_CLINICAL = re.compile(r"clinical\s+impression", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a report.

    Attributes:
        section: What it is; the empty string for what stands above the first heading.
        heading: Its heading as typed, with colon and what stands before it in its line.
        text: What stands under the heading.
        block: Which of the blocks between lines of underscores it is in.
    """

    section: Section | str
    heading: str
    text: str
    block: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """A report taken apart.

    Attributes:
        report: Its sections.
        addenda: The addenda, each on one line, in the order of the text.
    """

    report: Report
    addenda: tuple[str, ...] = ()


def split_sections(text: str) -> Report:
    """Split a report into its sections.

    Args:
        text: The report as it came.

    Returns:
        The report, every section on one line; sections that are not there are empty. A repeated section is joined.
    """
    return read_layout(text).report


def read_layout(text: str) -> Layout:
    """Split a report into its sections, and say what its addenda are.

    Args:
        text: The report as it came.

    Returns:
        The sections as `split_sections` has them, and the addenda.
    """
    proper, addenda = _sorted(list(parts_of(text)))
    proper = _concluded(proper)
    sections, named = _sections(proper), {part.section for part in proper}
    for addendum in reversed(addenda):
        sections |= _restated(addendum, named)
    return Layout(
        Report(
            text=text,
            indication=sections["indication"],
            technique=sections["technique"],
            comparison=sections["comparison"],
            findings=sections["findings"],
            impression=sections["impression"],
            amended=any(_corrects(addendum, named) for addendum in addenda),
        ),
        tuple(_words(addendum) for addendum in addenda),
    )


def parts_of(text: str) -> Iterator[Part]:
    """Cut a report at its headings.

    Args:
        text: The report as it came.

    Yields:
        Parts in the order of the text. Their headings and texts, in a row, are the text, but for line ends (a carriage
        return is a line feed) and the lines of underscores between blocks.
    """
    flat = text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text
    blocks = _RULE.split(flat) if "_" * 20 in flat else [flat]
    for number, block in enumerate(blocks):
        places = sorted(headings_of(block).items())
        first = places[0][0] if places else len(block)
        if block[:first].strip() or not places:
            yield Part("", "", block[:first], number)
        ends = [start for start, _ in places[1:]] + [len(block)]
        for (start, (begin, section)), end in zip(places, ends[: len(places)], strict=True):
            yield Part(section, block[start:begin], block[begin:end], number)


def proper_parts(text: str) -> list[Part]:
    """Cut a report at its headings, without addenda and what was read before it was signed.

    Args:
        text: The report as it came.
    """
    return _concluded(_sorted(list(parts_of(text)))[0])


def _sorted(parts: list[Part]) -> tuple[list[Part], list[list[Part]]]:
    """Divide parts into the report proper and its addenda; what was read before the report was signed is in neither."""
    grouped = [list(block) for _, block in groupby(parts, attrgetter("block"))]
    blocks = [block for block in grouped if any(part.heading or part.text.strip() for part in block)]
    proper: list[Part] = []
    addenda: list[list[Part]] = []
    early: list[Part] = []
    for block in blocks:
        if any(part.section == "title" for part in block):
            proper, early = [], early + proper
        body, added = _without_addendum(block)
        addenda += added
        kind = body[0].section if body else "addendum"
        (early if kind == "preliminary" else proper).extend(body)
    return proper or early, addenda


def _without_addendum(block: list[Part]) -> tuple[list[Part], list[list[Part]]]:
    """Divide a block: an addendum takes all that follows it in its block, up to a title."""
    body: list[Part] = []
    added: list[list[Part]] = []
    inside = blank = False
    for number, part in enumerate(block):
        if part.section == "title" and number and inside:
            inside = part.heading.strip(MARKS + ":").upper().startswith(("FINAL ADD", "ADD"))
        elif part.section == "addendum":
            # "ADDENDUM:" right below the title "FINAL ADDENDUM" opens the same one.
            if not inside or not blank:
                added.append([])
            inside = blank = True
        (added[-1] if inside else body).append(part)
        blank = blank and not part.text.strip()
    return body, added


def _concluded(parts: list[Part]) -> list[Part]:
    """Take a "clinical impression" below the findings for the impression that else lacks; above, the ward gave it."""
    if any(part.section == "impression" for part in parts):
        return parts
    seen = False
    for number, part in enumerate(parts):
        seen = seen or part.section == "findings"
        if seen and _CLINICAL.search(part.heading) and "?" not in part.text:
            concluded = Part("impression", part.heading, part.text, part.block)
            return [*parts[:number], concluded, *parts[number + 1 :]]
    return parts


def _sections(parts: list[Part]) -> dict[str, str]:
    found: dict[str, str] = {section: _joined(parts, section) for section in FIELDS}
    if not found["findings"]:
        parts = _with_findings(parts, bool(found["impression"]))
        found = {section: _joined(parts, section) for section in FIELDS}
    return found


def _with_findings(parts: list[Part], impression: bool) -> list[Part]:
    """Find the findings where no heading names them."""
    if not any(part.section in FIELDS or part.section in ("exam", "other") for part in parts):
        return [Part("findings", "", f"{part.heading if not part.section else ''}{part.text}") for part in parts]
    loud = not any(_LOWER_WORD.search(part.text) for part in parts)
    # What was told to whom comes after the findings: it carries them only where nothing else does.
    for carriers in (_CARRIERS, () if impression else ("other",)):
        for number in range(len(parts) - 1, -1, -1):
            if parts[number].section in carriers and (cut := _cut(parts[number], 1, loud=loud)):
                return [*parts[:number], *cut, *parts[number + 1 :]]
    return [
        piece
        for part in parts
        for piece in ((part.section in ("", "title") and _cut(part, 0, loud=loud, prose=True)) or [part])
    ]


def _cut(part: Part, own: int, *, loud: bool, prose: bool = False) -> list[Part]:
    """Cut a part where a paragraph begins to tell what is seen; nothing where none does.

    Args:
        part: The part.
        own: How many paragraphs are its own in any case.
        loud: Whether the report is in capitals.
        prose: Whether few words do not count.
    """
    paragraphs = [paragraph for paragraph in _PARAGRAPH.split(part.text) if paragraph.strip()]
    asked = part.section == "indication"
    for number in range(own, len(paragraphs)):
        if tells(paragraphs[number], asked=asked, loud=loud):
            said = "\n".join(paragraphs[number:])
            if prose and len(said.split()) < _PREAMBLE_WORDS:
                return []
            before = Part(part.section, part.heading, "\n".join(paragraphs[:number]), part.block)
            return [before, Part("findings", "", said, part.block)]
    return []


def _restated(addendum: list[Part], named: set[str]) -> dict[str, str]:
    """Find the sections that an addendum says anew, under their names."""
    said = {section: _joined(addendum, section) for section in _SAYS}
    return {section: text for section, text in said.items() if text and restates(text, alone=section not in named)}


def _corrects(addendum: list[Part], named: set[str]) -> bool:
    told = (part.text if part.section == "addendum" else f"{part.heading}{part.text}" for part in addendum)
    return not _restated(addendum, named) and corrects(_line(told))


def _words(parts: Iterable[Part]) -> str:
    return _line(f"{part.heading}{part.text}" for part in parts)


def _joined(parts: Iterable[Part], section: str) -> str:
    """Join the texts of a section, each once."""
    return " ".join(dict.fromkeys(line for part in parts if part.section == section if (line := _line([part.text]))))


def _line(pieces: Iterable[str]) -> str:
    return " ".join(" ".join(pieces).replace("\ufeff", " ").split())
