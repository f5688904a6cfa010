"""Dialogues between patients and doctors enter; those about images of the body are kept, cleaned of who is speaking.

XrayGPT's language model learned radiology from such dialogues, chosen by keyword from a general medical set. A keyword
in passing is not enough: every second answer of a chatbot recommends "imaging". So a dialogue is kept where the patient
brings an image or its report, or where the answer goes into one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_EXAMINATIONS = re.compile(
    r"\b(?:(?:chest |dental |plain )?x-? ?rays?|radiograph(?:s|y|ic)?|radiolog\w+|mammogra\w+|tomogra\w+"
    r"|(?:hr|cect|ncct|pet)?[- ]?ct\b(?: ?scans?| angiogra\w+)?|cat scans?|mr[ia]s?\b(?: scans?)?"
    r"|magnetic resonance|ultra ?sound|usg|sonogra\w+|doppler|echocardiogra\w+|fluoroscop\w+|scintigra\w+"
    r"|bone scans?|dexa|pet scans?"
    r"|barium (?:swallow|enema|meal)|angiogra\w+|myelogra\w+|venogra\w+|chest films?|cxr)\b",
    re.IGNORECASE,
)
_RESULTS = re.compile(
    r"\b(?:reports?|showed|shows|shown|showing|reveal\w*|impressions?|findings?|results?|seen|found|indicat\w+"
    r"|suggest\w*|normal|abnormal\w*|said|says|lesions?|shadows?|nodules?|opacit\w+|effusions?|calcifi\w+|cysts?|mass"
    r"|fractures?|attached|interpret\w*|read|radiologists?|scans?|mean|means|image|images)\b",
    re.IGNORECASE,
)
_SIGNS = re.compile(
    r"\b(?:pleural effusions?|pneumothorax|atelectasis|consolidation|infiltrates?|opacit(?:y|ies)|(?:lung|pulmonary)"
    r" (?:nodules?|mass(?:es)?|lesions?)|cardiomegaly|pulmonary (?:o?edema|embol\w+|fibrosis)|ground glass|calcifi\w+"
    r"|hilar|mediastin\w+|costophrenic|granulomas?|bronchovascular|infarcts?|hypo(?:dens|echo|intens)\w+"
    r"|hyper(?:dens|echo|intens)\w+|disc (?:bulge|protrusion|herniation)|herniated dis[ck]s?|lucen\w+|radiopaque"
    r"|degenerative changes?|fractures?|enhancement|contrast)\b",
    re.IGNORECASE,
)
_NEAR = 90
"""Characters between an examination and a word of its result."""

_PERSONA = re.compile(r"\b(?:chat ?doctor|health ?care ?magic|icliniq|health ?tap)(?:\.com)?\b", re.IGNORECASE)
# A stop inside a word ends nothing: "2.5 cm", "icliniq.com". Together its sentences are the whole text.
_SENTENCE = re.compile(r"(?:[^.!?\n]|[.!?](?![A-Z\s]|$)|(?<=\b[Dd]r)\.)*(?:[.!?](?=[A-Z\s]|$)|\n|$)\s*")
_GREETING = re.compile(
    r"^\W*(?:(?:hi|hello|hey|dear|greetings|good (?:morning|evening|day)|welcome)\b[^.!?]{0,60}"
    r"|(?:many |a lot of )?(?:thanks|thank you)\b[^.!?]{0,90}"
    r"(?:query|question|us|consult\w*|forum|contact\w*|asking|here)"
    r"|(?:warm |kind |best )?(?:regards|wishes)\b[^.!?]{0,40}|(?:i )?hope (?:i|this|that|my)\b[^.!?]{0,120}"
    r"|take care|wish(?:ing)? you[^.!?]{0,60}|(?:i am|i'm|this is|my name is) (?:dr|doctor|chat)\b[^!?]{0,80}"
    r"|(?:dr|doctor)\.? ?\w{0,20})\W*$",
    re.IGNORECASE,
)

# What opens a sentence and says only who speaks or to whom; a finding may follow its comma.
_SALUTE = re.compile(
    r"^\W*(?:(?:hi|hello|hey|dear|greetings|good (?:morning|evening|afternoon|day)|welcome"
    r"|(?:many |a lot of )?(?:thanks|thank you))\b[^.!?,;:]{0,60}?(?:[,;:]|\s[-–]+\s)"
    r"|(?:i am|i'm|this is|my name is) (?:the )?(?:dr|doctor|chat ?doctor)\b\.?"
    r"(?: (?!and\b)[\w'-]+){0,4}?(?:[,;:]|\s+and\b))\s*",
    re.IGNORECASE,
)
_PLEASANTRY = re.compile(
    r"^(?:how (?:are|do|can|may) |i (?:can|will) (?:help|answer)|nice to |let me help)", re.IGNORECASE
)
_NAMED_SERVICE = re.compile(rf"(?:\s+(?:on|to|by|from|at|with|via|in|here at))?\s*{_PERSONA.pattern}", re.IGNORECASE)
_FEWEST_WORDS = 3


def about_radiology(turns: Sequence[tuple[str, str]]) -> bool:
    """Tell whether a dialogue is about images of the body, not only mentions that one could be taken.

    Args:
        turns: Questions with their answers.

    Returns:
        True where a question speaks of an examination and of what it showed, or an answer goes into one: names signs
        that only an image shows beside an examination.
    """
    return any(_shows(question) or _goes_into(answer) for question, answer in turns)


def without_persona(text: str) -> str:
    """Take out who is speaking: what greets, signs or names a service. Sentences about images lose that alone.

    Args:
        text: One turn.

    Returns:
        The rest; the text itself where nothing else would be left.
    """
    sentences = [match[0] for match in _SENTENCE.finditer(text) if match[0]]
    kept = [_impersonal(each) for each in sentences]
    bare = " ".join("".join(kept).split()) if kept != sentences else text.strip()
    return bare or text.strip()


def _impersonal(sentence: str) -> str:
    """Take who is speaking out of one sentence; empty where it says nothing else."""
    if not (_PERSONA.search(sentence) or _GREETING.match(sentence) or _SALUTE.match(sentence)):
        return sentence
    rest = sentence
    while (salute := _SALUTE.match(rest)) and not _of_images(salute[0]):
        rest = rest[salute.end() :]
    if _of_images(rest):
        return _capital(_NAMED_SERVICE.sub("", rest))
    greets = rest == sentence or _PERSONA.search(rest) or _GREETING.match(rest) or _PLEASANTRY.match(rest)
    return "" if greets or len(rest.split()) < _FEWEST_WORDS else _capital(rest)


def _of_images(text: str) -> bool:
    """Tell whether a text may say something of an image, which greetings never do."""
    return _EXAMINATIONS.search(text) is not None or _SIGNS.search(text) is not None


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _shows(text: str) -> bool:
    """Tell whether a text speaks of an examination and of its result, near each other."""
    return any(
        _RESULTS.search(text, max(0, match.start() - _NEAR), match.start())
        or _RESULTS.search(text, match.end(), match.end() + _NEAR)
        for match in _EXAMINATIONS.finditer(text)
    )


def _goes_into(text: str) -> bool:
    """Tell whether a text speaks of an examination and names signs that it shows."""
    if _EXAMINATIONS.search(text) is None:
        return False
    return len({match[0].lower() for match in _SIGNS.finditer(text)}) >= 2
