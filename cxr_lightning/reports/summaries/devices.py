"""Tubes, lines and what else was put in: each a thing of its own, and the places where one ends.

Enters words of a report, in lower case and with hyphens as spaces; leaves them with each device and place as one token,
so that "NG tube" and "nasogastric tube" are the same word, and the "right" of "right atrium" is no side.
"""

from __future__ import annotations

import re

_LINE = r"(?:lines?|catheters?|sheaths?|access|cannulas?)"
_KINDS = r"(?:(?:central|venous|dual|double|triple|lumen|approach|vein|temporary|large|bore|sided|side) )"
_VALVES = r"(?:aortic|mitral|tricuspid|pulmonic|cardiac|heart)"
DEVICES: dict[str, str] = {
    "endotracheal tube": r"(?:endo|naso|oro) ?tracheal(?: tubes?)?|et tubes?|etts?\b|intubat\w+|tracheal tubes?",
    "tracheostomy": r"tracheostomy(?: (?:tubes?|cannulas?))?",
    "enteric tube": r"(?:naso|oro) ?(?:gastric|enteric|duodenal|jejunal)(?: (?:feeding )?tubes?)?|(?:ng|og|ogt|ngt)\b"
    r"(?: (?:tubes?|catheters?))?|enteric (?:feeding )?(?:tubes?|catheters?)|feeding tubes?"
    r"|dob+ ?hoff(?: (?:feeding )?(?:tubes?|catheters?))?|(?:gastric|esophageal|orogastric) tubes?"
    r"|gastrostomy(?: tubes?)?",
    "chest tube": r"(?:chest|thoracostomy|pleural|pleurx|thoracic|pigtail|intercostal)"
    r"(?: (?:pigtail|chest|pleural|drainage))* (?:tubes?|drains?|catheters?)|pleurx|pigtails?",
    "PICC": rf"piccs?(?: {_LINE})?|peripherally inserted(?: central)?(?: venous)?(?: {_LINE})?",
    "port": rf"(?:infus\w+ |chest |power |central )?port ?a ?caths?|medi ?ports?|infusaports?"
    rf"|(?:chest|infusion|power|central venous|access) ports?(?: {_LINE})?|port {_LINE}",
    "dialysis catheter": rf"(?:hemo)?dialysis {_KINDS}*{_LINE}|perma ?caths?|quinton(?: {_LINE})?",
    "pulmonary artery catheter": r"swan(?: ?ganz)?(?: catheters?)?|pulmonary arter\w+ catheters?",
    "central line": rf"(?:(?:in|ex)ternal )?(?:central|venous|jugular|ij|subclavian|cv|hickman"
    rf"|tunnel+ed|cordis|broviac) {_KINDS}*{_LINE}"
    r"|(?:cvl|cvc|cordis)s?\b",
    "pacemaker": r"pace ?makers?|pacers?|pacing(?: (?:devices?|systems?))?",
    "defibrillator": r"a?icds?\b|(?:cardioverter )?defibrillators?",
    "balloon pump": r"(?:intra ?aortic )?balloon pump|iabp",
    "valve prosthesis": rf"(?:prosthetic|artificial|mechanical|bioprosthetic|porcine)(?: {_VALVES})? valves?"
    rf"|{_VALVES} valve (?:replacements?|prosthes[ie]s)|valve replacements?|valvular prosthes[ie]s|tavr",
    "stent": r"stents?|endografts?|stent grafts?",
    "caval filter": r"(?:ivc|caval|vena cava|greenfield) filters?",
    "shunt": r"(?:(?:vp|ventriculoperitoneal) )?shunts?(?: (?:catheters?|tubing))?|vp catheters?",
    "loop recorder": r"(?:loop|cardiac|event) (?:recorders?|monitors?)",
    "stimulator": r"(?:neuro)?stimulators?",
    "assist device": r"lvad|(?:ventricular )?assist devices?|ecmo(?: cannulas?)?",
    "arthroplasty": r"arthroplast\w+|(?:shoulder|joint|humeral) (?:prosthes[ie]s|replacements?)",
    "implants": r"(?:breast )?implants?|breast prosthes[ie]s",
}
"""Each by the ways in which it is said."""

PLACES: dict[str, str] = {
    "svc": r"(?:(?:upper|high|proximal|mid|middle|lower|low|distal) )?(?:(?:to )?(?:mid|middle|lower|distal|upper) )?"
    r"(?:(?:third|part|portion|aspect|half) of )?(?:the )?(?:svc|superior vena cava)",
    "cavoatrial junction": r"(?:cavo ?atrial|atrio ?caval|svc right atrial|svc ra) junction",
    "right atrium": r"right atri(?:um|al)\b",
    "right ventricle": r"right ventric(?:le|ular)\b",
    "left atrium": r"left atri(?:um|al)\b",
    "left ventricle": r"left ventric(?:le|ular)\b",
    "inferior vena cava": r"ivc|inferior vena cava",
    "brachiocephalic vein": r"(?:(?:left|right) )?(?:brachio ?cephalic|innominate)(?: veins?)?",
    "azygos": r"azygos",
    "pulmonary artery": r"(?:(?:left|right|main) )?(?:main )?pulmonary arter(?:y|ies)|pulmonary outflow tract",
    "right main bronchus": r"right main(?: ?stem)?(?: bronch\w+)?",
    "left main bronchus": r"left main(?: ?stem)?(?: bronch\w+)?",
    "stomach": r"stomach|gastric (?:body|fundus|antrum|bubble|lumen)|(?<=the )(?:fundus|antrum)|gastric\b",
    "gastroesophageal junction": r"(?:gastro ?o?esophageal|ge) junction|gej\b",
    "duodenum": r"duoden\w+|post ?pyloric|pylor\w+",
    "jejunum": r"jejun\w+|ligament of treitz",
    "esophagus": r"o?esophag\w+",
    "carina": r"carina\w*",
}
"""Where a tube or a line ends, or lies; a chamber's or a bronchus's side belongs to its name."""

_LEVELS = {
    "upper": r"upper|high|proximal", "mid": r"mid|middle", "lower": r"lower|low|distal",
}  # fmt: skip
_LEVEL = re.compile(
    r"\b(?:" + "|".join(f"(?P<{name}>{words})" for name, words in _LEVELS.items()) + r")(?= )(?=.*(?:svc|cava))"
)
_VEIN = re.compile(r"\b(?:(?P<jugular>jugular|ij)|(?P<subclavian>subclavian))\b")
_ALL = (*DEVICES.items(), *PLACES.items())
NAMES = tuple(name for name, _ in _ALL)
"""The names in the order of their tokens."""

_TOKENS = re.compile(r"\b(?:" + "|".join(f"(?P<n{place}>{words})" for place, (_, words) in enumerate(_ALL)) + r")\b")
_HYPHEN = re.compile(r"(?<=[a-z])[-‐‑](?=[a-z])")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def token_of(place: int) -> str:
    """Returns the word that stands for a device or a place: letters alone, and of the length of a stem.

    Args:
        place: Its place in `NAMES`.
    """
    return f"zz{_LETTERS[place // 26]}{_LETTERS[place % 26]}z"


NAME_OF = {token_of(place): name for place, name in enumerate(NAMES)}
"""Names by their tokens."""


def tokenise(words: str) -> str:
    """Writes devices and places as tokens.

    Args:
        words: Of a report, in lower case; hyphens between letters become spaces.
    """
    return _TOKENS.sub(_token, _HYPHEN.sub(" ", words))


def _token(match: re.Match[str]) -> str:
    token = token_of(int((match.lastgroup or "n0")[1:]))
    name = NAME_OF[token]
    # What of the name tells two of a kind apart stays beside the token.
    kept = _LEVEL.search(match[0]) if name == "svc" else _VEIN.search(match[0]) if name == "central line" else None
    return f"{kept.lastgroup} {token}" if kept else token
