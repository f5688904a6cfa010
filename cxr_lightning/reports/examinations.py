"""A report's text enters, whether it holds several examinations leaves.

Two films of one day under one number, "CHEST RADIOGRAPH 8 AM" and "2 PM", have their sections joined: a pneumothorax
that is there and is not. Which film shows which, no rule can say, so such a report is only told. One holds several
where behind an impression that says something stands another title, or findings once more, and then something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from cxr_lightning.reports.addenda import restates
from cxr_lightning.reports.headings import Section, names_views, section_of
from cxr_lightning.reports.sections import Part, proper_parts

_LONGEST = 100_000
"""Characters that are looked at: no report is so long."""

_HOUR = r"(?:\d[\d:.,]*|_{2,}|[aApP]\.?[mM]\b\.?|#\s*\d+)"
# At a line's start, with a colon or alone in the line; and behind a sentence, in capitals.
_LINE = re.compile(
    r"^[ \t#*]*(?:\d{1,2}[.)][ \t]+)?(?P<name>[A-Z][^\n;?!]{4,88}?)[ \t*]*(?::[ \t*]+|:?[ \t*.]*$)", re.MULTILINE
)
_LOUD = re.compile(
    rf"(?<=[.?!])[ \t\n]+(?P<name>[A-Z][A-Z ,/&().-]{{5,60}}(?:{_HOUR}[ ,]*){{0,4}})(?::|[ \t](?=[A-Z][a-z]))"
)
_OPEN = re.compile(r"[^.:;?!\s_)\]*][ \t]*\n[ \t]*\Z")


@dataclass(frozen=True, slots=True)
class _Piece:
    """A title, or what stands under one."""

    kind: Section | str
    words: str


def holds_several(text: str) -> bool:
    """Tell whether a report's text holds several examinations.

    Args:
        text: The report as it came.

    Returns:
        False too where a second examination says word for word what the first says.
    """
    pieces = [piece for part in proper_parts(text[:_LONGEST]) for piece in _pieces(part)]
    telling = [each for each in pieces if each.kind == "title" or restates(each.words, alone=False)]
    return _several(telling)


def _several(pieces: list[_Piece]) -> bool:
    begun = next((place for place, piece in enumerate(pieces) if piece.kind == "impression"), len(pieces))
    before, after = pieces[: begun + 1], pieces[begun + 1 :]
    said, had = {piece.words for piece in before}, {piece.kind for piece in before}
    titled = again = False
    for piece in after:
        if piece.kind == "title":
            titled = True
        elif piece.words in said:
            continue
        elif piece.kind == "findings":
            again = "findings" in had
            if titled and again:
                return True
        elif titled or again:
            return True
    return False


def _pieces(part: Part) -> Iterator[_Piece]:
    if part.section in ("exam", "title"):
        yield _Piece("title", "")
    elif part.section == "findings" or part.section == "impression":
        if part.section == "findings" and section_of(part.heading.strip(" \t\n:#*.")) is None:
            yield _Piece("title", "")
        at = 0
        for start, end in _titles(part.text):
            yield _Piece(part.section, _flat(part.text[at:start]))
            yield _Piece("title", "")
            at = max(at, end)
        yield _Piece(part.section, _flat(part.text[at:]))
    else:
        yield from (_Piece("title", "") for _ in _titles(part.text))


def _titles(text: str) -> list[tuple[int, int]]:
    found = [match.span() for pattern in (_LINE, _LOUD) for match in pattern.finditer(text) if _is_title(text, match)]
    return sorted(found)


def _is_title(text: str, match: re.Match[str]) -> bool:
    # "CHEST" alone is an organ's heading: "SOFT TISSUE NECK. ... CHEST. ..."
    name = match["name"]
    views = len(name.split()) > 1 and names_views(name)
    return views and _OPEN.search(text, max(0, match.start() - 20), match.start()) is None


def _flat(text: str) -> str:
    return " ".join(text.split())
