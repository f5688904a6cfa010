"""An indication enters, the names that stand in it without a title leave: "JOHN SMITH 45M", "SMITH, JOHN - cough".

Two words in capitals are a name by what follows them, an age, a comma, "with", and by being no words of medicine. Too
often rather than too seldom: a sentence of an indication is easily spared. A surname alone is not known for one.
"""

from __future__ import annotations

import re

from cxr_lightning.findings.mentions import find_mentions
from cxr_lightning.reports.nobody import BODY, NO_NAMES

_OF_MEDICINE = re.compile(
    r"(?:cough\w*|pain\w*|fever\w*|chills?|dyspnea|breath|breathing|shortness|status|chest|lungs?|pulmonary|heart|cardiac"
    r"|disease|syndrome|failure|cancer|carcinoma|lymphoma|leukemia|tumou?r|mass|nodules?|effusions?|infections?|edema"
    r"|fractures?|distress|injury|surgery|placement|tubes?|lines?|catheter|evaluat\w+|assess|please|rule|eval|history"
    r"|clinical|indication|reason|exam\w*|comments?|admit\w*|patient|male|female|man|woman|with|for|and|left|right|upper"
    r"|lower|abdominal|back|ribs?|weakness|night|sweats|weight|loss|blood|pressure|positive|negative|test|tobacco|smok\w+"
    r"|drug|alcohol|abuse|acute|chronic|severe|worsening|increasing|new|recent|known|possible|probable|suspected"
    r"|recurrent|elderly|healthy|pleasant|previously|intubated|hypoxi[ac]|tachycardia|bradycardia|asthma\w*|diabet\w+"
    r"|sepsis|septic|cirrhosis|stroke|seizures?|trauma|motor|vehicle|accident|collision|assault|wheez\w+|sputum|mental"
    r"|altered|shock|arrest|transplant|renal|liver|kidney|atrial|fibrillation|aortic|valve|bypass|sternotomy|surgical"
    r"|fall|fell|syncope|vomiting|nausea|swallow\w*|follow\w*|interval|change|post|pre|preop\w*|postop\w*|operative"
    r"|screening|clearance|work|employment|immigration|ppd|quantiferon|exposure|tuberculosis|emphysema|copd|aids|cabg"
    r"|n?stemi|esrd|afib|a-?fib|etoh|[mscnp]?icu|picc|osh|sob|uri|uti|tia|cva|pna|hiv|ild|osa|iddm|ivdu?|ekg|lvad|aicd"
    r"|icd|tavr|avr|orif|pod|[rl][ul]l|ruq|luq|sirs|ams|aki|aml|acs|mva|mvc|ecmo|pea|aaa|bipap|cpap|ogt|ngt|ett|iph|sah"
    r"|avm|ards|acls|tips|usoh|abg|inr|wbc|afb|eval|evidence|unspecified"
    r"|\w+(?:itis|osis|emia|oma|omas|pathy|ectomy|ostomy|otomy|pnea|plasty|thorax|monia|graphy|scopy|tension|rrhage"
    r"|algia|ptysis|centesis|uria|phagia|plegia|trophy|ation|ness|ology|cardia))s?",
    re.IGNORECASE,
)
_BLANK = r"(?:_{2,}|[xX]{4,})"
_AGE = (
    rf"(?:(?:aged?[ ]*)?(?:{_BLANK}|\d{{1,3}})[ -]*"
    r"(?:y(?:ea)?r?s?\b|y\.?/?[ ]?o|mo(?:nth)?s?\b|[mfMF]\b|(?i:male|female)))"
)
_BEGINS = r"(?:^|(?<=[.;:?!/\n])[ ]*)(?:(?i:patient|pt|re|name)[ :,]+)?"
_CAPS = r"(?![xX]+\b)[A-Z][A-Z'’-]+"
_PROPER = r"[A-Z][a-zà-ÿ'’-]+"
_FOLLOWED = rf"(?=[ ]*,?[ ]*-?[ ]*(?i:{_AGE}|dob\b|mrn\b|male\b|female\b))"
_THEN = r"(?=[ ]*(?:,|[-–—][ ]|$|[.;:\n]|(?i:with|w/|presents?|has|is|s/p|status|here|c/o)\b))"
_NAMED = re.compile(
    rf"{_BEGINS}(?P<caps>{_CAPS},?[ ]+(?:[A-Z]\.?[ ]+)?{_CAPS}(?:[ ]+(?:{_CAPS}|[A-Z]\b\.?))?)(?:{_FOLLOWED}|{_THEN})"
    rf"|{_BEGINS}(?P<turned>{_PROPER},[ ]+{_PROPER}(?:[ ][A-Z]\b\.?)?){_FOLLOWED}",
    re.MULTILINE,
)
_WORD = re.compile(r"[^\W\d_][\w'’-]+")
_LOWER_WORD = re.compile(r"[a-z]{3}")
_ENDS = ("", ".", ";", ":", "\n")
_VOWEL = re.compile(r"[AEIOUYaeiouy]")


def named_persons(text: str) -> list[tuple[str, ...]]:
    """Find what stands where a patient's name would.

    Args:
        text: An indication as written, with ages.

    Returns:
        The words of each name.
    """
    loud = _LOWER_WORD.search(text) is None  # where all is in capitals, two words alone are a complaint
    matches = (match for match in _NAMED.finditer(text) if not (loud and text[match.end() : match.end() + 1] in _ENDS))
    found = (tuple(_WORD.findall(match["caps"] or match["turned"])) for match in matches)
    return [words for words in found if len(words) > 1 and _may_name(words)]


def _may_name(words: tuple[str, ...]) -> bool:
    for word in words:
        low = word.lower()
        if len(word) < 2 or not _VOWEL.search(word) or _OF_MEDICINE.fullmatch(word) or low in BODY or low in NO_NAMES:
            return False
    return next(find_mentions(" ".join(words)), None) is None
