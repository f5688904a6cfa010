"""What cleaning takes out of a report is on the film all the same: nothing denies it or calls it normal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cxr_lightning.reports.conversations import Said, ask_all
from cxr_lightning.reports.conversations.details import stated_details
from cxr_lightning.reports.conversations.frequencies import OPENI
from cxr_lightning.reports.conversations.lay import explain
from cxr_lightning.reports.conversations.reading import read
from cxr_lightning.reports.conversations.regions import regions
from cxr_lightning.reports.conversations.sound import is_known_normal
from cxr_lightning.reports.conversations.topics import TOPICS
from cxr_lightning.shards.preparation import said_of
from cxr_lightning.study import Report, Study

pytestmark = pytest.mark.quick

HEALTHY = "Heart size is normal. The lungs are clear. There is no pleural effusion. No acute cardiopulmonary process."
EVEN = dict.fromkeys(OPENI, (0.5, 0.5))
TOPIC = {topic.name: topic for topic in TOPICS}
GRAVE = (
    "AP chest compared to ___: Large right tension pneumothorax.",
    "Bibasilar opacities persist.",
    "A moderate right pneumothorax persists with the chest tube in place.",
    "Small right pneumothorax, unchanged, with chest tube in place.",
    "6 mm right upper lobe nodule, previously 4 mm.",
    "Bilateral effusions, right greater than left, have decreased.",
    "There is no change in the moderate right pneumothorax.",
    "Left PICC, unchanged in position, ends in the mid SVC.",
    "The left lung has collapsed. The right lung is clear.",
    "Aortic dissection is suspected.",
    "There is flail chest.",
    "Honeycombing at the bases.",
    "Miliary pattern.",
    "Post pneumonectomy.",
    "Lucent lesion in the left humerus.",
    "Rib notching is seen.",
    "Vertebral collapse at T9.",
    "The right hilum is bulky.",
    "The trachea is narrowed.",
    "Pulmonary arteries are large.",
    "Air-fluid level behind the heart.",
    "Right-sided aortic arch.",
    "The heart is on the right side.",
    "The trachea is deviated to the left.",
    "The left costophrenic angle is not seen.",
    "The lungs are not clear.",
    "Heart size is at the upper limits of normal.",
    "Lungs are otherwise clear.",
    "The heart and lungs have XXXX effusions in the interval.",
    "The pleural spaces are wide.",
    "Stable appearance of the mediastinum.",
)


PHRASES = dict.fromkeys(GRAVE, "never told") | {
    "Left PICC, unchanged in position, ends in the mid SVC.": "(central venous line)",
    "Bibasilar opacities persist.": "(opacity) in the lower part of both lungs",
    "A moderate right pneumothorax persists with the chest tube in place.": "(pneumothorax) on the right",
    "Small right pneumothorax, unchanged, with chest tube in place.": "(pneumothorax) on the right",
    "There is no change in the moderate right pneumothorax.": "(pneumothorax) on the right",
}
"""What a patient may be told of them."""


@pytest.mark.parametrize("grave", GRAVE)
def test_no_film_with_an_unknown_sentence_is_normal(grave: str) -> None:
    assert not is_known_normal(grave)
    lost = read(Said(HEALTHY, HEALTHY, written=f"{grave} {HEALTHY}"))
    kept = read(Said(HEALTHY, f"{grave} {HEALTHY}"))
    assert lost.abnormal is None
    assert kept.abnormal is not False
    told = " ".join(each.answer for each in explain(lost, "key"))
    assert not told or PHRASES[grave] in told
    assert read(Said(HEALTHY, HEALTHY, written=HEALTHY)).abnormal is False


@pytest.mark.parametrize("grave", [each for each in GRAVE if "lung" in each or "basilar" in each or "bases" in each])
def test_clear_denies_nothing_beside_what_is_unknown_of_the_lungs(grave: str) -> None:
    assert read(Said(HEALTHY, HEALTHY)).settles(TOPIC["atelectasis"]) is False
    assert read(Said(HEALTHY, HEALTHY, written=f"{grave} {HEALTHY}")).settles(TOPIC["atelectasis"]) is None


@pytest.mark.parametrize(
    "sentence",
    [
        "The heart, mediastinum, hila and pulmonary vasculature are within normal limits.",
        "Lungs are well expanded and clear without focal consolidation, pleural effusion, or pneumothorax.",
        "No free air below the right hemidiaphragm is seen.",
        "Imaged osseous structures are intact.",
        "There is no evidence of acute cardiopulmonary disease.",
        "PA and lateral views of the chest were obtained.",
        "Cardiac silhouette is not enlarged.",
        "Pneumothorax is not seen.",
        "The cardiomediastinal silhouette is stable and within normal limits.",
        "Heart size and pulmonary XXXX are normal.",
        "Negative chest x-XXXX.",
        "The heart and lungs have XXXX XXXX in the interval.",
        "The lungs and pleural spaces show no acute abnormality.",
    ],
)
def test_what_is_said_of_a_normal_chest_is_known(sentence: str) -> None:
    assert is_known_normal(sentence)


@pytest.mark.parametrize(
    ("cleaned", "written", "topic"),
    [
        ("No pneumothorax.", "No left pneumothorax. Large right pneumothorax, unchanged.", "pneumothorax"),
        ("No pleural effusion.", "No pleural effusion. A possible left effusion, as before.", "pleural effusion"),
        ("Left pleural effusion.", "Possible pleural effusion. Left pleural effusion.", "pleural effusion"),
    ],
)
def test_where_the_two_differ_nothing_is_asked(cleaned: str, written: str, topic: str) -> None:
    said = Said(cleaned, cleaned, written=written)
    assert read(said).settles(TOPIC[topic]) is None
    assert read(replace(said, written=cleaned)).settles(TOPIC[topic]) is not None
    assert not any(each.about == topic for key in range(60) for each in ask_all(said, str(key), shares=EVEN))


def test_a_place_and_a_region_are_told_where_the_whole_report_is_quoted() -> None:
    cleaned = "Small left pleural effusion. The bones are intact. The lungs are clear."
    lost = f"{cleaned} A large right effusion persists. A rib notch persists."
    for written, told in ((cleaned, True), (lost, False)):
        reading = read(Said(cleaned, cleaned, written=written))
        assert bool([each for each in stated_details(reading, "key") if each.about == "pleural effusion"]) is told
        assert any(each.about == "the bones" for key in range(60) for each in regions(reading, str(key))) is told


def test_a_studys_report_as_written_goes_to_its_questions() -> None:
    report = Report(findings=f"AP chest compared to ___: Bulky hilum persists. {HEALTHY}", impression="Normal chest.")
    said = said_of(Study(study_id="1", patient_id="1", views=(), report=report, source="table", licence=""))
    assert report.findings in said.written
    assert report.impression in said.written
    assert read(said).abnormal is None
