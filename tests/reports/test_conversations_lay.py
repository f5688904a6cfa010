"""A patient is told what the report says in words that mean it, or is told nothing."""

from __future__ import annotations

import pytest

from cxr_lightning.findings.certainty import Certainty
from cxr_lightning.reports.conversations import Said, ask_all
from cxr_lightning.reports.conversations.details import stated_details
from cxr_lightning.reports.conversations.lay import PLAIN, explain
from cxr_lightning.reports.conversations.normality import LAY, beyond
from cxr_lightning.reports.conversations.reading import read
from cxr_lightning.reports.conversations.topics import TOPICS

pytestmark = pytest.mark.quick

SINGULAR = (
    "a ", "an ", "at least one ", "fluid ", "air ", "too much ", "more air ", "less air ", "wear ", "material ",
    "medical material ", "scar tissue ",
)  # fmt: skip


def told(text: str) -> str:
    return " ".join(each.answer for each in explain(read(Said(text, text)), "key"))


@pytest.mark.parametrize(
    ("text", "words", "never"),
    [
        ("COPD.", "airways (COPD)", "overstretching"),
        ("Emphysema.", "overstretching of the air sacs", "airways"),
        ("Hiatal hernia.", "stomach", ""),
        ("Atherosclerotic calcification of the aorta.", "main artery", ""),
        ("The aorta is tortuous.", "main artery", ""),
        ("Calcified granuloma and normal aorta.", "at least one calcified scar", "main artery"),
    ],
)
def test_what_is_there_is_told_in_its_own_words(text: str, words: str, never: str) -> None:
    answer = told(text)
    assert words in answer
    assert not never or never not in answer


@pytest.mark.parametrize(
    "text",
    [
        "Bochdalek hernia.",
        "Umbilical hernia.",
        "Hiatal hernia. Morgagni hernia.",
        "Coronary artery calcification.",
        "Coronary atherosclerosis.",
        "Atherosclerotic disease.",
        "Aortic valve calcification.",
        "Tortuous brachiocephalic artery.",
        "Fracture of the pacemaker lead.",
        "Pacemaker with a fractured lead.",
        "ETT in the right main bronchus.",
        "The nasogastric tube is coiled in the esophagus.",
        "The endotracheal tube should be retracted.",
        "Left pleural effusion. Tension pneumothorax.",
        "The effusion has been drained.",
        "The cardiomediastinal silhouette is enlarged.",
        "Left pleural effusion and Bochdalek hernia.",
        "Complete white-out of the right hemithorax. Dobbhoff tube below the diaphragm.",
        "Hyperlucent left hemithorax with deep sulcus.",
        "Hyperinflated left lung.",
        "Left pleural effusion. Honeycombing at the bases.",
        "Left pleural effusion with a bulky right hilum.",
        "Left pleural effusion and enlarged hila.",
        "Cardiomegaly. Recommend CT for the left hilum.",
    ],
)
def test_what_has_no_phrase_of_ours_is_not_told_in_part(text: str) -> None:
    assert told(text) == ""


@pytest.mark.parametrize(
    ("written", "told_of_it"),
    [
        ("Small left pleural effusion.", True),
        ("Small left pleural effusion is again seen, now smaller than before.", True),
        ("Small left pleural effusion. The heart is normal.", True),
        ("Small left pleural effusion. A bulky right hilum persists.", False),
        ("Small left pleural effusion. The lungs are otherwise clear.", True),
        ("Small left pleural effusion. The chest tube has been removed.", True),
        ("Small left pleural effusion. The rib has been removed.", False),
        ("Small left pleural effusion. XXXX opacity in the left apex.", False),
        ("Small left pleural effusion. Large right tension pneumothorax.", False),
    ],
)
def test_what_cleaning_took_out_is_not_kept_back(written: str, told_of_it: bool) -> None:
    cleaned = "Small left pleural effusion."
    assert bool(explain(read(Said(cleaned, cleaned, written=written)), "key")) is told_of_it


def test_what_cleaning_took_out_is_told_like_the_rest() -> None:
    cleaned = "Small left pleural effusion."
    reading = read(Said(cleaned, cleaned, written=f"{cleaned} Right atelectasis persists, unchanged."))
    assert "(atelectasis) on the right" in explain(reading, "key")[0].answer


@pytest.mark.parametrize(
    ("text", "doubted"),
    [
        ("Scarring versus atelectasis at the left base.", ("(scarring)", "(atelectasis)")),
        ("Atelectasis or scarring at the left base.", ("(scarring)", "(atelectasis)")),
        ("Left basilar scarring/atelectasis.", ("(scarring)", "(atelectasis)")),
        ("Probable COPD.", ("(COPD)",)),
        ("Borderline heart size.", ("(cardiomegaly)",)),
        ("Heart size is borderline.", ("(cardiomegaly)",)),
        ("Scoliosis without effusion or pneumothorax.", ()),
        ("Aortic ectasia/tortuosity.", ()),
    ],
)
def test_one_of_two_is_told_as_in_doubt(text: str, doubted: tuple[str, ...]) -> None:
    answer = told(text)
    assert answer
    unsure = [each for each in answer.split(". ") if "whether" in each]
    assert len(unsure) == len(doubted)
    assert all(any(word in each for each in unsure) for word in doubted)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Eventration of the right hemidiaphragm.", "(elevated diaphragm)"),
        ("The left hemidiaphragm is elevated.", "(elevated diaphragm)"),
        ("Old left rib deformities.", "(deformity)"),
        ("Mild compression deformity of T8.", "(deformity)"),
        ("Osteopenia.", "(osteopenia)"),
        ("Mild dextrocurvature of the thoracic spine.", "(scoliosis)"),
        ("Cholecystectomy clips in the right upper quadrant.", "earlier operation"),
        ("Calcified hilar lymph XXXX.", "(granuloma)"),
        ("Low lung volumes with bronchovascular crowding.", "(low lung volumes)"),
    ],
)
def test_minor_things_have_phrases(text: str, words: str) -> None:
    assert words in told(text)


def test_no_main_artery_of_another_vessel() -> None:
    for text in (
        "Coronary calcification",
        "Aortic valve calcification",
        "Carotid atherosclerosis",
        "Aortic arch is normal",
    ):
        assert beyond(text) == ()


def test_phrases_follow_there_is() -> None:
    for phrase in (*PLAIN.values(), *(phrase for _, phrase in LAY.values())):
        assert phrase.startswith(SINGULAR), phrase
    every = {told(text) for text in ("Calcified granulomas.", "Possible pneumonia.", "Vascular congestion.")}
    assert all(every)
    assert not any("is one or more" in answer or "is signs" in answer for answer in every)


def settled(text: str) -> dict[str, bool | None]:
    reading = read(Said(text, text))
    return {topic.name: reading.settles(topic) for topic in TOPICS}


def test_an_enlarged_silhouette_is_of_the_heart_or_of_the_mediastinum() -> None:
    both = settled("The cardiomediastinal silhouette is enlarged.")
    assert both["enlarged heart"] is both["wide mediastinum"] is None
    named = settled("The cardiomediastinal silhouette is enlarged. Cardiomegaly.")
    assert named["enlarged heart"] is True
    text = "The cardiomediastinal silhouette is enlarged. Cardiomegaly."
    (heart,) = (topic for topic in TOPICS if topic.name == "enlarged heart")
    assert read(Said(text, text)).evidence(heart, holds=True) == "Cardiomegaly."
    assert named["wide mediastinum"] is None
    normal = settled("The cardiomediastinal silhouette is normal.")
    assert normal["enlarged heart"] is normal["wide mediastinum"] is False


def test_what_was_drained_is_open() -> None:
    assert settled("The left pleural effusion has been drained.")["pleural effusion"] is None
    assert settled("Left pleural effusion. It was seen that the effusion was drained.")["pleural effusion"] is None
    assert settled("Undrained left pleural effusion.")["pleural effusion"] is True


def test_a_broken_device_is_no_broken_bone() -> None:
    for text in ("Fracture of the pacemaker lead.", "Sternal wire fracture.", "There is a fractured catheter."):
        assert settled(text)["fracture"] is None
        assert not any(each.about == "fracture" for key in range(40) for each in ask_all(Said(text, text), str(key)))
    for text in (
        "Left rib fracture. A pacemaker is seen.",
        "Chest tube and left rib fracture.",
        "Fracture of a rib and a tube.",
    ):
        assert settled(text)["fracture"] is True, text


def sizes(text: str) -> set[str]:
    reading = read(Said(text, text))
    return {each.answer for key in range(30) for each in stated_details(reading, str(key)) if each.kind == "extent"}


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("Tension pneumothorax.", ""),
        ("Left tension pneumothorax.", ""),
        ("Large left tension pneumothorax.", "Large."),
        ("Small left and large right pleural effusions.", ""),
        ("Small left and moderate right pleural effusions.", ""),
        ("There is a large right and small left pleural effusion.", ""),
        ("Small left pleural effusion.", "Small."),
        ("Mild to moderate pulmonary edema.", ""),
        ("Cardiac silhouette is enlarged with mildly tortuous aorta.", ""),
        ("Small left pleural effusion and moderate cardiomegaly.", "Small."),
    ],
)
def test_a_size_is_said_of_one_finding_alone(text: str, size: str) -> None:
    found = sizes(text)
    assert size in found if size else not found
    assert Certainty.PRESENT in {each.certainty for line in read(Said(text, text)).lines for each in line.mentions}
