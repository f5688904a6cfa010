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
from cxr_lightning.reports.conversations.plainness import is_of_a_device, is_plain, is_taken_out
from cxr_lightning.reports.conversations.reading import Line, Reading
from cxr_lightning.reports.conversations.sound import is_known_normal, plain, unknown_words
from cxr_lightning.reports.conversations.topics import TOPICS
from cxr_lightning.reports.conversations.turns import Asked
from cxr_lightning.reports.conversations.wordings import EXPLAIN
from cxr_lightning.reports.draw import choose, fraction

PLAIN: dict[str, str] = {
    "pleural_effusion": "fluid around the lung (pleural effusion)",
    "pneumothorax": "air around the lung (pneumothorax)",
    "cardiomegaly": "a heart that looks larger than usual (cardiomegaly)",
    "borderline_heart": "a heart that looks larger than usual (cardiomegaly)",
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
    "pleural effusion": (
        "There is no fluid around the lungs (no pleural effusion).",
        "No fluid has collected around the lungs (no pleural effusion).",
        "The space around the lungs is free of fluid (no pleural effusion).",
    ),
    "pneumothorax": (
        "There is no air around the lungs (no pneumothorax).",
        "No air has leaked out around the lungs (no pneumothorax).",
        "The space around the lungs holds no air (no pneumothorax).",
    ),
    "enlarged heart": (
        "The heart is not enlarged.",
        "The heart has a normal size.",
        "The heart is not larger than usual.",
    ),
    "consolidation": (
        "No part of the lungs is filled with fluid or other material (no consolidation).",
        "No part of the lungs looks solid (no consolidation).",
    ),
    "pneumonia": (
        "There is no sign of an infection of the lungs (no pneumonia).",
        "No infection of the lungs can be seen (no pneumonia).",
    ),
    "edema": (
        "There is no fluid inside the lungs (no pulmonary edema).",
        "The lungs hold no extra fluid (no pulmonary edema).",
    ),
}
_OPENINGS = ("In plain words:", "Put simply:", "Without the jargon:", "In everyday language:", "")
_CLOSINGS = (
    "The doctor who asked for the X-ray can say what this means for you.",
    "Please ask the doctor who sent you what follows from this.",
    "What this means for you is best discussed with your doctor.",
    "",
)
_NORMAL = (
    "Nothing abnormal was found on this X-ray.",
    "The X-ray looks normal.",
    "This is a normal X-ray.",
    "Everything on this X-ray looks as it should.",
)
_STATED = ("The X-ray shows {what}.", "There is {what}.", "What can be seen is {what}.")
_DOUBTED = (
    "It cannot be told for sure from this X-ray whether there is {what}.",
    "It is open whether there is {what}.",
    "From this X-ray alone nobody can say for certain whether there is {what}.",
)
# Of two things only one is there: "scarring versus atelectasis", and an "or" that is none of a denial's.
_SLASHED = r"(?:atelecta\w+|scar\w*|fibro\w+|infiltra\w+|pneumonia|disease|granuloma\w*)"
_ONE_OF_TWO = re.compile(rf"\b(?:versus|vs|either|or)\b|\b{_SLASHED}/|/{_SLASHED}")
_DENIES = re.compile(r"\b(?:no|not|without|free|negative|nor|neither)\b")
_HEDGED = re.compile(r"\b(?:likely|probabl[ey]|presum\w+|appears? to)\b")
# Beside what is told in other sentences, "otherwise" and "the remainder" say nothing more.
_REST = re.compile(
    r"\botherwise,? |,? otherwise\b|\b(?:the )?(?:remainder|rest) of (?=the )|\bremaining (?=lungs?\b|portions?\b)",
    re.IGNORECASE,
)
_OPEN = (Certainty.PRESENT, Certainty.UNCERTAIN)
_WHITE = frozenset(("opacity", "airspace_opacity"))
_UNTOLD = frozenset({"tumour"})
"""What a fixed phrase should not tell a patient."""
# What may be the gravest of a sentence and has no phrase of ours: a tube in a wrong place, a broken lead, a hernia or a
# hardened vessel of another kind. To tell the rest of such a sentence would be to keep it back.
_NO_PHRASE = re.compile(
    r"\b(?:main[- ]?stem|(?:right|left) main|main bronchus|mal-?position\w*|misplaced|mispositioned|coil(?:ed|ing)"
    r"|kink\w*|dislodg\w+|disconnect\w*|migrat\w+|retract\w*|advanc(?:e|ed|ing|ement)|reposition\w*"
    r"|pull(?:ed|ing)? back|too (?:low|high|deep|far)|(?:low|high|deep)[- ]lying|o?esophag\w+|tension"
    r"|(?:midline|mediastinal|tracheal) (?:shift|deviation)|coronary (?!(?:artery )?(?:bypass|stent))|dissect\w+"
    r"|collaps\w+|aneurysm\w*|free air|pneumoperitoneum|pneumomediastinum)|(?<!hiatal )(?<!hiatus )\bhernia\w*",
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
    component developing otherwise again since from the then as before change changed interval similar
    persists persist remain remains redemonstrated redemonstration compared comparison study exam examination film
    radiograph improvement increase decrease larger smaller bronchovascular crowding resulting multilevel midthoracic
    cervical lumbar endplate endplates t joint joints acromioclavicular glenohumeral sequela sequelae quadrant
    calcification calcifications heterogeneous homogeneous parapneumonic standard appropriate satisfactory
    resolved resolution removed removal aspect level body bodies first""".split()  # noqa: SIM905
)
"""Words that say of a finding how much, how sure, since when and where: our phrases tell it all the same."""
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:mm|cm|st|nd|rd|th)?|[tlc]\d{1,2}")
_MOST = 5
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
    found = _found(reading, key)
    if found is None or not (found or reading.abnormal is False):
        return []
    denials = [choose(_DENIALS[topic.name], key, topic.name) for topic in TOPICS if _denied(reading, topic.name)]
    denials.sort(key=lambda each: fraction(key, "denials", each))
    opening, closing = choose(_OPENINGS, key, "opening"), choose(_CLOSINGS, key, "closing")
    normal = [choose(_NORMAL, key, "plain normal")] if reading.abnormal is False else []
    answer = " ".join(part for part in (opening, *normal, *found, *denials[:2], closing) if part)
    return [Asked("explain", choose(EXPLAIN, key, "explain"), answer)]


def _found(reading: Reading, key: str) -> list[str] | None:
    """Say what is there and what is in doubt; None where there is what we do not tell, or too much of it.

    What cleaning took out is on the film as well, so it is told like the rest.
    """
    unsettled = _unsettled(reading)
    stated: dict[str, frozenset[str]] = {}
    doubted: dict[str, None] = {}
    for line in (*reading.lines, *(each for each in reading.dropped if not is_known_normal(each.text))):
        told = [each for each in line.mentions if each.certainty is not Certainty.ABSENT and each.finding in PLAIN]
        if not _reached(line, told, unsettled):
            return None
        named = {each.finding for each in told}
        for mention in told:
            what = _plain(mention, line)
            if mention.certainty is Certainty.UNCERTAIN or mention.finding in unsettled:
                doubted[what] = None
            elif mention.finding != "device" or not named & _NAMED_DEVICES:
                where = place_words(mention.places)
                stated[what] = stated.get(what, frozenset()) | ({where} if where else frozenset())
        names = {LAY[name][1]: None for name in beyond(line.text)}
        if _is_one_of_two(line.text):
            doubted |= names
        else:
            stated |= dict.fromkeys(names, frozenset[str]())
        doubted |= {LAY[name][1]: None for name in beyond(line.text, Certainty.UNCERTAIN)}
    if len(stated) + len(doubted) > _MOST:
        return None
    there = [_with_place(what, places) for what, places in stated.items()]
    shift = int(fraction(key, "stated") * len(_STATED))
    return [_STATED[(number + shift) % len(_STATED)].format(what=what) for number, what in enumerate(there)] + [
        _DOUBTED[(number + shift) % len(_DOUBTED)].format(what=what)
        for number, what in enumerate(each for each in doubted if each not in stated)
    ]


def _is_one_of_two(sentence: str) -> bool:
    """Tell whether a sentence leaves open which of two things is there, or whether it is."""
    words = sentence.lower()
    either = _ONE_OF_TWO.search(words)
    return _HEDGED.search(words) is not None or (either is not None and not _DENIES.search(words, 0, either.start()))


def _reached(line: Line, told: list[Mention], unsettled: frozenset[str]) -> bool:
    """Tell whether our words say all of a sentence that a patient would miss."""
    if any(each.finding in _UNTOLD and each.certainty is not Certainty.ABSENT for each in line.mentions):
        return False
    if is_of_a_device(line.text) or _says_more(line.text):
        return False
    # What this very sentence leaves open is told as in doubt; what others contradict is not told.
    open_ones = [each for each in told if each.finding in unsettled and each.certainty is Certainty.PRESENT]
    if open_ones and (is_plain(line.text) or is_taken_out(line.text)):
        return False
    return is_known_normal(_REST.sub(" ", line.text)) or (
        bool(line.mentions or beyond(line.text) or beyond(line.text, Certainty.UNCERTAIN))
        and not _leaves_out(line.text)
    )


@lru_cache(maxsize=1 << 14)
def _leaves_out(sentence: str) -> bool:
    """Tell whether a sentence of which we tell something holds a word that neither stands for that nor is normal."""
    words = plain(sentence)
    if "xxxx" in words:  # it may have been "possible", or "no"
        return True
    open_ones = spans_beyond(sentence, Certainty.UNCERTAIN)
    found = [*spans_beyond(sentence), *open_ones, *(each for each in find_spans(words) if each[0] in PLAIN)]
    return any(
        not any(begin <= start and end <= stop for _, begin, stop in found) and not _NUMBER.fullmatch(words[start:end])
        for start, end in unknown_words(words, _BESIDE)
    )


@lru_cache(maxsize=1 << 14)
def _says_more(sentence: str) -> bool:
    """Tell whether a sentence states something grave or easily mistaken for which there is no phrase."""
    words = sentence.lower()
    return any(
        certainty(words, match.start(), match.end()) is not Certainty.ABSENT for match in _NO_PHRASE.finditer(words)
    )


def _plain(mention: Mention, line: Line) -> str:
    plain = PLAIN[mention.finding]
    old = mention.finding == "fracture" and any(word in line.text.lower().split() for word in _OLD)
    return plain.replace("a broken bone (", "an old broken bone (old ") if old else plain


def _unsettled(reading: Reading) -> frozenset[str]:
    """List the catalogue's rows of findings of which the report does not plainly say that they are there."""
    return frozenset(row for topic in TOPICS if not reading.states(topic) for row in topic.rows)


def _with_place(what: str, places: frozenset[str]) -> str:
    """Add where it is, if all that speak of it say the same."""
    return f"{what} {next(iter(places))}" if len(places) == 1 else what


def _denied(reading: Reading, name: str) -> bool:
    if name == "consolidation" and any(any(line.speaks(_WHITE, *_OPEN)) for line in (*reading.lines, *reading.written)):
        return False  # to a patient, a white area is a filled one
    return name in _DENIALS and any(topic.name == name and reading.settles(topic) is False for topic in TOPICS)
