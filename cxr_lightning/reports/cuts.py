"""A report's text enters, its headings leave: where each starts, where its words begin, and what it opens.

A name opens a section by its place as much as by its spelling: at a line's start, behind a sentence's end, in capitals,
alone on its line. Inside findings and impression, "comment", "plan" and their like are words of a sentence more often
than the end of the section, and what follows them is not to be lost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from cxr_lightning.reports.announced import announced
from cxr_lightning.reports.headings import STRONG, Section, is_soft, names_views, section_of

_SAYS = ("findings", "impression")
_LONGEST_NAME = 100

_NAME = r"[A-Z][A-Za-z ,/&()'.-]{2,90}"
# A name alone on its line, or one that shouts and whose colon was forgotten: "IMPRESSION - No acute process."
_ALONE = re.compile(rf"^[ \t#*]*({_NAME}?)[ \t*.-]*$", re.MULTILINE)
_SHOUTED = re.compile(rf"^[ \t#*]*({'|'.join(STRONG)})(?: *[-–—.;])?[ \t]+(?=[A-Z0-9])", re.MULTILINE)
# "Findings - clear", "IMPRESSION; normal": where a sentence may begin, in any case.
_DASHED = re.compile(
    rf"(?:^[ \t#*]*|(?<=[.?!)])[ \t]+\**)((?i:{'|'.join(STRONG)}))\**"
    r"(?:[ \t]*;(?=\s)|[ \t]*[–—]+|[ \t]+-+|-+(?=[ \t]))[ \t]*",
    re.MULTILINE,
)
_POINT = re.compile(r"(?<!\S)(\d{1,2})[.)][ \t]+(?=[A-Za-z])")
_NUMBERED = re.compile(r"\s*(\d{1,2})[.)]")
_GOES_ON = frozenset({"A", "AN", "ANY", "NO", "OF", "THE", "THESE", "THIS"})
_LOW = frozenset(STRONG) | {"FINDING", "HISTORY", "CLINICAL HISTORY", "REASON FOR EXAM", "EXAM", "EXAMINATION"}
MARKS = " \t#*_\"'[]>\xa0\ufeff"
_ENDS = '.:;?!_)]"*'
_LAST_END = re.compile(r"(?:[.;?!_)\]\"*]|:)[ \t\"*_]+(?=[A-Z][^.:;?!_\])]*$)")
_LOWER_WORD = re.compile(r"[a-z]{3}")


def headings_of(block: str) -> dict[int, tuple[int, Section]]:
    """Find a block's headings.

    Args:
        block: The text, whose lines end in line feeds.

    Returns:
        Where each starts: where its words begin, and what it opens. Where both are one place, a section goes on.
    """
    block = block.replace("\uff1a", ":")  # the colon of Chinese and Japanese keyboards is as wide as ours
    loud = _LOWER_WORD.search(block) is None
    found = {place: (end, section) for place, end, section in _with_colon(block, loud)}
    for match in _ALONE.finditer(block):
        if _place(match) not in found and (section := _alone(block, match)):
            found[_place(match)] = (match.end(), section)
    for pattern in (_DASHED,) if loud else (_SHOUTED, _DASHED):
        for match in pattern.finditer(block):
            section = section_of(match[1])
            here = range(match.start(), match.end())
            if section and not any(place in found for place in here) and _opens(block, match):
                found[_place(match)] = (match.end(), section)
    for match, added in announced(block):
        here = range(match.start(), match.end())
        if not any(place in found for place in here) and (match["line"] is None or _stands(block, match, loud)):
            found[_place(match, "name")] = (match.end(), "addendum" if added else "preliminary")
    return _with_points(block, _without_late_views(block, found), loud)


def _stands(block: str, match: re.Match[str], loud: bool) -> bool:
    """Tell whether a line begins with a name, and no sentence goes on there: "please see / ADDENDUM below"."""
    return _ended(block, match.start()) or (match["name"].isupper() and not loud)


def _place(match: re.Match[str], name: int | str = 1) -> int:
    """Tell where a heading starts, with the marks before its name."""
    before = match.string[match.start() : match.start(name)]
    return match.start() + len(before) - len(before.lstrip(" \t"))


def _opens(block: str, match: re.Match[str]) -> bool:
    """Tell whether a name that does not shout stands where a sentence would begin."""
    inside = match.start() > 0 and block[match.start() - 1] != "\n"
    return inside or match[1].isupper() or _ended(block, match.start())


def _with_colon(block: str, loud: bool) -> Iterator[tuple[int, int, Section]]:
    last, colon = 0, block.find(":")
    while colon >= 0:
        begin = max(last, colon - _LONGEST_NAME)
        line = max(begin, block.rfind("\n", begin, colon) + 1)
        opens = line == 0 or block[line - 1] == "\n"
        near = block[max(0, colon - 1) : colon + 2]
        if near[0] != ":" and not (near[0].isdigit() and near[-1].isdigit()):  # neither "::" nor "5:12"
            heading = _named(block, line, colon, opens, loud)
            if heading:
                last = _behind(block, heading[0], colon + 1)
                yield heading[0], last, heading[1]
        colon = block.find(":", colon + 1)


def _behind(block: str, start: int, end: int) -> int:
    """Tell where the marks end that close a heading: "**FINDINGS:** clear"."""
    for mark in ("***", "**", "*", "__"):
        if block.startswith(mark, start) and block.startswith(mark, end) and not block.startswith("_", end + len(mark)):
            return end + len(mark)
    return end


def _named(block: str, line: int, colon: int, opens: bool, loud: bool) -> tuple[int, Section] | None:
    """Find the heading that ends at a colon, in what stands before it in its line."""
    before = block[line:colon]
    start = line + len(before) - len(before.lstrip())
    name = before.strip(MARKS)
    if opens and name and (name[0].isupper() or _ended(block, line)):
        section = section_of(name) or ("findings" if names_views(name) else None)
        if section:
            return None if loud and section == "comparison" and _goes_on(block, line) else (start, section)
    return _in_line(before, line, loud)


def _in_line(before: str, line: int, loud: bool) -> tuple[int, Section] | None:
    """Find a heading that stands behind other words: after a sentence's end, or shouting."""
    end = _LAST_END.search(before)
    if end:
        name = before[end.end() :].strip(MARKS)
        section = section_of(name)
        if section and (section != "other" or name.isupper()):
            return line + end.end(), section
    low = before[max(before.rfind(mark) for mark in ".;?!") + 1 :]
    if len(low) < len(before) and low[:1].isspace() and low.islower() and low.strip(MARKS).upper() in _LOW:
        return line + len(before) - len(low.lstrip()), section_of(low) or "other"
    words = before.split(" ")
    if loud:
        bare = words[-1].strip(MARKS)
        plain = bare in STRONG and not _GOES_ON & set(words[-2:-1])
        return (line + len(before) - len(words[-1]), section_of(bare) or "other") if plain else None
    place, found = len(before), None
    for number, word in enumerate(reversed(words[-6:])):
        bare = word.strip(MARKS)
        if bare and not (bare.isupper() or bare in "/&,-()"):
            # In running text, "pain Findings: clear", only the plainest names open a section.
            if number == 0 and len(words) > 1 and bare.istitle() and bare.upper() in STRONG[:2]:
                return line + len(before) - len(word), section_of(bare) or "findings"
            break
        place -= len(word)
        section = section_of(before[place:])
        if bare and section and len(bare) > 2:
            found = (line + place, section)
        place -= 1
    return found


def _alone(block: str, match: re.Match[str]) -> Section | None:
    """Tell what a name opens that stands alone on its line, without a colon."""
    name = match[1].strip()
    if not _ended(block, match.start()) or (name.endswith(".") and not name.isupper()):
        return None
    section = section_of(name) if name.isupper() or len(name) < 30 else None
    if section and not name.isupper():
        # "Views" and "Chest" can be the last word of a sentence; "Findings" with a capital is a heading.
        return section if name.upper() in STRONG or section in ("title", "addendum") else None
    if section == "other":  # "FOLLOW UP" below "INDICATION:" is what it says, not what it is called
        return None
    return section or ("findings" if name.isupper() and names_views(name) else None)


def _ended(block: str, line: int) -> bool:
    """Tell whether nothing is left open where a line begins."""
    before = block[max(0, line - 200) : line].rstrip(" \t")
    if not before.endswith("\n"):
        return not before
    before = before[:-1].rstrip(" \t")
    return not before or before[-1] in _ENDS or before[-1] == "\n" or before.rsplit("\n", 1)[-1].isupper()


def _without_late_views(block: str, found: dict[int, tuple[int, Section]]) -> dict[int, tuple[int, Section]]:
    """Leave out views that are named once the findings have begun: "IMPRESSION: AP chest compared to ___: ..."."""
    kept, begun = {}, False
    for start, (end, section) in sorted(found.items()):
        name = block[start:end].strip(MARKS + ":\n.")
        late = begun and section == "findings" and section_of(name) is None
        if not late:
            kept[start] = (end, section)
        begun = begun or (section in _SAYS and section_of(name) is not None)
    return kept


def _goes_on(block: str, line: int) -> bool:
    """Tell whether a sentence goes on in a line: "THERE IS A / COMPARISON: SEE BELOW"."""
    return bool(_GOES_ON & set(block[max(0, line - 20) : line].split()[-1:]))


def _with_points(block: str, found: dict[int, tuple[int, Section]], loud: bool) -> dict[int, tuple[int, Section]]:
    """Let findings and impression go on behind words that only look like the end of them.

    "2. Recommendation: CT. 3. Large left pneumothorax." is three points of an impression, also where it is in capitals.
    """
    kept: dict[int, tuple[int, Section]] = {}
    said: Section | None = None
    begun = 0
    starts = [*sorted(found), len(block)]
    for start, after in pairwise(starts):
        end, section = found[start]
        if said and is_soft(block[start:end]) and not _closes(block, start, end, loud):
            continue
        kept[start] = (end, section)
        if section in _SAYS:
            said, begun = section, end
        elif said and section == "other" and (point := _next_point(block, begun, start, end, after)):
            kept[point], begun = (point, said), point
        else:
            said = None
    return kept


def _closes(block: str, start: int, end: int, loud: bool) -> bool:
    """Tell whether a soft name is a heading: in capitals, or alone on its line."""
    line = block.find("\n", end)
    alone = not block[end : line if line >= 0 else len(block)].strip(MARKS)
    return alone or (block[start:end].isupper() and not (loud and _NUMBERED.match(block, start)))


def _next_point(block: str, begun: int, start: int, end: int, after: int) -> int | None:
    """Find the point that goes on with the numbers from before a heading, unless its own list begins anew."""
    own = _NUMBERED.match(block, start, end)
    numbers = [int(own[1])] if own else [int(point[1]) for point in _POINT.finditer(block, begun, start + 1)][-1:]
    for point in _POINT.finditer(block, end, after) if numbers else ():
        if int(point[1]) == numbers[0] + 1:
            return point.start()
        if int(point[1]) == 1:
            return None
    return None
