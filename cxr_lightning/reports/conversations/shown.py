"""What stands before the first question: the images, and what the radiologist had beside them.

All of it was to be known before anybody looked. So the technique is kept only where it speaks of the taking of the film
and of nothing that is seen in it, and an indication without the sentences that tell what an image showed; what it
suspects or knows from before stays, since the radiologist read that too.
"""

from __future__ import annotations

import re
from functools import lru_cache

from cxr_lightning.findings.catalogue import BY_NAME
from cxr_lightning.findings.certainty import Certainty
from cxr_lightning.findings.mentions import find_mentions
from cxr_lightning.reports.blanks import without_blanks
from cxr_lightning.reports.conversations.persons import named_persons
from cxr_lightning.reports.conversations.said import Carried, Context, Said
from cxr_lightning.reports.conversations.turns import IMAGE_MARK
from cxr_lightning.reports.draw import fraction
from cxr_lightning.reports.identifiers import find_identifiers
from cxr_lightning.reports.sentences import bare_sentence, join_sentences, split_sentences

BARE_SHARE = 0.25
"""Share of studies that show their images alone, unless `Context.always`."""

_LONGEST = {"indication": 240, "technique": 120, "prior": 700}
_READ = 2000
"""Characters that are looked at: patterns for blanks would take the square of a text without end."""
_SENTENCE_END = re.compile(r"[.?!;](?=\s)|//|\n")
_NAMES: dict[Carried, str] = {
    "view": "View",
    "technique": "Technique",
    "indication": "Indication",
    "prior": "Previous report",
}
_LINES = "|".join(_NAMES.values())
_SHOWN = re.compile(rf"(?:(?:\w+ view: )?{IMAGE_MARK}\n)+(?:(?:(?:{_LINES}): [^\n]*\n)+\n)?")
_BLANK = r"(?:_{2,}|x{4,}|\[\*\*.*?\*\*\])"
_AGE = re.compile(
    rf"(?<![\w.])(?:{_BLANK}|\d{{1,3}})(?:[- ]*(?:year|yr|y|month|mo|week|wk|day)s?\.?[- /]*(?:olds?|of age\b|o\b)"
    r"|[- ]?y/?o\.? ?(?=[mf]\b)|[- ]?yrs?\b| ?(?=[mf]\b))[,.]?\s*"
    rf"|\baged? (?:\d{{1,3}}|{_BLANK})(?: years?)?,?\s*",
    re.IGNORECASE,
)
# "56M s/p fall"; "28F" behind a tube is its width.
_AGED_SEX = re.compile(
    r"(?:(?:(?:^|(?<=[.;:?!,\n]))[ ]*|(?<=\b[Ii]n )|(?<=\b[Oo]f )|(?<=\b[Ff]or )|(?<=\b[Aa] ))"
    rf"(?:{_BLANK}|\d{{1,3}})[ -]?"
    rf"|(?<![\w.])(?:{_BLANK}|\d{{1,3}})[ -]*(?:y\.?/?[ ]?o\.?[ -]*|y(?:ea)?rs?[ -]?old[ -]*|y(?:ea)?rs?[ -]+))"
    r"([mf])\b(?![./\d]|[ ]?(?:french|catheter|tube|sheath)\b)",
    re.IGNORECASE | re.MULTILINE,
)
_LEADING_BLANKS = re.compile(rf"^(?:{_BLANK}[\s,/-]*+)++(?:(?:with|w/)\s+)?(?!(?:of|and|or|to|in)\b)", re.IGNORECASE)
_LAST_BLANK = re.compile(rf"[,\s]+{_BLANK}\.?$", re.IGNORECASE)
# "F with cough" came with an age before it.
_SEX = re.compile(r"^([mf])\b(?=$|,? with| w/|,)", re.IGNORECASE)
_SEXES = {"m": "man", "f": "woman"}
_OPENING = re.compile(
    r"^(?:(?:clinical )?(?:history|indications?|reason for exam(?:ination)?)\s*:\s*)?"
    r"(?:(?:this is|the patient is|patient is) )?(?:an? (?=man|woman|male|female|[mf]\b|with))?",
    re.IGNORECASE,
)
_NAMED = re.compile(
    r"\b(?:[Dd]r|[Mm]rs?|[Mm]s|[Pp]rof)\b\.? ?[A-Z_]|\b\d{1,4}[-/]\d{1,2}(?:[-/]\d{2,4})\b|\b(?i:phone|pager?)\b"
)
# Two capitalised words inside a sentence: a name, unless one of them is a word of medicine ("Lung Cancer").
_CAPITALISED = re.compile(
    r"\b(?=([A-Z][a-zà-ÿ'’]+)(?: [A-Z]\.?)? ([A-Z](?:['’]?[A-Z])?[a-zà-ÿ'’-]+)\b"
    r"|((?!X+\b)[A-Z]{3,}) ((?!X+\b)[A-Z]{3,})(?= (?:with|presents|has|is)\b))"
)
_OF_MEDICINE = re.compile(
    r"(?:cough|pain|fever|chills?|dyspnea|breath|breathing|shortness|status|chest|lung|pulmonary|heart|cardiac|disease"
    r"|syndrome|failure|cancer|carcinoma|lymphoma|leukemia|tumou?r|mass|effusion|infection|edema|fracture|distress|injury"
    r""
    r"|surgery|placement|tube|line|catheter|evaluat\w+|assess|please|rule|eval|history|clinical|indication|reason|exam\w*"
    r"|comments?|admit|patient|male|female|man|woman|with|for|and|left|right|upper|lower|abdominal|back|rib|weakness"
    r"|\w+(?:itis|osis|emia|oma|pathy|ectomy|ostomy|pnea|plasty|thorax|monia|graphy|scopy|tension|rrhage)s?)",
    re.IGNORECASE,
)
_IMAGE = (
    r"(?:ct|cta|mri?|cxr|kub|x-? ?rays?|radiographs?|radiograph[yic]+|films?|scans?|imaging|images?|ultrasound"
    r"|sonogra\w+|echo\w*|pet|tomogra\w+)"
)
_ON_IMAGE = re.compile(rf"\b(?:on|by|per|in|from) (?:[\w'-]+ ){{0,4}}{_IMAGE}\b|\b{_IMAGE} ?[:=]", re.IGNORECASE)
_SEEN = re.compile(
    r"\b(?:shows?|show(?:ed|n|ing)|seen|reveal\w*|demonstrat\w+|found|noted|identified|visuali[sz]ed|suggest\w*"
    r"|consistent with|concerning for|read as)\b",
    re.IGNORECASE,
)
_ANY_IMAGE = re.compile(rf"\b{_IMAGE}\b", re.IGNORECASE)
_CLAUSE = re.compile(r",\s|;|\s[-–—]+\s")
_ASKED_FOR = re.compile(
    r"\b(?:for|to|repeat\w*|follow\w*|f/u|re-?check|check|need\w*|known|prior to|before|after|eval\w*|assess\w*|rule"
    r"|r/o|please|\?)",
    re.IGNORECASE,
)
_WHEN = re.compile(r",? (?:at|on|dated) (?:\d{1,2}[:/.]\d{2}\S*|_{2,})(?: ?[ap]\.?m\b\.?| hours)?", re.IGNORECASE)
_TAKEN = re.compile(
    r"\b(?:views?|pa|ap|frontal|lateral|portable|upright|supine|erect|semi-?(?:upright|erect)|radiographs?|bedside"
    r"|x-?rays?|projections?|decubitus|lordotic)\b",
    re.IGNORECASE,
)


def shown_of(said: Said, key: str, context: Context, *, mixed: bool) -> str:
    """Write what stands before the first question.

    Args:
        said: What is known about the study.
        key: Its key.
        context: What prompts carry.
        mixed: Whether the questions are those of style `mixed`.

    Returns:
        The image marks and, where there is more, a line for each thing and an empty one.
    """
    lines = [f"{_NAMES[name]}: {text}\n" for name, text in carried(said, key, context, mixed=mixed).items()]
    return _images(said, context) + "".join(lines) + ("\n" if lines else "")


def carried(said: Said, key: str, context: Context, *, mixed: bool) -> dict[Carried, str]:
    """Choose what a study's prompt carries beside its images.

    Args:
        said: What is known about the study.
        key: Its key.
        context: What prompts carry.
        mixed: Whether the questions are those of style `mixed`.

    Returns:
        The texts in the order of their lines; none for studies that are drawn to show their images alone.
    """
    if not context.always and fraction(key, "bare") < BARE_SHARE:
        return {}
    wanted = (name for name in _NAMES if context.carries(name, mixed=mixed))
    return {name: text for name in wanted if (text := _text(said, name))}


def split_shown(content: str) -> tuple[str, str]:
    """Part the first user turn of a conversation of ours into what is shown and what is asked.

    Args:
        content: The turn.

    Returns:
        What `shown_of` wrote, and the question; where the turn does not begin so, nothing and all of it.
    """
    match = _SHOWN.match(content)
    return (match[0], content[match.end() :]) if match else ("", content)


@lru_cache(maxsize=1 << 12)
def indication_of(text: str) -> str:
    """Clean an indication.

    Args:
        text: As the report has it.

    Returns:
        Prose without ages and blanks, and without the sentences in which `find_identifiers` finds something, which hold
        what looks like a full name, or which tell what an image showed; empty where nothing is left. A surname that
        stands alone ("Smith with cough") is not known for one.
    """
    whole = re.sub(r"\s*//+\s*", ". ", _begun(text).replace("<", " ").replace(">", " "))
    persons = named_persons(whole)
    apart = _AGE.sub("", _AGED_SEX.sub(lambda match: _SEXES[match[1].lower()], whole))
    sentences = split_sentences(apart)
    found = [len(find_identifiers(sentence)) for sentence in sentences]
    if sum(found) < len(find_identifiers(apart)):  # one lies across sentences: nobody knows which half names
        return ""
    kept = [
        _bare_indication(sentence)
        for sentence, identifiers in zip(sentences, found, strict=True)
        if not (identifiers or _holds(sentence, persons) or _names(sentence) or _tells_what_was_seen(sentence))
    ]
    return _bounded([each for each in kept if sum(char.isalpha() for char in each) >= 2], _LONGEST["indication"])


def _begun(text: str) -> str:
    """Return the sentences that stand whole in a text's first characters; no prompt has room for more."""
    if len(text) <= _READ:
        return text
    ends = [match.end() for match in _SENTENCE_END.finditer(text, 0, _READ)]
    return text[: ends[-1]] if ends else ""


def _holds(sentence: str, persons: list[tuple[str, ...]]) -> bool:
    return any(all(word in sentence for word in words) for words in persons)


def _names(sentence: str) -> bool:
    """Tell whether a sentence names somebody; too often rather than too seldom, for an indication is easily spared."""
    if _NAMED.search(sentence):
        return True
    pairs = ([word for word in match.groups() if word] for match in _CAPITALISED.finditer(sentence))
    return any(not any(map(_OF_MEDICINE.fullmatch, pair)) for pair in pairs)


def _tells_what_was_seen(sentence: str) -> bool:
    """Tell whether a sentence says what an image showed, which could be the one that is asked about."""
    image = _ANY_IMAGE.search(sentence) is not None
    if _SEEN.search(sentence):
        return image or next(find_mentions(sentence), None) is not None
    if not image:
        return False
    if _ON_IMAGE.search(sentence):
        return any(each.certainty is Certainty.PRESENT for each in find_mentions(sentence))
    return any(map(_reports_a_film, _CLAUSE.split(sentence)))


def _reports_a_film(clause: str) -> bool:
    """Tell whether a clause sets a film and a finding side by side: "CXR with opacity", not "CXR for effusion"."""
    if not _ANY_IMAGE.search(clause) or _ASKED_FOR.search(clause):
        return False
    stated = (each.finding for each in find_mentions(clause) if each.certainty is Certainty.PRESENT)
    return any("Support Devices" not in BY_NAME[finding].observations for finding in stated)


def _bare_indication(sentence: str) -> str:
    """Clean a sentence clause by clause: the others stand without the one that lost its noun to a blank."""
    kept: list[str] = []
    for clause in _AGE.sub("", _OPENING.sub("", sentence)).split(", "):
        whole = without_blanks(_OPENING.sub("", _LEADING_BLANKS.sub("", clause)))
        sex = _SEX.match(whole)
        kept.append(_SEXES[sex[1].lower()] + whole[1:] if sex else whole)
    return bare_sentence(", ".join(clause for clause in kept if any(map(str.isalpha, clause))))


def technique_of(text: str) -> str:
    """Keep what a technique says about the taking of the film.

    Args:
        text: As the report has it.

    Returns:
        Prose that names no finding; empty where nothing is left.
    """
    flat = _WHEN.sub("", _begun(text).replace("<", " "))
    sentences = [
        bare_sentence(without_blanks(_LAST_BLANK.sub("", _AGE.sub("", sentence)))) for sentence in split_sentences(flat)
    ]
    kept = [
        sentence
        for sentence in sentences
        if _TAKEN.search(sentence)
        and not re.search(r"_{2,}|X{4,}|\d{2}", sentence)
        and not _NAMED.search(sentence)
        and next(find_mentions(sentence), None) is None
    ]
    return _bounded(kept, _LONGEST["technique"])


def _text(said: Said, name: Carried) -> str:
    if name == "view":
        return f"{said.position}." if said.position != "unknown" else ""
    if name == "technique":
        return technique_of(said.technique)
    if name == "indication":
        return indication_of(said.indication)
    return _bounded(split_sentences(said.prior.replace("<", " ")), _LONGEST["prior"])


def _images(said: Said, context: Context) -> str:
    if not (context.lateral and said.lateral):
        return f"{IMAGE_MARK}\n"
    first = said.position.capitalize() if said.position != "unknown" else "First"
    return f"{first} view: {IMAGE_MARK}\nLateral view: {IMAGE_MARK}\n"


def _bounded(sentences: list[str], longest: int) -> str:
    """Join as many sentences as fit; a cut sentence could say the opposite."""
    while sentences and len(join_sentences(sentences)) > longest:
        sentences = sentences[:-1]
    return join_sentences(sentences)
