"""What cleaned texts still say that they should not: a text enters, the kinds of residue in it leave, and are counted.

This is the check on the cleaner, so nothing of the cleaner is used: it knows words, not sentences, and looks for more
words than the cleaner cuts. Where it errs, it errs by counting too much. What is no earlier film is not counted: prior
disease or surgery, one side compared with the other, words that only contain such a word ("compartment").
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

KINDS = ("priors", "blanks", "as an AI", "questions", "another language")

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_EARLIER = frozenset(
    """prior priors previous previously preceding earlier compared comparison comparisons comparing unchanged stable
    stably interval redemonstrated redemonstration reidentified persists persist persisting persistent persistently
    persisted worsened worsening worse improved improving improvement resolved resolving resolution progressed
    progressing progression regressed regression newly new again still since longstanding redistributed reaccumulated
    reaccumulation nonprogressive smaller larger changed now increasing decreasing similar similarly interim today
    today's yesterday cleared clearing development enlarging older recurrent before preexisting continued continuing
    recurred reappeared growing grown formerly ongoing""".split()  # noqa: SIM905
)
_NOT_EARLIER = frozenset(
    """granulomatous granuloma surgery surgical sternotomy cabg fracture fractures infection infectious disease
    tuberculosis tuberculous trauma traumatic injury cholecystectomy mastectomy thoracotomy lobectomy resection exposure
    inflammation inflammatory infarct infarction procedure histoplasmosis asbestos embolization graft valve replacement
    tipss tips bypass median midline abdominal chest lung left right calcified insult pneumonia fusion repair
    tuberculosis-related coronary aortic cardiac history""".split()  # noqa: SIM905
)
_SIDES = frozenset("left right contralateral opposite other side".split())  # noqa: SIM905
# Larger or smaller than another thing in the same picture: "right larger than left", "the larger of two nodules".
_IN_ONE_PICTURE = frozenset("than of one on in at".split())  # noqa: SIM905
_CHANGED = re.compile(
    r"\b(?:no|without|little|any|not) (?:(?:significant|interval|relevant|appreciable|substantial|major|further|overall"
    r"|gross|definite|new) ){0,2}changes?\b(?! of)|\binterval (?:\w+ )?changes?\b"
    r"|\b(?:has|have) (?:\w+ )?(?:increased|decreased|enlarged|developed|cleared|changed)\b"
    r"|\bbeen (?:\w+ )?(?:removed|placed|withdrawn|replaced|exchanged)\b"
    r"|\b(?:more|less) (?:prominent|pronounced|conspicuous|apparent|evident|extensive|severe)\b"
    r"(?!,? (?:in|on|at|within|along|over|toward\w*|than|right|left|centrally|peripherally|inferiorly|superiorly)\b)"
    r"|\bpre-existing\b|\b(?:up|down) from\b|\b(?:was|were) (?:large|small|moderate|not (?:present|seen|visible))\b"
    r"|\b(?:in|de)creased (?!(?:[\w-]+ ){0,4}(?:volumes?|markings|density|densities|opacity|opacities|opacification"
    r"|lucenc(?:y|ies)"
    r"|vascularity|attenuation|diameter|airspace|space|kyphosis|lordosis|prominence|sensitivity|penetration|inflation"
    r"|height|curvature|dimension|tortuosity|tissues?|support|cuffing|interstitial|bronchovascular|caliber"
    r"|translucency|reticular|radiolucency|inspiration)\b)"
    r"|\b(?:better|poorer|deeper|lower|shallower) inspiration\b|\bpatient has (?:received|taken)\b"
    r"|\bas before\b|\bno longer\b|\bfollow(?:ing)? up of\b|\bsimilar (?:to|in)\b",
    re.IGNORECASE,
)
_BLANK = re.compile(r"_{2,}|\bx{3,}\b|\[\s*\*\*|\*{3,}|<unk>|\[(?:redacted|removed|name|date)\]|#{3,}", re.IGNORECASE)
_MACHINE = re.compile(
    r"\bas an? (?:ai|artificial|language model|large language|assistant)\b|\b(?:ai|large)? ?language model\b"
    r"|\bi (?:cannot|can't|can not|am unable|am not able|do not have|don't have|apologi[sz]e)\b|\bi(?:'|’)?m sorry\b"
    r"|\bchat ?(?:gpt|doctor)\b|\bhere is (?:the|a|your) (?:\w+ )?(?:summary|report)\b",
    re.IGNORECASE,
)
_ENGLISH = frozenset(
    """the of and is are was were there no with in on to for without or be not has have may at by from this that as seen
    normal clear lungs lung heart size within limits acute small left right pleural effusion""".split()  # noqa: SIM905
)
_OTHERS = frozenset(
    """el la los las de del y con sin en una un se por que normales derrame pulmonar izquierdo derecho der das und ist
    kein keine mit ohne im von zu nicht linken rechten eine einer le les du et avec sans dans est pas il elle une aux
    gauche droit da dos com sem na não della senza nel è di""".split()  # noqa: SIM905
)
_FEW_WORDS = 4


def residue_of(text: str) -> frozenset[str]:
    """Say what a text still has that no text for training should have.

    Args:
        text: A cleaned text, or any other.

    Returns:
        Some of `KINDS`; none where nothing was found.
    """
    words = [word.lower() for word in _WORD.findall(text)]
    found = {
        "priors": _has_priors(words) or _CHANGED.search(text) is not None,
        "blanks": _BLANK.search(text) is not None,
        "as an AI": _MACHINE.search(text) is not None,
        "questions": "?" in text,
        "another language": _is_foreign(words),
    }
    return frozenset(kind for kind, there in found.items() if there)


def _has_priors(words: list[str]) -> bool:
    return any(
        word in _EARLIER
        and not (word in ("prior", "previous") and _NOT_EARLIER.intersection(words[place + 1 : place + 4]))
        and not (word == "worse" and _SIDES.union(("in", "on", "at")).intersection(words[place + 1 : place + 3]))
        and not (word in ("larger", "smaller") and _IN_ONE_PICTURE.intersection(words[place + 1 : place + 2]))
        and not (word in ("compared", "comparison") and _SIDES.intersection(words[place + 1 : place + 5]))
        for place, word in enumerate(words)
    )


def _is_foreign(words: list[str]) -> bool:
    """Tell by its letters and its smallest words whether a text is in another language than English."""
    if len(words) < _FEW_WORDS:
        return any(ord(letter) > 0x24F for word in words for letter in word if letter.isalpha() and letter not in "µμ")
    strange = sum(ord(letter) > 0x24F for word in words for letter in word)
    if strange * 5 > sum(map(len, words)):
        return True
    return sum(word in _OTHERS for word in words) > sum(word in _ENGLISH for word in words)


@dataclass
class Residue:
    """Counts over many texts.

    Attributes:
        n: Texts counted.
        found: Texts in which each kind was found.
    """

    n: int = 0
    found: Counter[str] = field(default_factory=Counter)

    def add(self, text: str) -> None:
        """Count one text.

        Args:
            text: The text.
        """
        self.count(residue_of(text))

    def count(self, kinds: frozenset[str]) -> None:
        """Count one text whose residue is known.

        Args:
            kinds: What `residue_of` said of it.
        """
        self.n += 1
        self.found.update(kinds)

    @property
    def shares(self) -> dict[str, float]:
        """The share of texts with each kind, 0 where there are no texts."""
        return {kind: self.found[kind] / self.n if self.n else 0.0 for kind in KINDS}
