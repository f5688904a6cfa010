"""What a radiologist may name, in the words in which it is named: the one table from which both vocabularies are read.

A row is finer than the labels: "pneumonia" and "infiltrate" are one located label (consolidation at a lobe) but two of
the 14 observations. Rows are tried from top to bottom where they begin at the same word, so the narrower come first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cxr_lightning.findings.certainty import Certainty

Detail = Literal["none", "side", "zone", "lobe"]
"""How finely a finding is located: not at all, by side, by third of a lung, by lobe."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a radiologist may name.

    Attributes:
        name: The row's own name, an identifier.
        detail: How finely it is located.
        words: A regular expression of the ways in which it is said, in lower case and with hyphens as spaces.
        located: The located label without its place; empty where that vocabulary lacks it.
        observations: Those of the 14 observations that it is a case of.
        verdict: What the words say by themselves ("normal heart size": that it is absent), if they do.
    """

    name: str
    detail: Detail
    words: str
    located: str = ""
    observations: tuple[str, ...] = ()
    verdict: Certainty | None = None


_HEART = r"(?:heart|cardiac)(?: (?:silhouette|shadow|contours?|size|outline))*"
_CARDIOMEDIASTINUM = r"cardio ?mediastin(?:al|um)(?: (?:silhouette|shadow|contours?|size|outline))*"
_MEDIASTINUM = r"(?:superior |upper )?mediastin(?:um|al (?:silhouette|contours?|shadow|structures|width))"
# Open-i writes XXXX for a word that was removed for privacy, often this one.
_IS = r"(?:is|are|appears?|remains?|looks?|xxxx)"
_VEIN = r"(?:svc|superior vena cava|vena cava|cavo ?atrial|caval|atri(?:um|al)|brachiocephalic|innominate)"
_NORMAL = (
    r"(?:(?:with)?in normal (?:limits|range)|upper limits? (?:of )?(?:the )?normal"
    r"|(?:top|upper) normal|normal|unremarkable|(?:not|isn't|aren't|non)"
    r"(?: \w+ly)? enlarged|nonenlarged)"
)
_ANATOMY = (
    r"(?:heart|cardiac|cardio ?mediastin\w+|mediastin\w+|hila|hilar|hilum|pulmonary|vascular\w*|vasculature|vessels"
    r"|silhouettes?|contours?|shadows?|structures?|size|aortic?|aorta|lungs?|pleural?|trachea|pericardial|outline"
    r"|configuration|caliber|soft tissues|bony|osseous)"
)


def _enlarged(what: str) -> str:
    """The ways of saying that a silhouette is enlarged."""
    return (
        rf"enlarge(?:d|ment of)(?: the)? {what}"
        rf"|{what} (?:\w+ )?(?:{_IS} )(?:(?!normal|within|clear)\w+ ){{0,4}}?(?:enlarged|increased in size|increased"
        r"|large\b)"
        rf"|{what} ?:? (?:\w+ly )*enlarge(?:d|ment)"
    )


def _called(what: str, how: str) -> str:
    """A silhouette and what follows it; "heart size, mediastinal contours and vessels are normal" is said of each."""
    return (
        rf"{what}(?= ?:?(?:(?:,? and|,)? (?:the )?{_ANATOMY})*,? (?:(?:{_IS}|both|also|again|all|overall|at|of|the|in"
        rf"|near|stable|and|grossly|size|within|otherwise|likely|probably|which) ){{0,5}}{how}\b)"
    )


def _normal(what: str) -> str:
    """The ways of saying that a silhouette is normal."""
    linked = rf"(?: (?:appearing|sized?|appearance|in|of|the|and)| {_ANATOMY},?)*"
    return rf"(?:normal|unremarkable){linked} {what}|{_called(what, _NORMAL)}"


CATALOGUE: tuple[Finding, ...] = (
    Finding(
        "pleural_effusion",
        "side",
        r"(?<!pericardial )(?<!joint )effusions?|(?:hydro|ha?emo)(?:pneumo)?thorax|pleural fluid|fluid in the (?:right "
        r"|left )?pleural",
        "pleural_effusion",
        ("Pleural Effusion",),
    ),
    Finding("pneumothorax", "side", r"(?:hydro)?pneumothora(?:x|ces)|ptx", "pneumothorax", ("Pneumothorax",)),
    Finding(
        "cardiomegaly",
        "none",
        rf"cardiomegaly|{_enlarged(_HEART)}|cardiac enlargement|large heart\b"
        r"|cardiothoracic ratio (?:is |appears |of )?(?:\w+ )?(?:increased|elevated|enlarged|above|greater)"
        r"|increased (?:cardiothoracic ratio|heart size)",
        "cardiomegaly",
        ("Cardiomegaly",),
    ),
    Finding(
        "enlarged_cardiomediastinum",
        "none",
        _enlarged(_CARDIOMEDIASTINUM),
        "cardiomegaly",
        ("Enlarged Cardiomediastinum", "Cardiomegaly"),
    ),
    Finding(
        "wide_mediastinum",
        "none",
        rf"(?:wid(?:e|ened)|widening of(?: the)?|enlarged|prominent|prominence of(?: the)?) {_MEDIASTINUM}"
        rf"|{_MEDIASTINUM} (?:{_IS} )?(?:(?!normal|within|clear)\w+ ){{0,3}}?(?:wide|widened|enlarged|prominent)"
        rf"|mediastinal (?:widening|enlargement|prominence)",
        observations=("Enlarged Cardiomediastinum",),
    ),
    Finding(
        "borderline_heart",
        "none",
        rf"borderline {_HEART}|"
        + _called(
            _HEART,
            r"(?:borderline|(?:(?:upper|top) (?:limits? )?(?:of )?)?normal(?: in size)? to (?:\w+ )?"
            r"(?:enlarged|large))",
        ),
        observations=("Cardiomegaly",),
        verdict=Certainty.UNCERTAIN,
    ),
    Finding("normal_heart", "none", _normal(_HEART), observations=("Cardiomegaly",), verdict=Certainty.ABSENT),
    Finding(
        "normal_cardiomediastinum",
        "none",
        _normal(_CARDIOMEDIASTINUM),
        observations=("Enlarged Cardiomediastinum", "Cardiomegaly"),
        verdict=Certainty.ABSENT,
    ),
    Finding(
        "normal_mediastinum",
        "none",
        _normal(r"(?:superior |upper )?mediastin(?:um|al)"),
        observations=("Enlarged Cardiomediastinum",),
        verdict=Certainty.ABSENT,
    ),
    Finding(
        "nodule",
        "zone",
        r"nodules?|(?<!mediastinal )(?<!hilar )(?<!thyroid )mass(?:es)?(?! effect)"
        r"|nodular (?:opacit(?:y|ies)|densit(?:y|ies)"
        r"|lesions?|shadows?|focus|foci)"
        r"|(?:pulmonary|lung|coin|round(?:ed)?|spiculated|solitary|parenchymal) (?:\w+ )?lesions?"
        r"|(?:round(?:ed)?|circular|ring shaped) (?:opacit(?:y|ies)|densit(?:y|ies)|focus)",
        "nodule",
        ("Lung Lesion",),
    ),
    Finding(
        "tumour",
        "zone",
        r"neoplasms?|malignanc(?:y|ies)|carcinomas?|tumou?rs?|metasta(?:sis|ses|tic disease)|(?:lung|pulmonary) cancer"
        r"|cavitary lesions?",
        observations=("Lung Lesion",),
    ),
    Finding(
        "consolidation",
        "lobe",
        r"consolidations?|consolidative|consolidated|air bronchograms?",
        "consolidation",
        ("Consolidation",),
    ),
    Finding("pneumonia", "lobe", r"(?:broncho)?pneumonias?|pneumonitis|pna", "consolidation", ("Pneumonia",)),
    Finding(
        "infection",
        "lobe",
        r"(?<!granulomatous )(?<!histoplasmosis )(?<!fungal )(?<!tuberculous )(?<!prior )(?<!old )infections?"
        r"|infectious(?:/inflammatory| or inflammatory)? (?:process|infiltrates?|etiology)",
        observations=("Pneumonia",),
    ),
    Finding(
        "airspace_opacity",
        "lobe",
        r"air ?space (?:opacit(?:y|ies)|opacification|disease|shadowing|process)|infiltrates?"
        r"|(?:patchy|dense|focal|confluent|lobar)(?: (?:parenchymal|lung|homogeneous|confluent))? (?:opacit(?:y|ies)"
        r"|opacification)",
        "consolidation",
        ("Lung Opacity",),
    ),
    Finding(
        "opacity",
        "lobe",
        r"opacit(?:y|ies)|opacifications?|opacified|infiltrations?|(?:alveolar|ground glass) \w+"
        r"|(?:interstitial|reticular|reticulonodular) (?:lung )?(?:markings?|patterns?|disease|changes|prominence"
        r"|thickening|abnormality)"
        r"|air ?space abnormality",
        observations=("Lung Opacity",),
    ),
    Finding(
        "interstitial_oedema",
        "none",
        r"(?<!soft tissue )(?<!subcutaneous )(?<!peripheral )(?<!leg )(?<!wall )o?edema|kerley|septal (?:lines?"
        r"|thickening)"
        r"|(?:congestive )?(?:heart|cardiac) failure with",
        "interstitial_oedema",
        ("Edema",),
    ),
    Finding(
        "congestion",
        "none",
        r"(?:congestive )?(?:heart|cardiac) failure|chf|(?:vascular|venous|pulmonary|central|hilar) congestion"
        r"|congestive (?:changes?|failure)|fluid overload|volume overload|cephali[sz]ation"
        r"|vascular (?:prominence|engorgement|redistribution|plethora|indistinctness)"
        r"|prominen(?:ce of the|t) (?:\w+ )?(?:pulmonary )?vascul(?:ature|arity)"
        rf"|(?:pulmonary|central) (?:vascular(?:ity|ture)?|vasculature|vessels|veins) (?:{_IS} )?(?:mildly )?"
        r"(?:engorged|congested|indistinct|prominent)",
        observations=("Edema",),
    ),
    Finding(
        "atelectasis",
        "side",
        r"atelecta(?:sis|ses|tic)|(?:lobar|lobe|segmental|lung|pulmonary|partial) collapse|collapse of the (?:right"
        r"|left)"
        r"|(?:lungs?|lobes?|lingula) (?:(?:has|have|is|are|remains?|appears?|been|now|again|\w+ly) ){0,4}collapsed"
        r"|collapsed (?:(?:right|left) )?(?:(?:upper|middle|lower) )?(?:lungs?|lobes?|lingula)",
        "atelectasis",
        ("Atelectasis",),
    ),
    Finding(
        "pleural_other",
        "side",
        r"pleural(?: parenchymal| based| and parenchymal)? (?:thickening|scarring|scars?|plaques?|calcifications?)"
        r"|pleuroparenchymal (?:thickening|scarring)|fibrothorax|thickening of the(?: \w+)? pleura|calcified pleura\w*"
        r"|(?:bi ?)?apical (?:cap|capping|thickening)|fissural thickening|thickening of the (?:\w+ )?fissures?"
        r"|(?<=effusion or )thickening|(?<=effusions or )thickening|(?<=effusion versus )thickening",
        observations=("Pleural Other",),
    ),
    Finding("fracture", "side", r"(?<!catheter )(?<!lead )fractures?|fractured", observations=("Fracture",)),
    Finding(
        "pacemaker",
        "none",
        r"pacemakers?|pacers?|pacing|a?icd|defibrillators?|(?:cardiac|implant(?:ed|able)) (?:rhythm |conduction "
        r"|electronic |cardiac )*devices?"
        r"|(?:dual|single|biventricular|three) (?:lead|chamber)|pulse generators?",
        "pacemaker",
        ("Support Devices",),
    ),
    Finding(
        "line",
        "none",
        r"(?:central|venous|jugular|subclavian|ij|dialysis|hickman|cv|tunneled|tunnelled)(?: (?:central|venous"
        r"|access|dialysis|vein|double|triple|lumen))*"
        r" (?:lines?|catheters?)|picc|central venous (?:access|device)|port ?a ?cath(?:eter)?"
        r"|mediport|(?:chest|infusion"
        r"|vascular access) port|swan ?ganz"
        rf"|(?:line|catheter)(?=[^,]* {_VEIN})",
        "line",
        ("Support Devices",),
    ),
    Finding(
        "device",
        "none",
        r"tubes?|tubing|tracheostomy|catheters?|shunts?|drains?|pigtail|leads(?! to)|generators?|(?:neuro)?stimulators?"
        r"|(?:support|monitoring|closure|occluder|occlusion|assist|medical|metallic|external) (?:lines?|devices?)"
        r"|(?:support|monitoring) (?:apparatus|equipment)|occluder|balloon pump|lines and tubes"
        r"|ett|ngt|ogt|dob+hoff|iabp|ecmo|lvad|cannulas?|screws?"
        r"|(?:prosthetic|mechanical|artificial|bioprosthetic|aortic|pulmonic|mitral|tricuspid) valve(?! calc)"
        r"|valve (?:replacement|prosthesis)"
        r"|valvular prosthes[ie]s|prosthes[ie]s|prosthetic|hardware|arthroplast(?:y|ies)|(?:bone|suture) anchors?"
        r"|(?:internal|spinal|screw|plate|rod) fixation|fixation (?:plate|screw|hardware|device|rod)s?"
        rf"|tips? (?=[^,]*{_VEIN})",
        observations=("Support Devices",),
    ),
)
"""The catalogue. A new finding is a row."""

BY_NAME = {finding.name: finding for finding in CATALOGUE}
"""The rows by name."""

TWO_IN_ONE = dict.fromkeys(("hydropneumothorax", "hemopneumothorax", "haemopneumothorax"), "pneumothorax")
"""Two findings in one word: the row that matches, and what it says besides."""
