"""A sentence enters; leaves whether it says only what is said of a normal chest: a list of what is known, no other.

What is wrong with a chest can be said in more words than any list holds, what is right with it in few. So a sentence
counts as normal where each of its words is known: it names a part of the chest, calls it normal, tells how the film was
taken, or is denied. One unknown word leaves it open.
"""

from __future__ import annotations

import re
from functools import lru_cache

from cxr_lightning.findings.certainty import Certainty, certainty


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SOUND = _words(
    "normal normally unremarkable clear intact midline negative satisfactory symmetric symmetrical sharp sharply"
    " maintained preserved patent"
)
"""What is said of a part that nothing is wrong with."""
_PLAIN = _words(
    """a an the is are was were be been has have there this that these those of in on at to with and or for by as it
    its both all any each also which from through over under throughout about no not without nor neither well
    fully grossly essentially overall bilaterally generally adequately clearly specifically radiographically
    appear appears appearing remain remains seen identified noted demonstrated demonstrate demonstrates
    visualized visualised visible evident present observed found detected appreciated show shows reveal reveals
    suggest suggests suggestive suggesting indicate within limits limit range including along again below beneath free
    findings impression report conclusion age patient's patient given heart cardiac cardio mediastinal
    mediastinum cardiomediastinal lung lungs pulmonary pleura pleural hilar hila hilum hilus trachea tracheal
    aorta aortic diaphragm diaphragms hemidiaphragm hemidiaphragms diaphragmatic costophrenic cardiophrenic
    angle angles sulcus sulci bone bones bony osseous osseus skeletal skeleton rib ribs spine thoracic vertebral
    vertebra vertebrae clavicle clavicles soft tissue tissues chest thorax hemithorax hemithoraces abdomen
    abdominal upper lower mid middle lobe lobes zone zones base bases apex apices field fields border borders
    margin margins interstitium parenchyma vasculature vasculatures vascular vascularity vessels airway airways
    shoulder shoulders wall cage structure structures contour contours silhouette silhouettes outline size sized
    shape shaped configuration position appearance caliber volumes aeration inflation alignment left right
    bilateral central peripheral anterior posterior superior inferior visualised portions portion imaged scapula
    scapulae sternum airspaces surface surfaces fissure fissures cardiopulmonary intrathoracic cardiothoracic
    thoracoabdominal cardiovascular pleuropulmonary ratio vascularities body bodies s d elements sided
    thoracolumbar spaces markings distribution"""
)
"""Parts of a chest, and words that say nothing by themselves."""
_TAKEN = _words(
    """view views film films radiograph radiographs radiographic image images xray xrays x ray rays exam examination
    study pa ap frontal lateral upright erect supine portable obtained provided submitted performed reviewed
    acquired available consists consist technique technical projection projections preoperative preop comparison
    xxxx"""
)
"""How a film was taken; a word that was blacked out is none of these where a part of the chest is spoken of."""
_DENIABLE = _words(
    """acute active acutely focal lobar segmental large small sizable significant suspicious definite definitive
    convincing discrete obvious gross overt appreciable evidence sign signs finding abnormality abnormalities
    abnormal disease diseases process processes pathology pathologic pathological change changes consolidation
    consolidations consolidative effusion effusions pneumothorax pneumothoraces infiltrate infiltrates
    infiltration infiltrative opacity opacities opacification airspace air space edema oedema nodule nodules
    nodular mass masses lesion lesions fracture fractures fractured displaced nondisplaced adenopathy
    lymphadenopathy lymph node nodes pneumonia infection infectious congestion congestive failure chf
    engorgement enlargement enlarged cardiomegaly widening widened dilated dilatation fluid intraperitoneal
    subdiaphragmatic infradiaphragmatic peritoneal tuberculosis tuberculous tb blunting blunted foreign
    radiopaque atelectasis interstitial granulomatous scarring collapse deformity deviation shift metastatic
    metastasis metastases malignancy malignant neoplasm tumor calcification calcifications calcified thickening
    cavitary cavity cavities cavitation cavitations bronchiectasis emphysema hyperinflation degenerative
    dislocation dislocations subluxation destructive lytic blastic sclerotic pericardial alveolar parenchymal
    traumatic trauma injury injuries pneumomediastinum pneumoperitoneum hemothorax cuffing septal device devices
    aspiration sarcoidosis hernia aneurysm density densities collection collections area areas lucency patchy
    confluent worrisome prominent prominence elevated elevation effacement inflammatory viral bronchopneumonia
    pneumonitis compression hemorrhage contusion adjacent acutely cardiogenic vascular venous hypertension
    loculated layering tension noncalcified spiculated suspected typical radiodense engorged irregularity
    infarct line lines tube tubes catheter catheters pacemaker pneumonic bacterial"""
)
"""What may be wrong with a chest: normal where it is denied."""
# It told how much had changed, not what there is; another sentence tells that.
_COURSE_HIDDEN = re.compile(r"^(?:the |heart |lungs |mediastinum |and )+(?:have|has) (?:xxxx )+in the interval$")
_COUNTS = _words("two single one three 2 3 x")
_HEADINGS = _words("findings impression report conclusion chest lungs heart mediastinum bones pleura")
_LINKING = _words("a an the is are was were has have been there no of in with and or for chest thorax patient it")
_KNOWN = _SOUND | _PLAIN | _TAKEN

_WORD = re.compile(r"[a-z0-9'.]*[a-z0-9']")
_SPACES = re.compile(r"[\s\-‐-―()\[\]/]+")
_BLANK = re.compile(r"_+|\bx{3,}\b")
_WELL = re.compile(
    r"\b(?:(?:well|fully|normally|adequately|symmetrically) (?:expanded|inflated|aerated)"
    r"|(?:expanded|inflated|aerated) and (?=clear\b)|(?<=clear )and (?:well )?(?:expanded|inflated|aerated))\b"
)
# Where the same sentence calls it normal, "unchanged" hides nothing.
_AS_BEFORE = re.compile(
    r"\b(?:stable|unchanged)(?: and| in size and)? (?=(?:normal|unremarkable|clear|within normal)\b)"
    r"|(?:(?<=normal)|(?<=normal in size)|(?<=normal in contour)|(?<=normal limits))(?: and contour)?,? (?:and|but)"
    r" (?:stable|unchanged)\b"
)
# A word that was blacked out is one of the parts that are called normal, or of what is denied.
# One noun alone goes with these: an arch, nodes, wires, angles.
_FORCED = re.compile(r"\b(aortic|lymph|sternotomy|costophrenic) xxxx\b")
_NOUNS = {"aortic": "arch", "lymph": "nodes", "sternotomy": "wires", "costophrenic": "angles"}
_HIDDEN = re.compile(
    r"\bxxxx(?= (?:(?!no\b|without\b|with\b|but\b)\w+,? ){0,4}(?:normal|unremarkable|clear|intact|midline|negative)\b)"
    r"|(?:(?<=normal )|(?<=unremarkable )|(?<=normal pulmonary )|(?<=clear lung ))xxxx(?= bilaterally$| and\b|$)"
    r"|(?<=chest )x xxxx$"
)
# Known words that say together what none of them says alone: an arch or a trachea on the wrong side, a part that cannot
# be seen, a heart between normal and large.
_TOGETHER = re.compile(
    r"\bto the (?:left|right)\b|\bon the (?:left|right) side\b|\bright (?:sided )?(?:aort|arch|heart\b)"
    r"|\b(?:upper|high|top) (?:limits?|range|end)\b|\b(?:high|top|near) normal\b|\blimits? upper\b"
    r"|\b(?:not|never|no longer|nor|neither|n't|no)(?: \w+){0,2} (?:clear(?! of| to)|normal|unremarkable|intact|midline"
    r"|sharp\w*|symmetric\w*|maintained|preserved|patent|satisfactory)\b"
)
_DENYING = re.compile(r"\b(?:no|without|nor|neither|not)\b")
_NOT_SEEN = re.compile(
    r"([a-z]+) (?:is |are |was |were |has been |have been )(?:also )?not"
    r" (?:seen|identified|demonstrated|visuali[sz]ed|visible|evident|present|observed|found|detected)\b"
)
_AHEAD = 60
"""Characters within which a denial names what it denies."""


@lru_cache(maxsize=1 << 15)
def is_known_normal(sentence: str) -> bool:
    """Tell whether all that a sentence says is said of a normal chest.

    Args:
        sentence: One sentence, of a cleaned report or of one as it was written.

    Returns:
        Whether it calls parts normal, denies known things, or tells how the film was taken, and says nothing else.
    """
    words = plain(sentence)
    if _TOGETHER.search(words):
        return False
    if _COURSE_HIDDEN.search(words):
        return True
    found = [each for each in _WORD.finditer(words) if not each.group().isdigit() or len(words) > len(each.group())]
    if {each.group() for each in found} <= _TAKEN | _COUNTS | _LINKING | _HEADINGS:
        return _is_of_the_film([each.group() for each in found])
    said = denied = False
    for each in found:
        word = each.group()
        if word in _SOUND:
            said = True
        elif word in _DENIABLE and certainty(words, each.start(), each.end()) is Certainty.ABSENT:
            denied = True
        elif word not in _PLAIN and (word not in _TAKEN or word == "xxxx") and not _is_denied_blank(words, each):
            return False
    return (said or denied) and _denies_what_is_known(words)


def unknown_words(sentence: str, told: frozenset[str]) -> list[tuple[int, int]]:
    """List the words of a sentence that are neither said of a normal chest, nor denied, nor told in another way.

    Args:
        sentence: One sentence, as `plain` writes it.
        told: Words that are told.

    Returns:
        Where they begin and end.
    """
    return [
        each.span()
        for each in _WORD.finditer(sentence)
        if each.group() not in told
        and each.group() not in _KNOWN
        and not (each.group() in _DENIABLE and certainty(sentence, each.start(), each.end()) is Certainty.ABSENT)
    ]


@lru_cache(maxsize=1 << 15)
def plain(sentence: str) -> str:
    """Write a sentence as it is read here: in lower case, hyphens as spaces, without what hides nothing.

    Args:
        sentence: One sentence.
    """
    words = _BLANK.sub("xxxx", _SPACES.sub(" ", sentence.lower().replace("’", "'"))).strip(" .")
    if "xxxx" in words:
        words = _FORCED.sub(lambda match: f"{match[1]} {_NOUNS[match[1]]}", words)
    return _HIDDEN.sub("it", _AS_BEFORE.sub(" ", _WELL.sub("clear ", words)))


def _is_of_the_film(words: list[str]) -> bool:
    """Tell how a film was taken, or a heading, from what was blacked out."""
    return set(words) <= _HEADINGS or any(word in _TAKEN and word != "xxxx" for word in words)


def _is_denied_blank(words: str, blank: re.Match[str]) -> bool:
    return blank.group() == "xxxx" and certainty(words, blank.start(), blank.end()) is Certainty.ABSENT


def _denies_what_is_known(words: str) -> bool:
    """Tell whether each denial is one of something wrong: "no lung" and "the angle is not seen" are none."""
    for cue in _DENYING.finditer(words):
        ahead = _WORD.findall(words, cue.end(), cue.end() + _AHEAD)
        if not any(word in _DENIABLE for word in ahead):
            seen = _NOT_SEEN.search(words)
            if seen is None or seen[1] not in _DENIABLE:
                return False
    return True
