"""What was done and what moved: devices, operations, exceptions; what is there now is said, and what is gone is not."""

from __future__ import annotations

import pytest

from cxr_lightning.findings.certainty import Certainty
from cxr_lightning.findings.observations import observe
from cxr_lightning.reports.cleaning import clean
from cxr_lightning.reports.residue import residue_of
from cxr_lightning.reports.summarize import summarize
from cxr_lightning.study import Report

pytestmark = pytest.mark.quick

KEPT = {
    "The NG tube has been advanced into the stomach.": "NG tube into the stomach.",
    "Interval extubation with worsening bibasilar atelectasis.": "Bibasilar atelectasis.",
    "Interval removal of the Swan-Ganz catheter, with the right IJ sheath remaining in place.": (
        "The right IJ sheath remaining in place."
    ),
    "The left chest tube has been removed with a new small left apical pneumothorax.": (
        "A small left apical pneumothorax."
    ),
    "Following removal of the right pigtail catheter, there is a small recurrent right pneumothorax.": (
        "There is a small right pneumothorax."
    ),
    "After thoracentesis, the right pleural effusion has decreased, and there is no pneumothorax.": (
        "Right pleural effusion. There is no pneumothorax."
    ),
    "Improved but persistent right lower lobe pneumonia.": "Right lower lobe pneumonia.",
    "Previously seen pulmonary edema has improved, though mild interstitial edema remains.": (
        "Pulmonary edema. Mild interstitial edema."
    ),
    "Edema is unchanged except for increased opacity in the right lower lobe.": (
        "Edema. Increased opacity in the right lower lobe."
    ),
    "Right upper lobe mass is slightly smaller, measuring 3.2 cm compared with 4.1 cm previously.": (
        "Right upper lobe mass, measuring 3.2 cm."
    ),
    "Sternotomy wires are intact and unchanged in alignment.": "Sternotomy wires are intact.",
    "Bilateral airspace opacities have progressed compared to yesterday, compatible with ARDS.": (
        "Bilateral airspace opacities, compatible with ARDS."
    ),
    "No relevant change as compared to the previous examination, no pneumothorax.": "No pneumothorax.",
    "Right PICC has migrated and now ends in the left brachiocephalic vein.": (
        "Right PICC ends in the left brachiocephalic vein."
    ),
    "UVC has been pulled back, now with tip at T9.": "UVC with tip at T9.",
    "There is decreased but persistent right upper lobe atelectasis.": "There is right upper lobe atelectasis.",
    "Left basilar opacity is less dense and may represent atelectasis.": (
        "Left basilar opacity may represent atelectasis."
    ),
    "The feeding tube has been withdrawn and is now coiled in the esophagus.": "Feeding tube coiled in the esophagus.",
    "Left subclavian line has been withdrawn to the mid SVC.": "Left subclavian line to the mid SVC.",
    "Tracheostomy tube has been placed since the prior study, in standard position.": (
        "Tracheostomy tube in standard position."
    ),
    "Right pleural effusion has decreased to small.": "Right pleural effusion, small.",
    "Nodule in the left upper lobe has grown to 14 mm from 9 mm.": "Nodule in the left upper lobe, 14 mm.",
    "Unchanged chest aside from a new right pleural effusion.": "A right pleural effusion.",
    "No significant change except for a new left lower lobe consolidation.": "A left lower lobe consolidation.",
    "Although pulmonary edema has improved, a moderate right effusion persists.": "A moderate right effusion.",
    "Despite diuresis, pulmonary edema persists.": "Pulmonary edema.",
    "Small apical pneumothorax is probably unchanged, though difficult to see.": "Small apical pneumothorax.",
    "Radiation fibrosis has evolved, with increased volume loss in the left upper lobe.": (
        "Radiation fibrosis with increased volume loss in the left upper lobe."
    ),
    "Right middle lobe atelectasis has recurred and is now complete.": "Right middle lobe atelectasis, complete.",
    "ET tube is now in the right main stem bronchus and has been advanced since ___.": (
        "ET tube is in the right main stem bronchus."
    ),
    (
        "The endotracheal tube, which was in the right main bronchus on ___, has been withdrawn and is now 3 "
        "cm above the carina."
    ): ("The endotracheal tube, 3 cm above the carina."),
    "Nasogastric tube has been replaced and passes below the diaphragm, out of view.": (
        "Nasogastric tube passes below the diaphragm, out of view."
    ),
    "The right basal pneumothorax component has enlarged following clamping of the chest tube.": (
        "Right basal pneumothorax component following clamping of the chest tube."
    ),
    "Bibasilar atelectasis has slightly worsened, and a superimposed pneumonia cannot be excluded.": (
        "Bibasilar atelectasis. A superimposed pneumonia cannot be excluded."
    ),
    "New since ___ is a 12 mm spiculated nodule in the right apex.": "A 12 mm spiculated nodule in the right apex.",
    "A 12 mm nodule in the right apex was not present in ___ and is concerning for malignancy.": (
        "A 12 mm nodule in the right apex is concerning for malignancy."
    ),
    "Cavitary lesion in the right upper lobe has decreased in wall thickness.": (
        "Cavitary lesion in the right upper lobe."
    ),
    "Right hilar mass has enlarged and now encases the bronchus intermedius.": (
        "Right hilar mass encases the bronchus intermedius."
    ),
    "Asbestos-related pleural plaques, unchanged over multiple prior studies.": "Asbestos-related pleural plaques.",
    "Given differences in positioning, the effusions are likely similar.": "Effusions.",
    "Allowing for differences in technique, there has been no change in the left apical pneumothorax.": (
        "Left apical pneumothorax."
    ),
    "Accounting for rotation, the mediastinum is unchanged and the right lung is clear.": "The right lung is clear.",
    "Lungs are better aerated, with persistent patchy left basilar opacity.": "Patchy left basilar opacity.",
    "Steeple sign is not seen, and the perihilar markings have decreased.": "Steeple sign is not seen.",
    "Displaced left rib fractures 4-8, unchanged from outside film.": "Displaced left rib fractures 4-8.",
    ("Improving but incompletely resolved right upper lobe pneumonia with new small parapneumonic effusion."): (
        "Right upper lobe pneumonia with small parapneumonic effusion."
    ),
    "The right upper lobe pneumonia is not completely resolved.": "Right upper lobe pneumonia.",
    "Left chest tube has been removed with no recurrent pneumothorax.": "No pneumothorax.",
    "ET tube has been advanced, but remains high, 8 cm above the carina.": (
        "ET tube remains high, 8 cm above the carina."
    ),
    "The left-sided effusion has decreased and only a trace remains.": "Left-sided effusion.",
    "The NG tube has been withdrawn into the esophagus and should be advanced.": (
        "NG tube into the esophagus and should be advanced."
    ),
    "Right chest tube was removed on ___; the small pneumothorax is stable.": "Small pneumothorax.",
    "The mass is unchanged from the CT of ___ and measures 3 cm.": "The mass measures 3 cm.",
    "Multiple nodules, some of which are new, are suspicious for metastases.": (
        "Multiple nodules are suspicious for metastases."
    ),
    "Following CABG, the mediastinum is widened and larger than before.": "Following CABG, the mediastinum is widened.",
    "While the pneumothorax has decreased, tension physiology remains.": "Tension physiology.",
    "The endotracheal tube is too low and has been withdrawn.": "The endotracheal tube is too low.",
    "Unchanged except for ET tube in right main bronchus.": "ET tube in right main bronchus.",
    "Hemidiaphragm is elevated, more so than before.": "Hemidiaphragm is elevated.",
    "Heart is enlarged and pulmonary edema has worsened.": "Heart is enlarged. Pulmonary edema.",
    "There is no pneumothorax and edema has improved.": "There is no pneumothorax. Edema.",
    "The line has been removed and replaced by a left PICC ending in the SVC.": "A left PICC ending in the SVC.",
    "Small left pneumothorax is no larger following removal of the chest tube.": "Small left pneumothorax.",
    "Nodule previously measuring 8 mm is now 12 mm.": "Nodule is 12 mm.",
    "Edema has returned.": "Edema.",
    "There is no pneumothorax, though a small effusion persists.": "There is no pneumothorax. A small effusion.",
    "There is a XXXX opacity in the left lingula.": "There is opacity in the left lingula.",
}
GONE = (
    "Upper abdominal midline surgical sutures are likewise stable.",
    "The pneumothorax on the right has been evacuated after chest tube placement.",
    "Tracheostomy has replaced the endotracheal tube.",
    "Heart size has returned to normal.",
    "No change aside from no longer seeing the effusion.",
    "Status post extubation with slightly lower lung volumes.",
    "Interval near-complete resolution of the left-sided pneumothorax with minimal residual apical component.",
    "Chest is unchanged except for removal of the right chest tube.",
    "Although the left effusion is smaller, the right has increased.",
    "Pneumothorax is smaller, if present at all.",
    "Lung metastases have responded to treatment and are smaller.",
    "Left lower lobe collapse has re-expanded.",
    "The tip of the NG tube has been advanced but its side port remains above the GE junction.",
    "Hilar lymphadenopathy has regressed.",
    "Traumatic pneumatocele in the left lower lobe has evolved into a hematoma.",
    "The lungs are better inflated and clear.",
    "Pneumonia has improved and completely resolved.",
    "Interval removal of the chest tube with the pneumothorax no longer seen.",
    "The right chest tube has been removed with resolution of the pneumothorax.",
    "Nodules are unchanged, except for resolution of the right apical nodule.",
    "Stable chest other than interval extubation.",
    "The effusion is probably smaller but the pneumothorax is not.",
    "The effusion has decreased, the pneumothorax has not.",
    "Right lung is clear, having been opacified on ___.",
    "The cardiac silhouette is stable, although this may be exaggerated by low lung volumes.",
    "Edema has progressed to ARDS.",
    "Pneumothorax decreased to trace, if present.",
    "After drainage the effusion is smaller.",
    "Whereas the right effusion has cleared, the left is larger.",
    "Although the tube has been withdrawn, it remains in the right main bronchus.",
    "Stable lines and tubes except for NG tube removal.",
)


@pytest.mark.parametrize(("text", "wanted"), KEPT.items(), ids=list(KEPT))
def test_what_is_there_now_is_said(text, wanted):
    assert clean(text) == wanted


@pytest.mark.parametrize("text", GONE)
def test_what_went_or_is_told_of_no_more_goes(text):
    assert clean(text) == ""


@pytest.mark.parametrize("text", KEPT)
def test_no_comparison_is_left(text):
    assert "priors" not in residue_of(clean(text))


def test_a_finding_of_another_day_that_is_not_seen_is_denied():
    findings = "The pneumothorax which was present on ___ is not seen. Small left effusion, accompanied by new edema."
    said = summarize(Report(findings=findings, impression="No pneumothorax. Improved but persistent edema."))
    assert said == "The pneumothorax is not seen. Small left effusion, accompanied by edema."
    assert observe(said).readings["Pneumothorax"].certainty is Certainty.ABSENT


def test_how_opacities_are_is_no_change():
    text = "Opacities are increased bilaterally, likely edema, however infection can not be excluded."
    assert clean(text) == text
