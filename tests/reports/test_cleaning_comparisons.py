"""The many ways in which a report compares, each with what is left of it: one sentence a line, as they are dictated."""

from __future__ import annotations

import pytest

from cxr_lightning.reports.cleaning import clean
from cxr_lightning.reports.residue import residue_of

pytestmark = pytest.mark.quick

KEPT = {
    "The extent of the bilateral effusions is unchanged.": "Bilateral effusions.",
    "The size of the left pneumothorax has increased.": "Left pneumothorax.",
    "Low lung volumes are unchanged.": "Low lung volumes.",
    "Elevated right hemidiaphragm, unchanged.": "Elevated right hemidiaphragm.",
    (
        "AP chest compared to ___ through ___: Severe cardiomegaly and pulmonary vascular congestion "
        "have worsened. No pneumothorax."
    ): ("Severe cardiomegaly and pulmonary vascular congestion. No pneumothorax."),
    (
        "AP chest compared to ___ at 4:56 p.m.: Left lower lobe is still collapsed. Moderate left "
        "pleural effusion is larger."
    ): ("Left lower lobe is collapsed. Moderate left pleural effusion."),
    "PA AND LATERAL CHEST COMPARED TO ___: Lungs fully expanded and clear. No pleural abnormality.": (
        "Lungs fully expanded and clear. No pleural abnormality."
    ),
    "Tip of the endotracheal tube has been advanced, now 3 cm from the carina.": (
        "Tip of the endotracheal tube, 3 cm from the carina."
    ),
    "ET tube has been repositioned and now ends 4 cm above the carina.": "ET tube ends 4 cm above the carina.",
    "Interval intubation with the ET tube tip at the carina.": "ET tube tip at the carina.",
    "Left basal chest tube has been placed with re-expansion of the left lung.": (
        "Left basal chest tube with re-expansion of the left lung."
    ),
    "Possible tiny left apical pneumothorax is unchanged.": "Possible tiny left apical pneumothorax.",
    "There is no persistent pneumothorax.": "There is no pneumothorax.",
    "There is persistent opacification of the left hemithorax.": "There is opacification of the left hemithorax.",
    "Left pleural effusion is smaller, but still moderate in size.": "Left pleural effusion, moderate in size.",
    "Left pleural effusion is smaller than the right.": "Left pleural effusion is smaller than the right.",
    "Right pleural effusion is larger than left.": "Right pleural effusion is larger than left.",
    "Right pleural effusion is larger than on ___ and associated with rightward shift.": (
        "Right pleural effusion, associated with rightward shift."
    ),
    "The mediastinal contour is widened, increased from prior, and dissection cannot be excluded.": (
        "The mediastinal contour is widened and dissection cannot be excluded."
    ),
    "There has been interval improvement of pulmonary edema, which is now mild.": "Pulmonary edema, mild.",
    "There has been little interval change in bilateral pleural effusions and compressive atelectasis.": (
        "Bilateral pleural effusions and compressive atelectasis."
    ),
    "Mild interstitial edema is new since ___.": "Mild interstitial edema.",
    ("Mild interstitial edema, which was not present on the prior radiograph, is accompanied by small effusions."): (
        "Mild interstitial edema is accompanied by small effusions."
    ),
    "The nodule, previously measuring 6 mm, now measures 9 mm.": "The nodule measures 9 mm.",
    "The nodule measures 9 mm (previously 6 mm).": "The nodule measures 9 mm.",
    "A 9 mm nodule (unchanged from ___) is in the left apex.": "A 9 mm nodule is in the left apex.",
    ("Right infrahilar opacity is more conspicuous compared to the prior study and could represent pneumonia."): (
        "Right infrahilar opacity could represent pneumonia."
    ),
    "Right infrahilar opacity is not significantly changed and could represent atelectasis.": (
        "Right infrahilar opacity could represent atelectasis."
    ),
    "Bibasilar atelectasis has improved on the right but worsened on the left.": "Bibasilar atelectasis.",
    "Right lung is clear, left lower lobe atelectasis has improved.": (
        "Right lung is clear. Left lower lobe atelectasis."
    ),
    "Cardiomegaly is stable, no effusion.": "Cardiomegaly. No effusion.",
    "Heart size is increased.": "Heart size is increased.",
    "Increasing right pleural effusion with adjacent atelectasis.": (
        "Right pleural effusion with adjacent atelectasis."
    ),
    "Without change in the small pneumothorax.": "Small pneumothorax.",
    "Left hilar mass has grown.": "Left hilar mass.",
    "Tracheal deviation to the right, unchanged since ___, reflects a goiter.": (
        "Tracheal deviation to the right reflects a goiter."
    ),
    "Unchanged position of the left PICC, ending in the low SVC.": "Left PICC, ending in the low SVC.",
    "Unchanged moderate cardiomegaly without pulmonary edema.": "Moderate cardiomegaly without pulmonary edema.",
    "Newly placed left IJ catheter ends in the left brachiocephalic vein.": (
        "Left IJ catheter ends in the left brachiocephalic vein."
    ),
    "A newly placed nasogastric tube is coiled in the esophagus.": "A nasogastric tube is coiled in the esophagus.",
    "The previously malpositioned nasogastric tube now ends in the stomach.": (
        "The nasogastric tube ends in the stomach."
    ),
    "Dense consolidation in the left lower lobe has not improved since ___.": (
        "Dense consolidation in the left lower lobe."
    ),
    "Right upper lobe pneumonia has improved but not cleared.": "Right upper lobe pneumonia.",
    "Vertebral compression fracture, age indeterminate but new since ___.": (
        "Vertebral compression fracture, age indeterminate."
    ),
    "There is no effusion, unchanged from prior, and the heart is normal.": (
        "There is no effusion and the heart is normal."
    ),
    "No pneumothorax or effusion, similar to prior.": "No pneumothorax or effusion.",
    (
        "Moderate bilateral layering effusions are again demonstrated with associated compressive "
        "atelectasis, similar to prior."
    ): ("Moderate bilateral layering effusions are demonstrated with associated compressive atelectasis."),
    "Compared to ___, no pneumothorax or pleural effusion is seen.": "No pneumothorax or pleural effusion is seen.",
    "The right chest tube has been removed, and a small right apical pneumothorax has developed.": (
        "A small right apical pneumothorax."
    ),
    "A small right apical pneumothorax has developed since chest tube removal.": ("A small right apical pneumothorax."),
    "Retrocardiac opacity, which has increased, obscures the left hemidiaphragm.": (
        "Retrocardiac opacity obscures the left hemidiaphragm."
    ),
    "Left retrocardiac opacification is again seen, likely atelectasis, unchanged.": (
        "Left retrocardiac opacification is seen, likely atelectasis."
    ),
    "Vascular congestion has resolved, but small effusions persist.": "Small effusions.",
    "The effusions persist but the edema has resolved.": "Effusions.",
    "Unchanged are the sternal wires and the left pacemaker.": "The sternal wires and the left pacemaker.",
    ("There has been no significant change in the position of the ET tube, which ends 5 cm above the carina."): (
        "ET tube, which ends 5 cm above the carina."
    ),
    "Consolidation in the right lower lobe is improving, now with only mild residual opacity.": (
        "Consolidation in the right lower lobe with only mild residual opacity."
    ),
    "The previously seen right lower lobe opacity is less conspicuous but persists.": "Right lower lobe opacity.",
    "The mass in the left upper lobe, which was 3.2 cm on ___, is 4.1 cm.": (
        "The mass in the left upper lobe is 4.1 cm."
    ),
    "Pneumomediastinum and subcutaneous emphysema are slightly worse.": (
        "Pneumomediastinum and subcutaneous emphysema."
    ),
    "Lungs are clear, previously seen opacity has resolved.": "Lungs are clear.",
    "A small left effusion remains; the right has resolved.": "A small left effusion.",
    "The left effusion has resolved; the right persists.": "Right effusion.",
    "Left lower lobe opacity is more dense than before.": "Left lower lobe opacity.",
    "The heart is moderately enlarged, larger than on ___.": "The heart is moderately enlarged.",
    "The heart is mildly enlarged, as before.": "The heart is mildly enlarged.",
    "Mild cardiomegaly as seen previously.": "Mild cardiomegaly.",
    "Support and monitoring devices are in standard position, unchanged.": (
        "Support and monitoring devices are in standard position."
    ),
    ("Endotracheal tube, nasogastric tube and right subclavian line, unchanged, are in standard placements."): (
        "Endotracheal tube, nasogastric tube and right subclavian line are in standard placements."
    ),
    "Nasogastric tube passes into the stomach and out of view, as before.": (
        "Nasogastric tube passes into the stomach and out of view."
    ),
    "ET tube in standard placement, left PICC line, previously in the azygos vein, now ends in the SVC.": (
        "ET tube in standard placement, left PICC line ends in the SVC."
    ),
    "Severe emphysema is unchanged, and a 12 mm nodule in the right lower lobe is new.": (
        "Severe emphysema. A 12 mm nodule in the right lower lobe."
    ),
    "Multiple rib fractures, some new since ___, are noted on the left.": (
        "Multiple rib fractures are noted on the left."
    ),
    "Left effusion decreased.": "Left effusion.",
    "Small right effusion, decreased.": "Small right effusion.",
    "Small right effusion decreased, no pneumothorax.": "Small right effusion. No pneumothorax.",
    "Bilateral effusions slightly increased, moderate on the right.": "Bilateral effusions, moderate on the right.",
    "Edema improved, now minimal.": "Edema, minimal.",
    "Worsened left lower lobe collapse.": "Left lower lobe collapse.",
    "Slight interval increase in right pneumothorax, with mediastinal shift.": (
        "Right pneumothorax, with mediastinal shift."
    ),
    "Slight improvement in left basilar atelectasis.": "Left basilar atelectasis.",
    "Interval resolution of right pneumothorax with small residual effusion.": "Small residual effusion.",
    "The right pneumothorax is unchanged at 2 cm.": "Right pneumothorax at 2 cm.",
    "The right pneumothorax is now 2 cm, compared to 3 cm previously.": "The right pneumothorax is 2 cm.",
    "Compression deformities of T8 and T9 are unchanged since at least ___.": ("Compression deformities of T8 and T9."),
    "Prior rib fractures are unchanged.": "Prior rib fractures.",
    "Old healed left rib fractures persist.": "Old healed left rib fractures.",
    "Persistent elevation of the left hemidiaphragm, with no pneumothorax.": (
        "Elevation of the left hemidiaphragm, with no pneumothorax."
    ),
    "Aortic dissection is not excluded, and mediastinal widening has increased.": (
        "Aortic dissection is not excluded. Mediastinal widening."
    ),
    "This opacity has increased and now occupies the whole right lower lobe.": (
        "This opacity occupies the whole right lower lobe."
    ),
    "AP chest compared to ___ through ___ at 2:14 p.m.: Tip of the new right PICC is in the low SVC.": (
        "Tip of the right PICC is in the low SVC."
    ),
    "Bilateral perihilar opacities have increased and are consistent with edema.": (
        "Bilateral perihilar opacities are consistent with edema."
    ),
    "Left effusion, which is new, is small.": "Left effusion is small.",
    "Left lung collapse has worsened since yesterday; the mediastinum is shifted to the left.": (
        "Left lung collapse. The mediastinum is shifted to the left."
    ),
    "Pulmonary edema, previously severe, is now mild.": "Pulmonary edema is mild.",
    "Small bilateral pleural effusions are not significantly changed.": "Small bilateral pleural effusions.",
    "Left chest wall hematoma has not increased.": "Left chest wall hematoma.",
    "No residual pneumothorax after tube removal.": "No residual pneumothorax after tube removal.",
    "Opacity in the left mid lung, not seen on the prior study, could be pneumonia.": (
        "Opacity in the left mid lung could be pneumonia."
    ),
    "Unchanged right pleural effusion without new consolidation or pneumothorax.": "Right pleural effusion.",
    "Stable cardiomegaly, no new effusion, pneumothorax, or consolidation.": "Cardiomegaly.",
    "Lungs are clear, no new opacity.": "Lungs are clear.",
    "Small left pneumothorax is unchanged, no tension.": "Small left pneumothorax. No tension.",
    "There is no pneumothorax, unchanged.": "There is no pneumothorax.",
}


@pytest.mark.parametrize(("text", "wanted"), KEPT.items(), ids=list(KEPT))
def test_what_is_there_is_said_without_the_comparison(text, wanted):
    assert clean(text) == wanted


@pytest.mark.parametrize("text", KEPT)
def test_the_detector_agrees_that_no_comparison_is_left(text):
    assert "priors" not in residue_of(clean(text))
