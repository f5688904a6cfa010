"""What persists, grew or shrank is said to be there, without the picture it is compared with; what is gone is not."""

from __future__ import annotations

import pytest

from cxr_lightning.reports.cleaning import clean
from cxr_lightning.reports.residue import residue_of

pytestmark = pytest.mark.quick

KEPT = {
    "Right effusion has resolved, left effusion persists.": "Left effusion.",
    "The lungs are clear, unchanged, without effusion.": "The lungs are clear without effusion.",
    "AP chest compared to ___: ET tube tip is 8 cm above the carina. No pneumothorax.": (
        "ET tube tip is 8 cm above the carina. No pneumothorax."
    ),
    (
        "PA and lateral chest compared to ___ and ___: Moderate right pleural effusion and left lower "
        "lobe collapse. Heart normal."
    ): ("Moderate right pleural effusion and left lower lobe collapse. Heart normal."),
    "AP chest reviewed in the absence of prior chest radiographs: Severe pulmonary edema.": ("Severe pulmonary edema."),
    (
        "AP chest compared to ___, 5:12 a.m.: Large right tension pneumothorax. Heart size is normal. "
        "The lungs are clear."
    ): ("Large right tension pneumothorax. Heart size is normal. The lungs are clear."),
    "A new left retrocardiac opacity, not present on ___, is worrisome for pneumonia.": (
        "A left retrocardiac opacity is worrisome for pneumonia."
    ),
    "A nodule, not visible on ___, measures 8 mm.": "A nodule measures 8 mm.",
    "The left pneumothorax, which was large on ___, is now small.": "The left pneumothorax is small.",
    "The left effusion, larger than on ___, is now moderate.": "The left effusion is moderate.",
    "The right effusion persists.": "Right effusion.",
    "There persists a moderate left effusion.": "A moderate left effusion.",
    "Pulmonary edema has worsened, now moderate to severe.": "Pulmonary edema, moderate to severe.",
    "Improvement in pulmonary edema, now mild": "Pulmonary edema, mild.",
    "The ET tube terminates 2.1 cm above the carina, previously 5 cm.": (
        "The ET tube terminates 2.1 cm above the carina."
    ),
    "Right PICC line tip now in the right atrium, previously in the SVC.": ("Right PICC line tip in the right atrium."),
    "Compared to ___, the right pneumothorax has decreased in size and now measures 1.5 cm at the apex.": (
        "The right pneumothorax measures 1.5 cm at the apex."
    ),
    "The pre-existing right pneumothorax has increased, there now is evidence of tension.": (
        "Right pneumothorax. There is evidence of tension."
    ),
    "Widened mediastinum, stable since ___, raises concern for dissection.": (
        "Widened mediastinum raises concern for dissection."
    ),
    "There is no change in the moderate right pneumothorax.": "Moderate right pneumothorax.",
    "The left pneumothorax has not resolved.": "Left pneumothorax.",
    "Dobbhoff tube has been withdrawn and now ends in the right main bronchus.": (
        "Dobbhoff tube ends in the right main bronchus."
    ),
    "Unchanged left lower lobe opacity, no new opacity.": "Left lower lobe opacity.",
    "The right effusion is new; the left is unchanged.": "Right effusion. Left effusion.",
    "Right apical pneumothorax, stable since the prior exam, measures 2 cm.": (
        "Right apical pneumothorax measures 2 cm."
    ),
    "Worsening of the bibasilar atelectasis, left worse than right.": ("Bibasilar atelectasis, left worse than right."),
    "Newly appeared is an opacity in the left lower lobe.": "An opacity in the left lower lobe.",
    "Lines and tubes unchanged, lungs clear.": "Lines and tubes. Lungs clear.",
    "ETT is 3.5 cm above the carina, RIJ in SVC, all unchanged.": "ETT is 3.5 cm above the carina, RIJ in SVC.",
    "ET tube tip is ___ cm above the carina, NG tube in the stomach.": (
        "ET tube tip is above the carina, NG tube in the stomach."
    ),
    "There is a ___ mm nodule in the right upper lobe.": "There is a nodule in the right upper lobe.",
    "The lungs are hyperinflated, similar to prior, without focal consolidation.": (
        "The lungs are hyperinflated without focal consolidation."
    ),
    (
        "As compared to the previous radiograph, after placement of a chest tube on the right, no "
        "significant change in right pneumothorax; chest tube unchanged."
    ): ("Right pneumothorax. Chest tube."),
    "Increased right effusion.": "Right effusion.",
    "Large right effusion, up from moderate.": "Large right effusion.",
    "Pre-existing left basal opacity.": "Left basal opacity.",
    "Continued opacification at the left base.": "Opacification at the left base.",
    "The patient has received a left-sided PICC line": "A left-sided PICC line.",
    "Right pneumothorax which was not present before is moderate.": "Right pneumothorax is moderate.",
    "Growing left nodule.": "Left nodule.",
    "Pneumothorax has recurred.": "Pneumothorax.",
    "There is little overall change in the diffuse bilateral opacifications.": "Diffuse bilateral opacifications.",
    "Bibasilar opacities persist.": "Bibasilar opacities.",
    "A moderate right pneumothorax persists with the chest tube in place.": (
        "A moderate right pneumothorax with the chest tube in place."
    ),
    "Small right pneumothorax, unchanged, with chest tube in place.": (
        "Small right pneumothorax with chest tube in place."
    ),
    "6 mm right upper lobe nodule, previously 4 mm.": "6 mm right upper lobe nodule.",
    "Bilateral effusions, right greater than left, have decreased.": ("Bilateral effusions, right greater than left."),
    "Left PICC, unchanged in position, ends in the mid SVC.": "Left PICC ends in the mid SVC.",
    "The right effusion has increased and the left is unchanged.": "Right effusion. Left effusion.",
    "Left lower lobe nodule measures ___ mm.": "Left lower lobe nodule.",
    "There is a nodule, measuring ___ x ___ cm, in the lingula.": "There is a nodule in the lingula.",
    (
        "In comparison with the study of ___, there is little change in the diffuse bilateral pulmonary opacifications."
    ): ("Diffuse bilateral pulmonary opacifications."),
    (
        "In comparison with study of ___, there has been placement of a right chest tube with decrease "
        "in the pneumothorax."
    ): ("Right chest tube with pneumothorax."),
    ("As compared to the previous radiograph, the extent of the left pleural effusion has minimally increased."): (
        "Left pleural effusion."
    ),
    "The pre-existing right pleural effusion has substantially decreased in extent.": "Right pleural effusion.",
    "The lung volumes remain low, moderate cardiomegaly persists.": ("Lung volumes remain low, moderate cardiomegaly."),
    "Moderate cardiomegaly and mild pulmonary edema persist.": "Moderate cardiomegaly and mild pulmonary edema.",
    "Right-sided chest tube remains in place, with a persistent small apical pneumothorax.": (
        "Right-sided chest tube remains in place, with a small apical pneumothorax."
    ),
    "Interval removal of left chest tube with no pneumothorax.": "No pneumothorax.",
    "Since ___, bibasilar consolidation has progressed, concerning for aspiration.": (
        "Bibasilar consolidation, concerning for aspiration."
    ),
    (
        "Since the prior study, there has been interval increase in size of left pleural effusion, now "
        "moderate to large."
    ): ("Left pleural effusion, moderate to large."),
    ("Compared with the prior radiograph, there is a new right lower lobe opacity, which may represent pneumonia."): (
        "There is a right lower lobe opacity, which may represent pneumonia."
    ),
    "Previously noted right pneumothorax is again seen and measures 2 cm.": (
        "Right pneumothorax is seen and measures 2 cm."
    ),
    "The cardiac silhouette is enlarged but stable.": "The cardiac silhouette is enlarged.",
    "Cardiac silhouette remains enlarged, unchanged from prior.": "Cardiac silhouette remains enlarged.",
    "Mild pulmonary vascular congestion has slightly improved, but not resolved.": (
        "Mild pulmonary vascular congestion."
    ),
    "Small left pleural effusion has decreased since yesterday, without pneumothorax.": (
        "Small left pleural effusion without pneumothorax."
    ),
    "Right subclavian line has been withdrawn, and now terminates in the mid SVC.": (
        "Right subclavian line terminates in the mid SVC."
    ),
    "Multifocal opacities appear worse than on ___, particularly in the right upper lobe.": (
        "Multifocal opacities, particularly in the right upper lobe."
    ),
    "Multifocal opacities are worse in the right lung.": "Multifocal opacities are worse in the right lung.",
    "Right upper lobe consolidation is again noted, not significantly changed.": (
        "Right upper lobe consolidation is noted."
    ),
    "The degree of pulmonary edema has increased from mild to moderate.": "Pulmonary edema, moderate.",
    "Pulmonary edema has progressed from mild to moderate.": "Pulmonary edema, moderate.",
    "Effusions are slightly larger, right greater than left.": "Effusions, right greater than left.",
    "Pneumomediastinum is no larger than on ___.": "Pneumomediastinum.",
    "Heart size is top normal, unchanged.": "Heart size is top normal.",
    "Hilar contours are unchanged, but there is now a vague opacity in the lingula.": (
        "There is a vague opacity in the lingula."
    ),
    "There is no new consolidation; the small right effusion is stable.": "Small right effusion.",
    "Tracheostomy tube is unchanged in position, with its tip 4 cm above the carina.": (
        "Tracheostomy tube with its tip 4 cm above the carina."
    ),
    "Tip of the endotracheal tube, unchanged, is 5 cm above the carina.": (
        "Tip of the endotracheal tube is 5 cm above the carina."
    ),
    "Status post removal of the right chest tube with a tiny residual apical pneumothorax.": (
        "Status post removal of the right chest tube with a tiny residual apical pneumothorax."
    ),
    ("The right apical pneumothorax has slightly increased in size, now measuring 2.3 cm, previously 1.5 cm."): (
        "Right apical pneumothorax, measuring 2.3 cm."
    ),
    "Mediastinal widening, new since ___, is worrisome for hematoma.": (
        "Mediastinal widening is worrisome for hematoma."
    ),
    "Free air under the right hemidiaphragm persists, consistent with recent surgery.": (
        "Free air under the right hemidiaphragm, consistent with recent surgery."
    ),
    "Left lower lobe collapse, which has worsened since ___, is now complete.": (
        "Left lower lobe collapse is complete."
    ),
    ("Worsening consolidation in the right lower lobe may represent pneumonia, with an unchanged small effusion."): (
        "Consolidation in the right lower lobe may represent pneumonia, with small effusion."
    ),
    "The enlarged heart, tortuous aorta, and calcified hilar nodes are unchanged.": (
        "Enlarged heart, tortuous aorta, and calcified hilar nodes."
    ),
    "There continues to be a large left hydropneumothorax.": "A large left hydropneumothorax.",
    "Continued low lung volumes with bibasilar atelectasis, unchanged.": (
        "Low lung volumes with bibasilar atelectasis."
    ),
    "The large right pleural effusion has not changed.": "Large right pleural effusion.",
    "No interval change in the large hiatal hernia.": "Large hiatal hernia.",
    "Left lung remains well aerated.": "Left lung remains well aerated.",
    "New right IJ catheter terminates in the right atrium; no pneumothorax.": (
        "Right IJ catheter terminates in the right atrium. No pneumothorax."
    ),
}
GONE = (
    "There is no evidence of pneumothorax, new since ___.",
    "No pneumothorax, which was seen on ___, remains.",
    "No evidence of newly appeared focal parenchymal opacities suggesting pneumonia.",
    "The patient has taken a somewhat better inspiration.",
    "Heart is larger than before.",
    "No nodule larger than ___ mm.",
    "The tube should be withdrawn by ___ cm.",
    "In comparison with the study of ___, the nasogastric tube has been removed.",
    "As compared to the previous radiograph, the patient has been extubated.",
    "The pre-existing parenchymal opacities have almost completely resolved.",
    "Previously seen left upper lobe nodule is not well visualized on the current study.",
    "Previously noted right pneumothorax is no longer seen.",
    "Swan-Ganz catheter has been removed.",
    "A left pigtail catheter has been placed with near-complete resolution of the effusion.",
    "Opacities at the left lung base have cleared.",
    "The previously described left retrocardiac opacity has nearly cleared.",
    "No new focal consolidation, pleural effusion or pneumothorax.",
    "Otherwise, no significant interval change.",
    "Neither effusion has increased.",
    "No pneumothorax persists.",
    "There has been interval resolution of pulmonary edema.",
    "Pulmonary vascularity is increased since ___.",
    "No increase in the left pneumothorax.",
    "The lungs are otherwise unchanged.",
    "Unchanged appearance of the cardiac silhouette.",
    "Right upper lobe pneumonia has improved and nearly resolved.",
    "No pleural effusion, new from ___, is seen.",
    "Since the previous tracing of ___, the right IJ line has been removed.",
    "Right lower lobe opacity, previously seen, has resolved.",
    "The right pneumothorax, previously large, has resolved.",
    "Improved aeration at the left base.",
    "Complete resolution of the right pneumothorax.",
    "Pneumothorax has not recurred.",
    "Effusion has not reaccumulated.",
    "Opacity in the left mid lung is not seen on the prior study.",
    "The pneumothorax, which was present on ___, is no longer visible.",
    "Prior right pneumothorax has resolved.",
    "The left pleural effusion is no longer visible.",
)


@pytest.mark.parametrize(("text", "wanted"), KEPT.items(), ids=list(KEPT))
def test_what_is_there_is_said_without_the_comparison(text, wanted):
    assert clean(text) == wanted


@pytest.mark.parametrize("text", GONE)
def test_what_is_gone_or_says_nothing_of_this_picture_goes(text):
    assert clean(text) == ""


@pytest.mark.parametrize("text", KEPT)
def test_the_detector_agrees_that_no_comparison_is_left(text):
    assert "priors" not in residue_of(clean(text))
