"""Instruction data in every form in circulation: joined by image, marked once, patients kept together."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from cxr_lightning.reports.sources import Flaw, Reading, SourceError, open_source
from cxr_lightning.study import Study
from tests.reports.sources.found import TEXT_TOO, TEXTS, kinds
from tests.reports.sources.found import read as read_all
from tests.reports.sources.layouts import openi_xml, write_openi

pytestmark = pytest.mark.quick

MIMIC = "files/p10/p10000032/s50414267/a.jpg"


UNKNOWN = "patient unknown"


def read(name: str, root: Path, reading: Reading | None = None) -> tuple[list[Study], list[Flaw]]:
    """Reads a source whole, whose patients nobody knows where a test is not about them."""
    studies, flaws = read_all(name, root, reading)
    return studies, [flaw for flaw in flaws if flaw.kind != UNKNOWN]


def turns(question: str = "<image>\nDescribe it.", answer: str = "Clear lungs.") -> list[dict[str, str]]:
    return [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]


def write(folder: Path, records: Any, images: tuple[str, ...] = ("a.jpg",), name: str = "data.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if name.endswith(".jsonl"):
        text = "".join(json.dumps(record) + "\n" for record in records)
    else:
        text = json.dumps(records, indent=2)
    (folder / name).write_text(text)
    for image in images:
        (folder / image).parent.mkdir(parents=True, exist_ok=True)
        (folder / image).touch()
    return folder


@pytest.mark.parametrize("name", ["data.json", "data.jsonl"])
@pytest.mark.parametrize(
    "record",
    [
        {"id": "1", "image": "a.jpg", "conversations": turns()},
        {"id": "1", "image": "a.jpg", "conversations": turns("Describe it.\n<image>")},
        {"id": "1", "image": ["a.jpg"], "conversations": turns("Describe it.")},
        {
            "id": "1",
            "conversations": [
                {"from": "user", "value": "Picture 1: <img>a.jpg</img>\nDescribe it."},
                {"from": "assistant", "value": "Clear lungs."},
            ],
        },
        {
            "images": ["a.jpg"],
            "messages": [
                {"role": "system", "content": "You are a radiologist."},
                {"role": "user", "content": "<image>Describe it."},
                {"role": "assistant", "content": "Clear lungs."},
            ],
        },
        {
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "image", "image": "a.jpg"}, {"type": "text", "text": "Describe it."}],
                },
                {"role": "assistant", "content": [{"type": "text", "text": "Clear lungs."}]},
            ]
        },
        {
            "images": [{"path": "a.jpg"}],
            "conversations": turns("<|vision_start|><|image_pad|><|vision_end|>Describe it."),
        },
        {"query": "<image>Describe it.", "response": "Clear lungs.", "images": ["a.jpg"], "history": []},
    ],
)
def test_every_form_says_the_same(tmp_path, record, name):
    (study,), flaws = read("llava-json", write(tmp_path, [record], name=name))
    assert not flaws
    assert study.turns == (("Describe it.", "Clear lungs."),)
    assert [view.path.name for view in study.views] == ["a.jpg"]
    assert study.study_id == "a.jpg"


def test_records_that_share_an_image_are_one_study_wherever_they_stand(tmp_path):
    records = [
        {"id": 1, "image": "a.jpg", "conversations": turns("<image>\nOne?", "1.")},
        {"id": 2, "image": "b.jpg", "conversations": turns("<image>\nTwo?", "2.")},
        {"id": 3, "image": "a.jpg", "conversations": turns("<image>\nThree?", "3.") + turns("And?", "4.")},
    ]
    (first, second), flaws = read("llava-json", write(tmp_path, records, ("a.jpg", "b.jpg")))
    assert not flaws
    assert first.turns == (("One?", "1."), ("Three?", "3."), ("And?", "4."))
    assert second.turns == (("Two?", "2."),)


def test_several_images_keep_their_marks(tmp_path):
    record = {"image": ["a.jpg", "b.jpg"], "conversations": turns("Compare <image> and <image>.")}
    (study,), _ = read("llava-json", write(tmp_path, [record, record], ("a.jpg", "b.jpg")))
    assert [view.path.name for view in study.views] == ["a.jpg", "b.jpg"]
    assert [question for question, _ in study.turns] == ["Compare <image> and <image>.", "Compare and ."]


def test_a_history_comes_before_its_query(tmp_path):
    record = {"query": "And?", "response": "2.", "images": ["a.jpg"], "history": [["<image>First?", "1."]]}
    (study,), _ = read("llava-json", write(tmp_path, [record]))
    assert study.turns == (("First?", "1."), ("And?", "2."))


@pytest.mark.parametrize(
    ("image", "patient"),
    [
        (MIMIC, "10000032"),
        ("train/patient42142/study5/view1.png", "patient42142"),
        ("p10000032_s50414267_a.png", "10000032"),
        ("p10000032-s50414267-a.png", "10000032"),
        ("flat/p10_p10000032_s50414267_a.png", "10000032"),
        ("patient00001_study1_view1.png", "patient00001"),
        ("train_patient00001-study1-view1.png", "patient00001"),
        ("map10000032_a.png", "map10000032_a.png"),
        ("p100000321_a.png", "p100000321_a.png"),
        ("openi/CXR12_IM-0001-1001.png", "CXR12"),
        ("CXR1_1_IM-0001-1001.png", "CXR1"),
        ("12_1.png", "CXR12"),
        ("other/x17.png", "other/x17.png"),
    ],
)
def test_a_path_that_tells_the_patient_is_listened_to(tmp_path, image, patient):
    (study,), _ = read("llava-json", write(tmp_path, [{"image": image, "conversations": turns()}], (image,)))
    assert study.patient_id == patient


def test_text_alone_is_kept_where_it_is_allowed(tmp_path):
    records = [
        {"id": "x", "conversations": turns("What is an effusion?", "Fluid.")},
        {"id": "x", "conversations": turns("What is edema?", "Fluid, too.")},
        {"instruction": "Answer as a doctor.", "input": "I cough.", "output": "Drink."},
        {"image": "a.jpg", "conversations": turns()},
    ]
    root = write(tmp_path, records)
    kept, flaws = read("llava-json", root)
    assert [study.study_id for study in kept] == ["a.jpg"]
    assert kinds(flaws) == {"record without image": 3}
    assert not any(flaw.bad for flaw in flaws)
    kept, flaws = read("llava-json", root, TEXT_TOO)
    assert not flaws
    assert [study.study_id for study in kept] == ["x", "x#2", "#3", "a.jpg"]
    assert kept[2].turns == (("Answer as a doctor.\nI cough.", "Drink."),)


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        ({"image": "gone.jpg", "conversations": turns()}, "image missing"),
        ({"image": "../a.jpg", "conversations": turns()}, "path leads out"),
        ({"image": "/etc/passwd", "conversations": turns()}, "path leads out"),
        ({"image": "a\0.jpg", "conversations": turns()}, "path unusable"),
        ({"image": 3, "conversations": turns()}, "path unusable"),
        ({"conversations": turns()}, "image unnamed"),
        ({"image": "a.jpg", "conversations": turns("<image><image>")}, "more marks than images"),
        ({"image": "a.jpg", "conversations": turns("<image>")}, "turns unpaired"),
        ({"image": "a.jpg"}, "turns unpaired"),
        ({"image": "a.jpg", "conversations": turns()[:1]}, "turns unpaired"),
        ({"image": "a.jpg", "conversations": turns()[::-1]}, "turns unpaired"),
        ({"image": "a.jpg", "conversations": "none"}, "turns unpaired"),
        ({"image": "a.jpg", "conversations": turns("Why?", "")}, "turns unpaired"),
        ({"image": "a.jpg", "conversations": [{"from": "tool", "value": "x"}]}, "turns unpaired"),
        ({"image": "a.jpg", "conversations": turns(answer="x" * 200_001)}, "turn too long"),
        ({"image": "a.jpg", "conversations": turns(), "split": "holdout"}, "split unclear"),
        ("text", "row unreadable"),
        ({"image": "a.jpg", "conversations": turns("\ud800")}, "row unreadable"),
    ],
)
@pytest.mark.parametrize("name", ["data.json", "data.jsonl"])
def test_a_record_that_cannot_be_used_says_why(tmp_path, record, kind, name):
    good = {"image": "b.jpg", "conversations": turns()}
    kept, flaws = read("llava-json", write(tmp_path, [record, good], ("a.jpg", "b.jpg"), name))
    assert kinds(flaws) == {kind: 1}
    assert [study.study_id for study in kept] == ["b.jpg"]


def test_paths_that_are_absolute_within_root_are_read(tmp_path):
    record = {"image": str(tmp_path / "a.jpg"), "conversations": turns()}
    assert len(read("llava-json", write(tmp_path, [record]))[0]) == 1


def test_images_beside_in_their_own_folder(tmp_path):
    record = {"image": "a.jpg", "conversations": turns()}
    (study,), _ = read("llava-json", write(tmp_path, [record], ("images/a.jpg",)))
    assert study.views[0].path == tmp_path / "images" / "a.jpg"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"[{", "not JSON at byte 1"),
        (b"[{}", "cut off after 1 records"),
        (b"[{} {}]", "not JSON at byte 4"),
        (b"[{},,]", "not JSON at byte 4"),
        (b"3", "not a list of records"),
        (b"", "not a list of records"),
        ("[{}]".encode("utf-16"), "looks like UTF-16"),
        ('[{"a": "Größe"}]'.encode("cp1252"), "not UTF-8 after byte"),
        (b"[" + b'{"a":' * 100_000, "not JSON at byte 1"),
    ],
)
def test_a_file_that_is_no_list_of_records_is_refused(tmp_path, raw, said):
    (tmp_path / "data.json").write_bytes(raw)
    with pytest.raises(SourceError, match=said):
        read("llava-json", tmp_path, TEXTS)


def test_one_record_a_line_may_be_called_json(tmp_path):
    lines = [json.dumps({"id": n, "conversations": turns("Q?", f"{n}")}) for n in range(3)]
    (tmp_path / "data.json").write_text("\n".join(lines))
    assert [study.turns[0][1] for study in read("llava-json", tmp_path, TEXTS)[0]] == ["0", "1", "2"]


def test_which_file_is_meant(tmp_path):
    with pytest.raises(SourceError, match="holds 0 files"):
        read("llava-json", tmp_path)
    write(tmp_path, [])
    write(tmp_path, [], name="other.json")
    with pytest.raises(SourceError, match="holds 2 files"):
        read("llava-json", tmp_path)
    assert read("llava-json", tmp_path / "data.json") == ([], [])


def test_records_are_read_again_at_their_bytes_whatever_the_letters(tmp_path):
    texts = ["Größe ✓ " * n + "x" for n in range(1, 400)]
    records = [{"image": f"i{n % 7}.jpg", "conversations": turns("Q?", text)} for n, text in enumerate(texts)]
    images = tuple(f"i{n}.jpg" for n in range(7))
    root = write(tmp_path, [], images)
    (root / "data.json").write_text("\ufeff" + json.dumps(records, ensure_ascii=False), encoding="utf-8")
    kept, flaws = read("llava-json", root)
    assert not flaws
    assert [answer for study in kept for _, answer in study.turns] == [text for n in range(7) for text in texts[n::7]]


def test_a_large_file_is_not_held_in_memory(tmp_path):
    with (tmp_path / "data.json").open("w") as file:
        file.write("[")
        for n in range(400):
            file.write(("," if n else "") + json.dumps({"id": n, "conversations": turns("Q?", "word " * 4000)}))
        file.write("]")
    size = (tmp_path / "data.json").stat().st_size
    tracemalloc.start()
    count = sum(1 for _ in open_source("llava-json", tmp_path, Reading(images=False)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 400
    assert size > 7 * 2**20
    assert peak < 3 * 2**20


@pytest.mark.parametrize(
    ("more", "told"),
    [({}, 1), ({"patient_id": "7"}, 0), ({"split": "test"}, 0), ({"image": MIMIC}, 0), ({"image": None}, 0)],
)
def test_a_patient_that_nobody_knows_is_told(tmp_path, more, told):
    record = {"image": "a.jpg", "conversations": turns("Describe it."), **more}
    root = write(tmp_path, [record, record], ("a.jpg", MIMIC))
    for reading in (TEXT_TOO, TEXTS):
        studies, flaws = read_all("llava-json", root, reading)
        assert studies
        assert kinds(flaws) == ({UNKNOWN: told} if told else {})
        assert not any(flaw.bad for flaw in flaws)


def test_open_is_patients_are_called_alike_by_every_source(tmp_path):
    root = write(tmp_path / "llava", [{"image": "7_1.png", "conversations": turns()}], ("7_1.png",))
    (tmp_path / "filter_cap.json").write_text(json.dumps([{"image_id": "7_1", "caption": "Clear."}]))
    openi = write_openi(tmp_path / "openi", {"7.xml": openi_xml(7, {"FINDINGS": "Clear."})})
    found = {
        name: read(name, where, TEXTS)[0][0]
        for name, where in (("llava-json", root), ("xraygpt", tmp_path), ("openi", openi))
    }
    assert {study.patient_id for study in found.values()} == {"CXR7"}
    assert found["xraygpt"].study_id == found["openi"].study_id
    assert {study.source for study in found.values()} == set(found)
