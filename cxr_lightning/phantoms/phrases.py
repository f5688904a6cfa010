"""The words a phantom's radiologist has at hand: plain tables of phrases, kept few enough for a tiny language model.

`{side}`, `{place}`, `{size}`, `{cm}` and `{kind}` are filled from the finding. Every statement names its place, so the
truth can be read from any one of them. `wording` chooses and joins.
"""

from __future__ import annotations

STATEMENTS: dict[str, tuple[str, ...]] = {
    "pleural_effusion": (
        "There is a {size} {side} pleural effusion.",
        "{Size} {side}-sided pleural effusion is present.",
        "A {size} pleural effusion is seen on the {side}.",
        "There is {blunting} of the {side} costophrenic angle, consistent with a {size} {side} pleural effusion.",
        "{Size} {side} pleural effusion is noted.",
    ),
    "pneumothorax": (
        "There is a {size} {side} {apical}pneumothorax.",
        "A {size} {side}-sided pneumothorax is seen.",
        "{Size} {side} {apical}pneumothorax with a visible pleural line.",
        "A pleural line is visible on the {side}, consistent with a {size} {side} pneumothorax.",
    ),
    "cardiomegaly": (
        "The heart is {grade} enlarged.",
        "There is {size} cardiomegaly.",
        "The cardiac silhouette is {grade} enlarged.",
        "{Size} enlargement of the cardiac silhouette is present.",
    ),
    "nodule": (
        "There is a {cm} cm {kind} in the {place} zone.",
        "A {cm} cm {kind} projects over the {place} zone.",
        "A rounded {kind} measuring {cm} cm is seen in the {place} zone.",
        "In the {place} zone there is a well defined {kind} of {cm} cm.",
    ),
    "consolidation": (
        "There is {place} lobe consolidation.",
        "Consolidation is seen in the {place} lobe with air bronchograms.",
        "Airspace opacity in the {place} lobe is compatible with pneumonia.",
        "There is a dense consolidation in the {place} lobe.",
        "Patchy {place} lobe consolidation is likely pneumonia.",
    ),
    "interstitial_oedema": (
        "There is {size} interstitial pulmonary edema.",
        "{Size} interstitial edema with Kerley lines is present.",
        "Perihilar haze and septal lines are consistent with {size} interstitial edema.",
        "There is {size} interstitial pulmonary oedema.",
    ),
    "atelectasis": (
        "There is linear atelectasis at the {side} base.",
        "{Side} basilar atelectasis with elevation of the hemidiaphragm.",
        "Bands of atelectasis are seen at the {side} lung base.",
        "Linear opacities at the {side} base are probably atelectasis.",
    ),
    "pacemaker": (
        "A {kind} pacemaker is in place.",
        "There is a {kind} pacemaker with {leads}.",
        "{Kind} cardiac pacemaker is noted.",
        "A {kind} pacemaker is present in the chest wall.",
    ),
    "line": (
        "A {kind} central line ends in the superior vena cava.",
        "{Kind} central venous catheter with tip in the SVC.",
        "There is a {kind} central line with its tip in the SVC.",
        "A {kind} central venous line is in place.",
    ),
}
"""Sentences of FINDINGS."""

CONCLUSIONS: dict[str, tuple[str, ...]] = {
    "pleural_effusion": ("{Size} {side} pleural effusion.", "{Side} pleural effusion."),
    "pneumothorax": ("{Size} {side} pneumothorax.", "{Side} pneumothorax."),
    "cardiomegaly": ("{Size} cardiomegaly.", "Cardiomegaly."),
    "nodule": ("{Cm} cm {kind} in the {place} zone.", "{Place} zone {kind}."),
    "consolidation": ("{Place} lobe pneumonia.", "{Place} lobe consolidation."),
    "interstitial_oedema": ("{Size} interstitial edema.", "Interstitial pulmonary edema."),
    "atelectasis": ("{Side} basilar atelectasis.", "Atelectasis at the {side} base."),
    "pacemaker": ("Pacemaker in place.",),
    "line": ("Central line in place.", "{Kind} central line."),
}
"""Sentences of IMPRESSION."""

DENIALS: dict[str, tuple[str, ...]] = {
    "pleural_effusion": ("pleural effusion",),
    "pneumothorax": ("pneumothorax",),
    "consolidation": ("consolidation", "focal consolidation"),
    "interstitial_oedema": ("pulmonary edema", "edema"),
    "nodule": ("suspicious nodule", "nodule or mass"),
}
"""What an absent finding is called where it is denied."""

HEART_NORMAL = (
    "The heart size is normal.",
    "Heart size is within normal limits.",
    "The cardiac silhouette is normal in size.",
    "The cardiomediastinal silhouette is normal.",
    "No cardiomegaly.",
)
LUNGS_CLEAR = (
    "The lungs are clear.",
    "Both lungs are clear.",
    "Lungs are well expanded and clear.",
    "The lungs are clear bilaterally.",
)
SIDE_CLEAR = ("The {side} lung is clear.", "The {side} lung is well expanded and clear.")
SIDE_DRY = ("There is no {side} pleural effusion.", "No pleural effusion on the {side}.")
BYSTANDERS = (
    "The bony structures are intact.",
    "No acute bony abnormality.",
    "The mediastinal contours are normal.",
    "The hilar contours are normal.",
    "The trachea is midline.",
    "Soft tissues are normal.",
)
OLD_AGE = (
    "Mild degenerative changes of the spine.",
    "The aorta is tortuous.",
    "The thoracic aorta is unfolded.",
)
PRIORS = (
    "Compared to the prior study of ___, there is no significant change.",
    "In comparison with the study of ___, the appearance is unchanged.",
    "Since the prior radiograph, there is little interval change.",
    "Findings are unchanged from prior.",
)
PRIORS_BY_NAME = {
    "pleural_effusion": "The effusion is unchanged from prior.",
    "pneumothorax": "The pneumothorax is unchanged compared to ___.",
    "cardiomegaly": "The heart size is unchanged from the prior study.",
    "consolidation": "The consolidation is new since the prior study.",
    "nodule": "The {kind} was also seen on the prior study of ___.",
    "pacemaker": "The leads are unchanged in position from prior.",
    "line": "The catheter is new since the prior radiograph.",
}
NORMAL_CONCLUSIONS = (
    "No acute cardiopulmonary process.",
    "No acute cardiopulmonary abnormality.",
    "Normal chest radiograph.",
    "No evidence of acute disease.",
    "No acute intrathoracic process.",
)
INDICATIONS = (
    "cough and fever",
    "shortness of breath",
    "chest pain",
    "XXXX-year-old with cough",
    "___ year old {person} with dyspnea",
    "___ year old {person} with chest pain",
    "evaluate for pneumonia",
    "preoperative study",
    "weight loss",
    "follow up",
    "XXXX",
)
TECHNIQUES = ("PA and lateral views of the chest.", "Frontal and lateral views of the chest.")
TECHNIQUES_FRONTAL = ("Single frontal view of the chest.", "PA view of the chest.")
TECHNIQUES_PORTABLE = ("Portable AP view of the chest.", "Single AP portable view.")
COMPARISONS = ("None.", "None available.", "___.", "Radiograph of ___.", "XXXX, XXXX.")

HEADINGS = {
    "indication": ("INDICATION", "INDICATION", "HISTORY", "REASON FOR EXAM", "CLINICAL HISTORY"),
    "technique": ("TECHNIQUE", "TECHNIQUE", "EXAMINATION"),
    "comparison": ("COMPARISON",),
    "findings": ("FINDINGS",),
    "impression": ("IMPRESSION", "IMPRESSION", "IMPRESSION", "CONCLUSION"),
}
