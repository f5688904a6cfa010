"""What was telephoned is kept, that it was telephoned is not; and nobody's name is left."""

from __future__ import annotations

import pytest

from cxr_lightning.reports.cleaning import clean

pytestmark = pytest.mark.quick

KEPT = {
    "Large left pneumothorax, discussed with Dr. ___ at 5 PM.": "Large left pneumothorax.",
    "Large left pneumothorax was discussed with Dr. Smith by phone.": "Large left pneumothorax.",
    "Large pneumothorax (discussed with Dr. ___) with mediastinal shift.": "Large pneumothorax with mediastinal shift.",
    "Dr. ___ was paged about the large left tension pneumothorax.": "Large left tension pneumothorax.",
    "Dr. ___ was informed of the right pneumothorax at 5:30 pm by telephone.": "Right pneumothorax.",
    "Dr. ___ was notified that there is a large effusion.": "There is a large effusion.",
    "Findings communicated to the team: malpositioned nasogastric tube in the right main bronchus.": (
        "Malpositioned nasogastric tube in the right main bronchus."
    ),
    "Telephoned to Dr. Smith at 5 pm: right pneumothorax, discussed with Dr. Lee.": "Right pneumothorax.",
    "No evidence of pneumothorax as discussed with Dr. ___.": "No evidence of pneumothorax.",
    "Free air under the diaphragm, Dr. ___ was paged.": "Free air under the diaphragm.",
    "Findings of a large effusion were discussed with Dr. ___.": "Large effusion.",
    "I discussed the large left pneumothorax with Dr. ___ at 5 pm.": "Large left pneumothorax.",
    "Right mainstem intubation, telephoned to Dr. ___ at 4:12 am.": "Right mainstem intubation.",
    "Malpositioned Dobbhoff tube, discussed with Dr. ___.": "Malpositioned Dobbhoff tube.",
}
GONE = (
    "Findings were discussed with Dr. ___ by phone at ___.",
    "Findings discussed with: John Smith with effusion.",
    "The need for imaging to exclude pneumothorax was discussed with Dr. ___.",
    "Dr. ___ was informed of the findings.",
    "John Smith with effusion was informed by telephone.",
    "Right effusion, discussed with Dr. ___, is not seen.",
    "Pneumothorax, which Dr. Smith suspected, is not seen.",
    "Pneumothorax per Dr. ___ is absent.",
    "Dr. ___ was paged about a pneumothorax, who saw none and no effusion.",
    "Dr. ___ was informed of the resolved pneumothorax.",
    "Dr. ___ was notified of the removal of the chest tube.",
    "Dr. ___ was paged to ask about a history of lung cancer.",
    "Dr. ___ was called to ask about the pneumothorax.",
    "The wet read of left pneumothorax was discussed with Dr. ___.",
    "The preliminary read of left effusion was discussed with Dr. ___.",
)


@pytest.mark.parametrize(("text", "wanted"), KEPT.items(), ids=list(KEPT))
def test_the_finding_that_was_told_stays(text, wanted):
    assert clean(text) == wanted


@pytest.mark.parametrize("text", GONE)
def test_what_names_no_finding_or_takes_it_back_goes(text):
    assert clean(text) == ""
