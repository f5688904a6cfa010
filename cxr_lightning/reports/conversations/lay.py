"""What a report says, in a patient's words: fixed phrases for what is there, what is not, and what is in doubt.

Nothing is added: no cause, no outlook, no advice but to ask the doctor. A medical word stands behind each plain one, so
that the patient finds it in the report again, and so that the labeler can read the answer and hold it against that.
"""

from __future__ import annotations

import re
from functools import lru_cache

from cxr_lightning.findings.certainty import Certainty, certainty
from cxr_lightning.findings.mentions import Mention, find_spans
from cxr_lightning.reports.conversations.details import place_words
from cxr_lightning.reports.conversations.normality import LAY, beyond, spans_beyond
from cxr_lightning.reports.conversations.reading import Line, Reading, is_of_a_device
from cxr_lightning.reports.conversations.sound import is_known_normal, plain, unknown_words
from cxr_lightning.reports.conversations.topics import TOPICS
from cxr_lightning.reports.conversations.turns import Asked
from cxr_lightning.reports.conversations.wordings import EXPLAIN
from cxr_lightning.reports.draw import choose, fraction

PLAIN: dict[str, str] = {
    "pleural_effusion": "fluid around the lung (pleural effusion)",
    "pneumothorax": "air around the lung (pneumothorax)",
    "cardiomegaly": "a heart that looks larger than usual (cardiomegaly)",
    "enlarged_cardiomediastinum": "an outline of the heart and of the middle of the chest that looks larger than usual"
    " (enlarged cardiomediastinal silhouette)",
    "wide_mediastinum": "a middle part of the chest that looks broader than usual (widened mediastinum)",
    "nodule": "a spot in the lung (nodule or mass)",
    "consolidation": "a part of the lung that is filled with fluid or other material (consolidation)",
    "pneumonia": "an infection of the lung (pneumonia)",
    "infection": "an infection of the lung (infection)",
    "airspace_opacity": "an area of the lung that looks whiter than usual (airspace opacity)",
    "opacity": "an area of the lung that looks whiter than usual (opacity)",
    "interstitial_oedema": "too much fluid in the lungs (pulmonary edema)",
    "congestion": "a fullness of the blood vessels of the lungs (vascular congestion)",
    "atelectasis": "a part of the lung that holds too little air (atelectasis)",
    "pleural_other": "a changed lining of the lung (pleural thickening, scarring or calcification)",
    "fracture": "a broken bone (fracture)",
    "pacemaker": "a pacemaker",
    "line": "a thin tube that ends in a large vein (central venous line)",
    "device": "medical material such as a tube, a wire or an implant",
}
"""Plain words for the catalogue's rows, each in the singular: they follow "there is"."""

_DENIALS: dict[str, tuple[str, ...]] = {
    "pleural effusion": ("There is no fluid around the lungs (no pleural effusion).",),
    "pneumothorax": ("There is no air around the lungs (no pneumothorax).",),
    "enlarged heart": ("The heart is not enlarged.", "The heart has a normal size."),
    "consolidation": ("No part of the lungs is filled up (no consolidation).",),
    "pneumonia": ("There is no sign of an infection of the lungs (no pneumonia).",),
    "edema": ("There is no fluid inside the lungs (no pulmonary edema).",),
}
_OPENINGS = ("In plain words:", "Put simply:", "Without the jargon:", "In everyday language:", "")
_CLOSINGS = (
    "The doctor who asked for the X-ray can say what this means for you.",
    "Please ask the doctor who sent you what follows from this.",
    "What this means for you is best discussed with your doctor.",
    "",
)
_NORMAL = ("Nothing abnormal was found on this X-ray.", "The X-ray looks normal.", "This is a normal X-ray.")
_STATED = ("The X-ray shows {what}.", "There is {what}.", "What can be seen is {what}.")
_DOUBTED = "It cannot be told for sure from this X-ray whether there is {what}."
_UNTOLD = frozenset({"tumour"})
"""What a fixed phrase should not tell a patient."""
# What may be the gravest of a sentence and has no phrase of ours: a tube in a wrong place, a broken lead, a hernia or a
# hardened vessel of another kind. To tell the rest of such a sentence would be to keep it back.
_NO_PHRASE = re.compile(
    r"\b(?:main[- ]?stem|(?:right|left) main|main bronchus|mal-?position\w*|misplaced|mispositioned|coil(?:ed|ing)"
    r"|kink\w*|dislodg\w+|disconnect\w*|migrat\w+|retract\w*|advanc(?:e|ed|ing|ement)|reposition\w*"
    r"|pull(?:ed|ing)? back|too (?:low|high|deep|far)|(?:low|high|deep)[- ]lying|o?esophag\w+|tension"
    r"|(?:midline|mediastinal|tracheal) (?:shift|deviation)|coronary (?!(?:artery )?(?:bypass|stent))|dissect\w+"
    r"|aneurysm\w*|free air|pneumoperitoneum|pneumomediastinum)|(?<!hiatal )(?<!hiatus )\bhernia\w*",
    re.IGNORECASE,
)
_BESIDE = frozenset(
    """calcified port line lines wire wires lead leads tip tips patchy streaky linear hazy platelike plate like band
    bandlike subsegmental segmental discoid focal multifocal confluent diffuse scattered ill defined discrete
    ground glass tiny trace minimal minimally minor small mild mildly slight slightly subtle faint moderate
    moderately medium large severe severely marked markedly massive extensive to bilateral bibasilar basilar
    basal biapical apical retrocardiac perihilar lingula lingular posterolateral lateral posterior anterior
    hemithorax overlying underlying adjacent associated layering related old healed healing remote chronic acute
    new stable unchanged prior previous persistent residual recurrent increased increasing decreased decreasing
    improved worsening may might could represent represents reflect reflects likely probably probable possible
    possibly suggesting suggestive consistent compatible versus cannot be excluded suspicious concerning concern
    questionable question suspected borderline if but than more some multiple few several second third fourth
    fifth sixth seventh eighth ninth tenth place ends end terminates projects projecting projected svc superior
    inferior vena cava cavoatrial junction atrium ventricle carina above below distal proximal expected location
    endotracheal et nasogastric ng enteric feeding dobbhoff jugular subclavian internal ij venous central dual
    chamber single chest valve stomach mm cm millimeter millimeters centimeter centimeters measuring measures
    approximately about x region regions representing greater area midlung medial posteriorly anteriorly amount
    component developing""".split()  # noqa: SIM905
)
"""Words that say of a finding how much, how sure, since when and where: our phrases tell it all the same."""
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:mm|cm)?")
_MOST = 4
_NAMED_DEVICES = frozenset(("line", "pacemaker"))
# Of a word that would frighten without its "old": "old healed rib fracture".
_OLD = ("old", "healed", "healing", "remote", "chronic", "prior", "previous")


def explain(reading: Reading, key: str) -> list[Asked]:
    """Explain a report to its patient, where our words reach.

    Args:
        reading: The study.
        key: Its key.

    Returns:
        One question or none.
    """
    found = _found(reading)
    if found is None or not (found or reading.abnormal is False):
        return []
    denials = [choose(_DENIALS[topic.name], key, topic.name) for topic in TOPICS if _denied(reading, topic.name)]
    denials.sort(key=lambda each: fraction(key, "denials", each))
    opening, closing = choose(_OPENINGS, key, "opening"), choose(_CLOSINGS, key, "closing")
    normal = [choose(_NORMAL, key, "plain normal")] if reading.abnormal is False else []
    answer = " ".join(part for part in (opening, *normal, *found, *denials[:2], closing) if part)
    return [Asked("explain", choose(EXPLAIN, key, "explain"), answer)]


def _found(reading: Reading) -> list[str] | None:
    """Say what is there and what is in doubt; None where there is what we do not tell, or too much of it."""
    unsettled = _unsettled(reading)
    if not all(is_known_normal(line.text) for line in reading.dropped):
        return None
    stated: dict[str, frozenset[str]] = {}
    doubted: dict[str, None] = {}
    for line in reading.lines:
        told = [each for each in line.mentions if each.certainty is not Certainty.ABSENT and each.finding in PLAIN]
        if not _reached(line, told, unsettled):
            return None
        named = {each.finding for each in told}
        for mention in told:
            what = _plain(mention, line)
            if mention.certainty is Certainty.UNCERTAIN:
                doubted[what] = None
            elif mention.finding != "device" or not named & _NAMED_DEVICES:
                where = place_words(mention.places)
                stated[what] = stated.get(what, frozenset()) | ({where} if where else frozenset())
        stated |= {LAY[name][1]: frozenset() for name in beyond(line.text)}
    if len(stated) + len(doubted) > _MOST:
        return None
    there = [_with_place(what, places) for what, places in stated.items()]
    return [_STATED[number % len(_STATED)].format(what=what) for number, what in enumerate(there)] + [
        _DOUBTED.format(what=what) for what in doubted if what not in stated
    ]


def _reached(line: Line, told: list[Mention], unsettled: frozenset[str]) -> bool:
    """Tell whether our words say all of a sentence that a patient would miss."""
    if any(each.finding in _UNTOLD and each.certainty is not Certainty.ABSENT for each in line.mentions):
        return False
    if is_of_a_device(line.text) or _says_more(line):
        return False
    if any(each.finding in unsettled and each.certainty is Certainty.PRESENT for each in told):
        return False
    return is_known_normal(line.text) or (bool(told or beyond(line.text)) and not _leaves_out(line.text))


@lru_cache(maxsize=1 << 14)
def _leaves_out(sentence: str) -> bool:
    """Tell whether a sentence of which we tell something holds a word that neither stands for that nor is normal."""
    words = plain(sentence)
    found = [*spans_beyond(sentence), *(each for each in find_spans(words) if each[0] in PLAIN)]
    return any(
        not any(begin <= start and end <= stop for _, begin, stop in found) and not _NUMBER.fullmatch(words[start:end])
        for start, end in unknown_words(words, _BESIDE)
    )


def _says_more(line: Line) -> bool:
    """Tell whether a sentence states something grave or easily mistaken for which there is no phrase."""
    words = line.text.lower()
    return any(
        certainty(words, match.start(), match.end()) is not Certainty.ABSENT for match in _NO_PHRASE.finditer(words)
    )


def _plain(mention: Mention, line: Line) -> str:
    plain = PLAIN[mention.finding]
    old = mention.finding == "fracture" and any(word in line.text.lower().split() for word in _OLD)
    return plain.replace("a broken bone (", "an old broken bone (old ") if old else plain


def _unsettled(reading: Reading) -> frozenset[str]:
    """List the catalogue's rows of findings of which the report does not plainly say that they are there."""
    return frozenset(row for topic in TOPICS if not reading.settles(topic) for row in topic.rows)


def _with_place(what: str, places: frozenset[str]) -> str:
    """Add where it is, if all that speak of it say the same."""
    return f"{what} {next(iter(places))}" if len(places) == 1 else what


def _denied(reading: Reading, name: str) -> bool:
    if name == "consolidation" and "Lung Opacity" in reading.observations.stated:
        return False  # to a patient, a white area is a filled one
    return name in _DENIALS and any(topic.name == name and reading.settles(topic) is False for topic in TOPICS)
