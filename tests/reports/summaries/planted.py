"""Faults planted in good summaries, and good summaries in other words: what checks must find, and must let through."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from cxr_lightning.reports.sentences import split_sentences

Plant = Callable[[str, str, random.Random], str | None]
"""From a source, its summary and a generator to a spoilt summary; None where there is nothing to spoil."""

_DENIAL = re.compile(r"\b(?:There is no|There are no|No|no|without)\b(?= (?!change))")
_STATED = re.compile(
    r"^(?:There (?:is|are)(?: an?)? )?(?=(?:[Mm]ild|[Ss]mall|[Mm]oderate|[Ll]arge|[Ll]eft|[Rr]ight|[Pp]atchy)\b)"
)
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?= ?(?:cm|mm|x|nodul))")
_INVENTED = (
    "There is a small left pleural effusion.", "A right apical pneumothorax is present.", "The heart is enlarged.",
    "There is consolidation in the right lower lobe.", "A left chest wall pacemaker is present.",
    "Multiple healed rib fractures are seen on the left.", "There is a large hiatal hernia.",
    "There is pulmonary edema.", "A 7 mm nodule lies in the left upper lobe.", "Bibasilar atelectasis is noted.",
    "There is gas beneath the diaphragm.", "Breast implants overlie both lung bases.",
)  # fmt: skip
_FOREIGN = (
    "Das Herz ist normal groß. Die Lungen sind frei, kein Erguss und kein Pneumothorax nachweisbar.",
    "La silhouette cardiaque est de taille normale. Les poumons sont clairs, sans épanchement pleural.",
    "El corazón es de tamaño normal. Los pulmones están claros, sin derrame pleural ni neumotórax.",
    "心影大小正常。双肺清晰，无胸腔积液或气胸。",
)


def altered_number(source: str, summary: str, chance: random.Random) -> str | None:
    found = list(_NUMBER.finditer(summary))
    if not found:
        return None
    match = chance.choice(found)
    other = float(match[0]) + chance.choice((1, 2, 5, 0.5, 10))
    return f"{summary[: match.start()]}{other:g}{summary[match.end() :]}"


def swapped_side(source: str, summary: str, chance: random.Random) -> str | None:
    found = list(re.finditer(r"\b(left|right)\b(?! (?:atri|ventric|heart))", summary, re.IGNORECASE))
    if not found:
        return None
    match = chance.choice(found)
    other = "right" if match[0].lower() == "left" else "left"
    return summary[: match.start()] + (other.capitalize() if match[0][0].isupper() else other) + summary[match.end() :]


def dropped_negation(source: str, summary: str, chance: random.Random) -> str | None:
    found = list(_DENIAL.finditer(summary))
    if not found:
        return None
    match = chance.choice(found)
    said = {"there is no": "There is", "there are no": "There are", "no": "", "without": "with"}[match[0].lower()]
    return re.sub(r"  +", " ", summary[: match.start()] + said + summary[match.end() :]).strip()


def added_negation(source: str, summary: str, chance: random.Random) -> str | None:
    sentences = split_sentences(summary)
    places = [n for n, each in enumerate(sentences) if _STATED.search(each) and not _DENIAL.search(each)]
    if not places:
        return None
    place = chance.choice(places)
    sentences[place] = _STATED.sub("There is no ", sentences[place], count=1)
    return ". ".join(sentences) + "."


def invented_finding(source: str, summary: str, chance: random.Random) -> str | None:
    said = chance.choice(_INVENTED)
    telling = max(re.findall(r"[a-z]{6,}", said.lower()), key=len)
    known = source.lower()
    return None if telling[:6] in known or any(w in known for w in ("enlarged", "cardiomeg")) else f"{summary} {said}"


def lost_sentence(source: str, summary: str, chance: random.Random) -> str | None:
    sentences = split_sentences(summary)
    if len(sentences) < 2:
        return None
    del sentences[chance.randrange(len(sentences))]
    return ". ".join(sentences) + "."


def foreign_words(source: str, summary: str, chance: random.Random) -> str | None:
    return chance.choice(_FOREIGN)


def foreign_sentence(source: str, summary: str, chance: random.Random) -> str | None:
    return f"{summary} {chance.choice(_FOREIGN)}"


def remark(source: str, summary: str, chance: random.Random) -> str | None:
    before = ("As an AI language model, I summarise: ", "Here is the summary:\n\n", "**Summary** ", "Sure! ")
    after = (
        " Would you like more detail?", " I cannot give medical advice.", " Compared to the prior study, unchanged.",
        " ___ was informed.", " Please consult a radiologist.",
    )  # fmt: skip
    pick = chance.choice((*before, *after))
    return pick + summary if pick in before else summary + pick


_SIZE = re.compile(r"(?<![\w.])\d+(?:\.\d+)? ?(?:cm|mm)\b(?! (?:x|by)\b)")
_GRADE = re.compile(r"\b(mild|small|tiny|minimal|large|severe|marked)\b(?! lung volumes)")
_TIPS = (
    "right atrium", "superior vena cava", "SVC", "cavoatrial junction", "stomach", "duodenum", "carina",
    "right ventricle", "brachiocephalic vein", "main bronchus",
)  # fmt: skip
_DEVICES = (
    "endotracheal tube", "tracheostomy tube", "NG tube", "nasogastric tube", "enteric tube", "chest tube", "PICC",
    "Port-A-Cath", "port-a-cath", "pacemaker", "pacer", "ICD", "dialysis catheter", "stent", "IVC filter",
    "central venous catheter", "central line", "Swan-Ganz catheter",
)  # fmt: skip
_OTHER_WORD = {
    "likely": "", "probable": "", "definite": "", "acute": "old", "old": "acute", "healed": "acute", "remote": "acute",
    "anterior": "posterior", "posterior": "anterior", "anteriorly": "posteriorly", "multiple": "a single",
    "single": "multiple", "pneumothorax": "tension pneumothorax", "tension": "", "rightward": "leftward",
    "leftward": "rightward", "hiatal": "diaphragmatic", "benign": "malignant", "tortuous": "dissected",
    "mass": "tumor", "advanced": "withdrawn", "withdrawn": "advanced", "dual": "single", "above": "below",
}  # fmt: skip
_WORDS = re.compile(r"\b(?:" + "|".join(_OTHER_WORD) + r")\b", re.IGNORECASE)
_DENIED_BEFORE = re.compile(r"\b(?:no|without|not|nor|negative for|free of)\b[^.;]*$", re.IGNORECASE)


def _length(size: str) -> float:
    return float(size[:-2]) * (10 if size.endswith("cm") else 1)


def exchanged_sizes(source: str, summary: str, chance: random.Random) -> str | None:
    found = list(_SIZE.finditer(summary))
    pairs = [(a, b) for a in found for b in found if a.end() < b.start() and _length(a[0]) != _length(b[0])]
    # In one breath ("from 2 cm to 3 cm") they may be of one thing.
    pairs = [(a, b) for a, b in pairs if len(summary[a.end() : b.start()].split()) > 3]
    if not pairs:
        return None
    first, second = chance.choice(pairs)
    between = summary[first.end() : second.start()]
    return summary[: first.start()] + second[0] + between + first[0] + summary[second.end() :]


def other_grade(source: str, summary: str, chance: random.Random) -> str | None:
    found = list(_GRADE.finditer(summary))
    if not found:
        return None
    match = chance.choice(found)
    other = "small" if match[0] in ("large", "severe", "marked") else "large"
    return summary[: match.start()] + other + summary[match.end() :]


def _other_of(names: tuple[str, ...], source: str, summary: str, chance: random.Random) -> str | None:
    found = [match for name in names for match in re.finditer(rf"\b{re.escape(name)}\b", summary)]
    others = [name for name in names if name.lower()[:5] not in source.lower()]
    if not found or not others:
        return None
    match = chance.choice(found)
    return summary[: match.start()] + chance.choice(others) + summary[match.end() :]


def other_tip(source: str, summary: str, chance: random.Random) -> str | None:
    others = tuple(name for name in _TIPS if not (name.startswith("superior") and "SVC" in source))
    return _other_of(tuple(n for n in others if not (n == "SVC" and "cava" in source)), source, summary, chance)


def other_device(source: str, summary: str, chance: random.Random) -> str | None:
    spoilt = _other_of(_DEVICES, source, summary, chance)
    alike = (
        {"pacemaker", "pacer"},
        {"PICC", "central venous catheter", "central line"},
        {"NG tube", "nasogastric tube", "enteric tube"},
    )
    counts = [{name for name in _DEVICES if name in text} for text in (source, spoilt or "")]
    return None if any(counts[0] & names and counts[1] & names for names in alike) else spoilt


def invented_device(source: str, summary: str, chance: random.Random) -> str | None:
    others = [name for name in ("PICC", "endotracheal tube", "pacemaker") if name.lower()[:4] not in source.lower()]
    sentences = split_sentences(summary)
    if not others or not sentences or _DENIAL.search(sentences[-1]):
        return None
    return f"{'. '.join(sentences)}, and a {chance.choice(others)} is in place."


def other_word(source: str, summary: str, chance: random.Random) -> str | None:
    found = [
        match for match in _WORDS.finditer(summary)
        if match[0].lower() != "pneumothorax"
        or not (_DENIED_BEFORE.search(summary[: match.start()]) or "tension" in source)
    ]  # fmt: skip
    if not found:
        return None
    match = chance.choice(found)
    return " ".join((summary[: match.start()] + _OTHER_WORD[match[0].lower()] + summary[match.end() :]).split())


PLANTS: dict[str, Plant] = {
    "exchanged sizes": exchanged_sizes,
    "another grade": other_grade,
    "another device": other_device,
    "invented device": invented_device,
    "another tip place": other_tip,
    "another word": other_word,
    "altered number": altered_number,
    "swapped side": swapped_side,
    "dropped negation": dropped_negation,
    "added negation": added_negation,
    "invented finding": invented_finding,
    "lost sentence": lost_sentence,
    "foreign language": foreign_words,
    "foreign sentence": foreign_sentence,
    "remark of its own": remark,
}

_OTHER_WORDS = (
    (r"\bwithin normal limits\b", "normal"),
    (r"^There is no (.*)$", r"No \1 is seen"),
    (r"^There are no (.*)$", r"No \1 are seen"),
    (r"^No (?!.*\b(?:is|are|seen|identified|noted)\b)(.*)$", r"There is no \1"),
    (r"^Heart size (?:is )?normal$", "The heart is normal in size"),
    (r"^(?:The )?lungs are clear$", "Both lungs are clear"),
    (r"\bvisualized\b", "seen"),
    (r"\bdemonstrates\b", "shows"),
    (r"\bpulmonary edema\b", "edema of the lungs"),
    (r"\bpneumothorax or pleural effusion\b", "pleural effusion or pneumothorax"),
    (r"\bbibasilar\b", "bilateral basilar"),
    (r"\bosseous\b", "bony"),
    (r"^(?:The )?cardiomediastinal silhouette is normal$", "The cardiomediastinal silhouette appears normal"),
)


def in_other_words(summary: str, chance: random.Random) -> str:
    """Says the same otherwise: other order, other words, sentences joined."""
    sentences = split_sentences(summary)
    for place, sentence in enumerate(sentences):
        for pattern, words in _OTHER_WORDS:
            if chance.random() < 0.7:
                sentence = re.sub(pattern, words, sentence, flags=re.IGNORECASE)
        sentences[place] = sentence
    chance.shuffle(sentences)
    joined: list[str] = []
    for sentence in sentences:
        low = sentence[:1].lower() + sentence[1:] if not sentence[:2].isupper() else sentence
        denied = re.match(r"(?:there is |there are )?no (?!.*\b(?:is|are|seen|identified|noted)\b)", low)
        free = joined and not re.search(r";|without|, and ", joined[-1])
        if free and denied and not _DENIAL.search(joined[-1]) and chance.random() < 0.6:
            joined[-1] += f", without {low[denied.end() :]}"
        elif free and chance.random() < 0.3:
            joined[-1] += f"; {low}" if _DENIAL.search(joined[-1]) or chance.random() < 0.5 else f", and {low}"
        else:
            joined.append(sentence[:1].upper() + sentence[1:])
    return ". ".join(joined) + "."
