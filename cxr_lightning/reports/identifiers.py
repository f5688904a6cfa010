"""Text enters, where it may still name somebody leaves: dates, names, ages over 89, numbers, addresses of all kinds.

For texts that should be de-identified already, so a false alarm costs as much as a miss: a measurement, a vertebra, a
list's number or a blank (`___`, `XXXX`) is none, a year alone is none (it may stay by HIPAA's Safe Harbor), and a name
counts only beside what makes it one (a title, a degree, a signature, a call). A name alone in a sentence is not found.
Most texts hold none of the letters that would begin one, and cost a few microseconds. `docs/inspect.md` has what was
measured.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from cxr_lightning.reports.nobody import BODY, NO_NAMES
from cxr_lightning.reports.whereabouts import AGE, STREET, WEB

Kind = Literal["date", "name", "phone", "record number", "email", "address", "web address", "age over 89"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LONGEST = 100_000
"""Characters that are looked at: no report is so long, and a text that is should not hold up all others."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """Something that may name somebody; the words themselves are not kept, for they belong in no log.

    Attributes:
        kind: What it is.
        start: Its first character.
        end: The character after its last.
    """

    kind: Kind
    start: int
    end: int


def find_identifiers(text: str) -> tuple[Identifier, ...]:
    """Find what may name somebody.

    Args:
        text: A report, a section or an answer; only its first `LONGEST` characters are looked at.

    Returns:
        What was found, in order; no two overlap.
    """
    text = text[:LONGEST]
    looks = _NUMBER_LOOKS + _WORD_LOOKS if _NUMBERS.search(text) else _WORD_LOOKS
    found = [each for look in looks for each in look(text)]
    if len(found) < 2:
        return tuple(found)
    chosen: list[Identifier] = []  # of two that overlap the longer one, for it is that which more words speak for
    for each in sorted(found, key=lambda each: each.start - each.end):
        if all(each.end <= other.start or other.end <= each.start for other in chosen):
            chosen.append(each)
    return tuple(sorted(chosen, key=lambda each: each.start))


def kinds_in(text: str) -> frozenset[Kind]:
    """Say what kinds of words that may name somebody are in a text.

    Args:
        text: Any text.
    """
    return frozenset(each.kind for each in find_identifiers(text))


_I = re.IGNORECASE

# --- e-mail addresses

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,6}")


def _emails(text: str) -> Iterator[Identifier]:
    if "@" in text:
        yield from (Identifier("email", *match.span()) for match in _EMAIL.finditer(text))


# --- web addresses; streets and ZIP codes; ages


def _addresses(text: str) -> Iterator[Identifier]:
    yield from (Identifier("address", *match.span()) for match in STREET.finditer(text))


def _web(text: str) -> Iterator[Identifier]:
    if "://" in text or "www." in text or "WWW." in text:
        yield from (Identifier("web address", *match.span()) for match in WEB.finditer(text))


def _ages(text: str) -> Iterator[Identifier]:
    yield from (Identifier("age over 89", *match.span()) for match in AGE.finditer(text))


# --- numbers: records, phones, dates

_NUMBERS = re.compile(
    r"9\d|1[0-2]\d|\d [A-Z1-9NSEW]|\d(?:\d\d|/\d|[\d\s().-]{3,}\d)"
)  # what a number of somebody has at the least
_NO = r"\s*(?:numbers?\b|nos?\b\.?|nr\b\.?|\#|id\b)?\s*(?:is\b|was\b|[:\#=])?\s*"
_RECORD = re.compile(
    rf"""
    (?<!\w)(?:(?:mrn|med(?:ical)?\.?\ rec(?:ord)?|mr\ ?(?=\#|no\b|number)|accession|acc(?=\s?(?:\#|no\b|:))|ssn
      |social\ security|(?:hospital|patient|chart|case|record
        |account|acct|visit|encounter|order|requisition|specimen|policy
      |insurance|nhs|medicare|licen[cs]e)(?=\s*(?:number|no\b|nr\b|\#|id\b|:))|patient\s?id|pat\.?\s?id|study\s?id)){_NO}
      (?=[A-Z]{{0,5}}[\s-]?\d)[A-Z]{{0,5}}[\s-]?\d[\dA-Z]*(?:[\s-]\d+)*(?!\w)
    | (?<![\w.-])\d{{3}}-\d{{2}}-\d{{4}}(?![\w-])
    | (?<![\w.-])(?!(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])(?!\d))\d{{7,20}}(?![\w-]|\.\d)
    | (?<![\w.-])[A-Z]{{1,4}}-?(?:\d{{2}}-)?\d{{6,14}}(?![\w-])
    | (?<![\w.])[012](?:\.\d{{1,39}}){{5,20}}(?![\w.]\w)
    """,
    re.VERBOSE | _I,
)
_PHONE = re.compile(
    rf"""
    (?<![\w.-])(?:\+?1[\s.-]?)?(?:\(\d{{3}}\)\s?|\d{{3}}[\s.-])\d{{3}}[\s.-]\d{{4}}(?![\w-]|\.\d)
    | (?<!\w)\+\d{{1,3}}[\s.-]?(?:\(0\))?(?:\d[\s.-]?){{6,11}}\d(?![\w-])
    | (?<![\w.-])0\d{{2,4}}\s\d{{3,4}}\s\d{{3,4}}(?![\w-])
    | (?<![\w.-])\d{{3}}-\d{{4}}(?![\w-]|\.\d|\s?(?:m[lm]|cc|cm|hu|g|mg|kg|k?v|mas|ms|hours?|hrs?)\b)
    | (?<!\w)(?:pager|beeper|bleep|paged\ at|ext(?:ension|\.|(?=\s?\d))|fax|mobile|cell\ phone|call-?back)
      {_NO}p?\d(?:[\s.-]?\d){{3,11}}(?![\w-])
    | (?<!\w)(?:tele)?phone{_NO}(?:at\s)?\d(?:[\s.-]?\d){{4,11}}(?![\w:-]|\s?[ap]\.?m\b)
    | (?<!\w)x\d{{4,6}}(?!\w)
    """,
    re.VERBOSE | _I,
)


def _records(text: str) -> Iterator[Identifier]:
    yield from (Identifier("record number", *match.span()) for match in _RECORD.finditer(text))


def _phones(text: str) -> Iterator[Identifier]:
    yield from (Identifier("phone", *match.span()) for match in _PHONE.finditer(text))


_YEAR = r"(?:19|20)\d\d"
_MONTH_NUMBER, _DAY = r"(?:0?[1-9]|1[0-2])", r"(?:0?[1-9]|[12]\d|3[01])"
_BEHIND = r"(?!\d|[/-]\d|\.\d)"
_MEASURED = r"(?!\s?(?:cm|mm|ml|cc|x|×|%)(?!\w))"
_NUMERIC = re.compile(
    rf"""
    (?<![\w./-])(?:
      {_YEAR}(?P<a>[-/.]){_MONTH_NUMBER}(?P=a){_DAY}
    | (?P<one>{_DAY})(?P<b>[-/.])(?P<two>{_DAY})(?P=b)(?P<year>{_YEAR}|'?\d\d)
    | {_MONTH_NUMBER}/{_YEAR} | (?:0[1-9]|1[0-2])[-.]{_YEAR} | {_YEAR}[-/](?:0[1-9]|1[0-2])
    | {_YEAR}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?!\w)
    ){_BEHIND}{_MEASURED}
    """,
    re.VERBOSE,
)
# Without a year it may be a fraction or a score ("1/2 of", "grade 2/6"), so it takes a word that wants a date.
_SHORT = re.compile(
    r"\b(?:dated|on|from|since|until|as of|yesterday,?|today,?|compar(?:ed|ison)(?: is| was)?(?: made)?(?: to| with)?:?"
    r"|(?:prior|previous|earlier|last|the)(?: \w+){0,2}"
    r"|(?:radiographs?|films?|stud(?:y|ies)|exam(?:ination)?s?|x-?rays?|cxr|ct)(?: of| on| from| dated)?) "
    rf"(?P<date>{_MONTH_NUMBER}/{_DAY})(?![\w/%-]|\.\d|\s(?:of|to|way|full|up|strength|lung|hemithorax|c?m?m|inch)"
    r"|\sthe\s(?:way|lungs?|left|right|upper|lower|hemi|thora|chest|size|width|height|length|volume|normal|dist|film))",
    _I,
)
_MONTHS = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\b\.?"
)
_NTH = r"(?:st|nd|rd|th)?"
_ORDINAL = (
    r"(?:the )?(?:(?:twenty|thirty)[- ])?(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh"
    r"|twelfth|thirteenth|fourteenth|fifteenth|sixteenth|seventeenth|eighteenth|nineteenth|twentieth|thirtieth)"
)
_NAMED_MONTH = re.compile(
    rf"""
    (?<![\w])(?P<before>{_DAY}{_NTH}(?:\s(?:of\s)?|[-/.]))?(?P<month>{_MONTHS})
    (?:[\s-](?:the\s)?{_DAY}{_NTH}(?![\w%/]|[.:]\d){_MEASURED}|\s{_ORDINAL}\b)?
    (?P<year>[\s,.'/-]{{0,3}}(?:of\s)?{_YEAR}(?!\w)|\s'\d\d(?!\w)|(?<=[-/])\d\d(?!\w)|[-/]\d\d(?!\w))?
    """,
    re.VERBOSE | _I,
)
_MONTH_ALONE = re.compile(
    r"\b(?:[Ii]n|[Ss]ince|[Ll]ast|[Oo]f|[Ff]rom|[Dd]uring|[Uu]ntil|[Ee]arly|[Ll]ate|[Mm]id-?|[Tt]his|IN|SINCE|LAST|FROM)"
    r" ?(?P<month>January|February|March|April|May|June|July|August|September|October|November|December"
    r"|JANUARY|FEBRUARY|MARCH|APRIL|JUNE|JULY|AUGUST|SEPTEMBER|OCTOBER|NOVEMBER|DECEMBER)(?!\w)"
)
# Letters without which there is no month; "may", "markings" and "decreased" are in most reports.
_MONTH_LETTERS = (
    "jan", "feb", "mar ", "mar.", "mar-", "mar/", "march", "apr", "jun", "jul", "aug", "sep ", "sep.", "sep-", "sep/",
    "sept", "oct", "nov", "dec ", "dec.", "dec-", "dec/", "december", "-may", "/may",
)  # fmt: skip
_LOW_MAY = re.compile(r"may[,.\s]{0,3}\d")
_COUNTED = re.compile(r"\b(?:ribs?|levels?|segments?|vertebra\w*|leads?|images?)\b", _I)


def _numeric_dates(text: str) -> Iterator[Identifier]:
    for match in _NUMERIC.finditer(text):
        if match["one"] is None or _is_date(text, match):
            yield Identifier("date", *match.span())
    if "/" in text:
        yield from (Identifier("date", *match.span("date")) for match in _SHORT.finditer(text))


def _named_dates(text: str) -> Iterator[Identifier]:
    lower = text.lower()
    may = "May" in text or "MAY" in text or _LOW_MAY.search(text)
    if may or any(letters in lower for letters in _MONTH_LETTERS):
        for match in _NAMED_MONTH.finditer(text):
            if _is_day(text, match):
                yield Identifier("date", *match.span())
        yield from (Identifier("date", *match.span("month")) for match in _MONTH_ALONE.finditer(text))


def _is_date(text: str, match: re.Match[str]) -> bool:
    """Tell a day, month and year from three numbers in a row: "ribs 8-9-10", "12.5.30"."""
    one, two, year = int(match["one"]), int(match["two"]), match["year"].lstrip("'")
    if min(one, two) > 12:
        return False
    if len(year) == 4:
        return True
    if match["b"] == "." and not (len(match["one"]) == len(match["two"]) == 2):
        return False
    around = text[max(0, match.start() - 30) : match.end() + 30]
    return not ((two, int(year)) == (one + 1, one + 2) and _COUNTED.search(around))


def _is_day(text: str, match: re.Match[str]) -> bool:
    """Tell a month with a day or a year from a word that is spelled so: "2. May represent", "in mar 3"."""
    month = match["month"]
    if match["year"] is not None:
        return True
    if match.end() == match.end("month"):
        if match["before"] is None:
            return False
        if month.lower().startswith("may"):  # "rib 5 may be"
            return "of" in match["before"]
        return True
    return not month.islower() or len(month.rstrip(".")) > 3 or month.lower() not in ("may", "mar", "dec")


# --- names

_UPPER, _LETTER = "A-ZÀ-ÖØ-Þ", "A-Za-zÀ-ÖØ-öø-ɏ"
_PARTICLE = r"(?:(?:de|del|della|di|da|van|von|der|den|la|le|al|el|bin|st\.|De|Del|Van|Von|La|Le|Al|El|St\.)[ -])"
_NAME = (
    rf"{_PARTICLE}{{0,2}}(?!X{{2,}}\b)[{_UPPER}](?:[{_LETTER}'’]+(?:-[{_UPPER}][{_LETTER}]+)?|\.(?=\s?[{_UPPER}])|\b)"
)
_NAMES = rf"{_NAME}(?:\s?,?\s{_NAME}){{0,3}}"
_TITLED = re.compile(
    rf"\b(?:[Dd]rs?|DRS?|[Dd]octors?|DOCTOR|Prof|Professor|Mrs?|MRS|Ms|Miss|Nurse)\b\.?,?\s?({_NAMES})"
)
_LOW_TITLED = re.compile(r"\b[Dd]rs?\b\.?\s([a-z][a-zà-ÿ'’-]+)")
_DEGREE = re.compile(
    rf"({_NAMES})(?:,?\s(?:M\.?D\b\.?|MBBS\b|FRCR\b|M\.B\.|D\.O\.|R\.N\.|N\.P\.|PA-C\b)|,\s(?:DO|RN|NP|Ph\.?D|BSN|DNP|APRN)\b)"
)
_SIGNED = re.compile(
    r"\b(?i:(?:signed|dictated|transcribed|interpreted|reviewed|approved|verified|read|reported|authenticated"
    r"|finali[sz]ed|performed|requested|ordered|entered|edited|seen|examined|referred|faxed)"
    r"(?: electronically)?(?: and \w+)? by:?)"
    rf"\s{{0,4}}({_NAMES})"
)
_FIELD = re.compile(
    r"\b(?:attending|radiologist|resident|fellow|technologist|physician|surgeon|provider|clinician|patient(?:'s)?"
    r"|name|surname|spouse|next of kin|signature|signed|dictated|author|reader)\s?\Z",
    _I,
)
_LONGEST_FIELD = 20
_AFTER_COLON = re.compile(rf"\s{{0,4}}({_NAMES})")
_TOLD = re.compile(
    r"\b(?i:discussed with|communicated (?:to|with)|relayed to|conveyed to|notified|informed|paged|called to"
    r"|(?:was|were) called with|reported to|sp[oe]ken? (?:with|to)|telephoned(?: to)?|d/w|given to|phoned to|told to)"
    rf"\s((?:[{_UPPER}][a-zà-ÿ'’]{{2,}}|[{_UPPER}]\.)(?:\s[{_UPPER}][{_LETTER}'’-]+)?)"
)
# "Smith NP informed": without a comma letters are a degree only where somebody is told or tells.
_CALLER = re.compile(
    rf"\b({_NAME}) (?:NP|RN|DO|PA|LPN|APRN|CRNP|PA-C)\b(?= (?:(?:was|is|has been|made|by) )?"
    r"(?:informed|notified|aware|paged|called|told|contacted|phone|telephone|acknowledged|confirmed))"
)
# "DOE, JANE" alone on a line, "Smith, John:" where one begins: as lists of patients have them.
_TURNED = re.compile(
    rf"^[ \t]*((?!X{{2,}}\b)[{_UPPER}]['’{_LETTER}-]{{1,30}}, "
    rf"(?!X{{2,}}\b)[{_UPPER}][{_LETTER}'’-]{{1,30}}(?: [{_UPPER}]\b\.?)?)"
    r"(?=[ \t]*(?::|$))",
    re.MULTILINE,
)
_OFFICE = re.compile(
    r"\b(?i:patient|physician|radiologist|resident|attending|practitioner|technologist|surgeon),?"
    rf"\s([{_UPPER}][a-zà-ÿ'’]+\s(?:[{_UPPER}]\.\s)?[{_UPPER}][a-zà-ÿ'’]+)"
)
_OFFICES = ("atient", "hysician", "adiologist", "esident", "ttending", "ractitioner", "echnologist", "urgeon")
_TITLES = ("Dr", "DR", "dr", "octor", "OCTOR", "Prof", "Mr", "MRS", "Ms", "Miss", "Nurse")
_DEGREES = (
    "MD", "M.D", "M.B", "MBBS", "FRCR", "D.O", "R.N", "N.P", "PA-C", ", DO", ", RN", ", NP", ", Ph", ", BSN", "DNP",
    "APRN",
)  # fmt: skip
_CALLS = (
    "iscussed with", "ommunicated", "elayed to", "onveyed to", "otified", "nformed", "aged ", "alled", "eported to",
    "poke", "honed", "/w ", "iven to", "old to", "SSED WITH", "/W ",
)  # fmt: skip


_CALLERS = re.compile(r" (?:NP|RN|DO|PA|LPN|APRN|CRNP)\b")


def _names(text: str) -> Iterator[Identifier]:
    for match, place in _named(text):
        words = match[1].replace(",", " ").split()
        asked = words if match.re is _OFFICE else [words[place]]
        if match.re is _TURNED and any(word.lower() in BODY for word in words):
            continue
        if not any(word.lower().strip(".'’") in NO_NAMES for word in asked):
            yield Identifier("name", *match.span(1))


def _named(text: str) -> Iterator[tuple[re.Match[str], int]]:
    """Give what stands where a name would, and which of its words says whether it is one.

    Behind a title that is the first, before a degree the last: "Referring MD" has no name.
    """
    for pattern, place in _worth(text):
        yield from ((match, place) for match in pattern.finditer(text))
    at = text.find(":")
    while at >= 0:
        if _FIELD.search(text, max(0, at - _LONGEST_FIELD), at) and (match := _AFTER_COLON.match(text, at + 1)):
            yield match, 0
        at = text.find(":", at + 1)


def _worth(text: str) -> list[tuple[re.Pattern[str], int]]:
    """Give the patterns whose letters a text has."""
    patterns: list[tuple[re.Pattern[str], int]] = [(_TURNED, 0)] if ", " in text else []
    if any(letters in text for letters in _TITLES):
        patterns += [(_TITLED, 0), (_LOW_TITLED, 0)]
    if any(letters in text for letters in _DEGREES):
        patterns.append((_DEGREE, -1))
    if _CALLERS.search(text):
        patterns.append((_CALLER, 0))
    if "ed by" in text or "ad by" in text or "en by" in text or " BY" in text:
        patterns.append((_SIGNED, 0))
    if any(letters in text for letters in _OFFICES):
        patterns.append((_OFFICE, 0))
    if any(letters in text for letters in _CALLS):
        patterns.append((_TOLD, 0))
    return patterns


_Look = Callable[[str], Iterator[Identifier]]
_NUMBER_LOOKS: tuple[_Look, ...] = (_records, _phones, _numeric_dates, _addresses, _ages)
_WORD_LOOKS: tuple[_Look, ...] = (_emails, _web, _named_dates, _names)
