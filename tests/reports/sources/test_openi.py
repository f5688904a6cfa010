"""Open-i: sections as the XML has them, images under the names they go by, and XML that means harm."""

from __future__ import annotations

import tarfile

import pytest

from cxr_lightning.reports.sources import SOURCES, SourceError
from tests.reports.sources.found import TEXT_TOO, TEXTS, kinds, read
from tests.reports.sources.layouts import openi_xml, write_csv, write_openi

pytestmark = pytest.mark.quick

SECTIONS = {"COMPARISON": "None.", "INDICATION": "Cough & fever", "FINDINGS": "Clear  lungs.", "IMPRESSION": "Normal."}
IDS = ("CXR7_IM-0001-1001", "CXR7_IM-0001-2001")


@pytest.mark.parametrize("packed", [False, True])
def test_a_report_is_taken_as_it_is(tmp_path, packed):
    root = write_openi(
        tmp_path, {"7.xml": openi_xml(7, SECTIONS, IDS)}, [f"NLMCXR_png/{i}.png" for i in IDS], packed=packed
    )
    (study,), flaws = read("openi", root)
    assert not flaws
    assert (study.study_id, study.patient_id, study.licence) == ("CXR7", "CXR7", "CC BY-NC-ND 4.0")
    report = study.report
    assert (report.comparison, report.indication) == ("None.", "Cough & fever")
    assert (report.findings, report.impression) == ("Clear  lungs.", "Normal.")
    assert report.text == "COMPARISON: None.\nINDICATION: Cough & fever\nFINDINGS: Clear  lungs.\nIMPRESSION: Normal."
    assert [view.path.stem for view in study.views] == list(IDS)
    assert SOURCES["openi"].public
    assert SOURCES["openi"].reports


@pytest.mark.parametrize(
    "names",
    [
        ("NLMCXR_png/CXR7_IM-0001-1001.png", "NLMCXR_png/CXR7_IM-0001-2001.png"),
        ("images/7_1.png", "images/7_2.png"),
        ("images/7_1.jpg", "images/7_2.jpg"),
        ("images/images_normalized/7_IM-0001-1001.dcm.png", "images/images_normalized/7_IM-0001-2001.dcm.png"),
        ("NLMCXR_dcm/7/7_IM-0001-1001.dcm", "NLMCXR_dcm/7/7_IM-0001-2001.dcm"),
        ("CXR7_IM-0001-1001.png", "CXR7_IM-0001-2001.png"),
    ],
)
def test_images_are_found_under_the_names_they_go_by(tmp_path, names):
    root = write_openi(tmp_path, {"7.xml": openi_xml(7, SECTIONS, IDS)}, names)
    (study,), _ = read("openi", root)
    assert [view.path for view in study.views] == [root / name for name in names]


def test_an_id_that_repeats_the_report_number_is_one_image(tmp_path):
    ids = ("CXR1_1_IM-0001-3001", "CXR1_1_IM-0001-4001")
    root = write_openi(
        tmp_path, {"1.xml": openi_xml(1, SECTIONS, ids)}, [f"dcm/1/1_IM-0001-{n}001.dcm" for n in (3, 4)]
    )
    assert [view.path.stem for view in read("openi", root)[0][0].views] == ["1_IM-0001-3001", "1_IM-0001-4001"]


def test_png_is_preferred_to_dicom(tmp_path):
    names = [f"NLMCXR_{end}/{i}.{end}" for i in IDS for end in ("dcm", "png")]
    root = write_openi(tmp_path, {"7.xml": openi_xml(7, SECTIONS, IDS)}, names)
    assert {view.path.suffix for view in read("openi", root)[0][0].views} == {".png"}


@pytest.mark.parametrize(
    ("caption", "images", "position"),
    [
        ("Xray Chest PA and Lateral", 2, "unknown"),
        ("Portable chest x-XXXX", 1, "frontal"),
        ("PA and lateral chest", 1, "unknown"),
        ("CHEST 2V FRONTAL/LATERAL", 1, "unknown"),
        ("Chest radiograph", 1, "unknown"),
    ],
)
def test_a_caption_tells_the_view_only_of_a_single_image(tmp_path, caption, images, position):
    root = write_openi(
        tmp_path, {"7.xml": openi_xml(7, SECTIONS, IDS[:images], caption)}, [f"{i}.png" for i in IDS[:images]]
    )
    assert read("openi", root)[0][0].views[0].position == position


@pytest.mark.parametrize("called", ["i/1_IM-0001-{n}001.dcm.png", "i/CXR1_1_IM-0001-{n}001.png"])
def test_a_list_of_projections_tells_the_views(tmp_path, called):
    ids = ("CXR1_1_IM-0001-3001", "CXR1_1_IM-0001-4001")
    root = write_openi(tmp_path, {"1.xml": openi_xml(1, SECTIONS, ids)}, [called.format(n=n) for n in (3, 4)])
    rows = [
        {"uid": 1, "filename": "1_IM-0001-4001.dcm.png", "projection": "Frontal"},
        {"uid": 1, "filename": "1_IM-0001-3001.dcm.png", "projection": "Lateral"},
    ]
    write_csv(root / "indiana_projections.csv", rows, ("uid", "filename", "projection"))
    (study,), _ = read("openi", root)
    assert [("4001" in view.path.name, view.position) for view in study.views] == [
        (True, "frontal"),
        (False, "lateral"),
    ]


def test_what_is_missing_is_counted(tmp_path):
    xmls = {
        "1.xml": openi_xml(1, SECTIONS, ("CXR1_a", "CXR1_b")),
        "2.xml": openi_xml(2, SECTIONS, ("CXR2_a",)),
        "3.xml": openi_xml(3, SECTIONS),
        "4.xml": openi_xml(1, SECTIONS, ("CXR1_a",)),
        "5.xml": "<html/>",
        "6.xml": openi_xml(6, {}, ("CXR6_a",)),
    }
    root = write_openi(tmp_path, xmls, ["CXR1_a.png", "CXR6_a.png"])
    kept, flaws = read("openi", root)
    assert [study.study_id for study in kept] == ["CXR1", "CXR6"]
    assert kinds(flaws) == {
        "view missing": 1,
        "image missing": 1,
        "report without image": 1,
        "study again": 1,
        "no report": 1,
    }
    assert kept[1].report.text == ""  # kept: whoever reads reports says of each why it is not used
    assert {study.study_id for study in read("openi", root, TEXT_TOO)[0]} == {"CXR1", "CXR3", "CXR6"}
    assert len(read("openi", root, TEXTS)[0]) == 4


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("<eCitation>", "XML unreadable"),
        ("", "XML unreadable"),
        ("<eCitation>&nobody;</eCitation>", "XML unreadable"),
        ("<a>" * 200 + "</a>" * 200, "XML unreadable"),
        ('<!DOCTYPE a [<!ENTITY x "y">]><eCitation>&x;</eCitation>', "XML with entities"),
        ('<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><eCitation>&x;</eCitation>', "XML with entities"),
        ('<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd"><eCitation/>', "XML with entities"),
        ("<!DOCTYPE a [<!ENTITY % p \"<!ENTITY q 'r'>\"> %p;]><eCitation/>", "XML with entities"),
        ("<!DOCTYPE a><eCitation/>", "XML with entities"),
    ],
)
def test_xml_that_is_broken_or_means_harm_is_a_named_flaw(tmp_path, text, kind):
    root = write_openi(tmp_path, {"1.xml": text, "2.xml": openi_xml(2, SECTIONS)})
    kept, flaws = read("openi", root, TEXTS)
    assert kinds(flaws) == {kind: 1}
    assert [study.study_id for study in kept] == ["CXR2"]


def test_a_billion_laughs_are_not_laughed(tmp_path):
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    bomb = f'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY l0 "lol">{entities}]><eCitation>&l9;</eCitation>'
    for encoding in ("utf-8", "utf-16"):
        root = write_openi(tmp_path / encoding, {"1.xml": ""})
        (root / "ecgen-radiology" / "1.xml").write_bytes(bomb.encode(encoding))
        assert kinds(read("openi", root, TEXTS)[1]) == {"XML with entities": 1}


def test_other_encodings_that_xml_declares_are_read(tmp_path):
    text = openi_xml(7, {"FINDINGS": "Größe normal."}).replace("utf-8", "iso-8859-1")
    root = write_openi(tmp_path, {"7.xml": ""})
    (root / "ecgen-radiology" / "7.xml").write_bytes(text.encode("iso-8859-1"))
    assert read("openi", root, TEXTS)[0][0].report.findings == "Größe normal."


def test_images_that_are_still_packed_are_asked_for(tmp_path):
    root = write_openi(tmp_path, {"7.xml": openi_xml(7, SECTIONS, IDS)})
    with pytest.raises(SourceError, match="holds no images"):
        read("openi", root)
    with tarfile.open(root / "NLMCXR_png.tgz", "w:gz"):
        pass
    with pytest.raises(SourceError, match=r"mkdir NLMCXR_png && tar -xf NLMCXR_png.tgz -C NLMCXR_png"):
        read("openi", root)


def test_where_reports_may_not_lie(tmp_path):
    with pytest.raises(SourceError, match="no such file"):
        read("openi", tmp_path / "absent")
    with pytest.raises(SourceError, match=r"neither ecgen-radiology"):
        read("openi", tmp_path)
    (tmp_path / "NLMCXR_reports.tgz").write_bytes(b"no tar")
    with pytest.raises(SourceError, match="not a whole tar"):
        read("openi", tmp_path, TEXTS)
    with tarfile.open(tmp_path / "NLMCXR_reports.tgz", "w:gz"):
        pass
    with pytest.raises(SourceError, match="holds no report"):
        read("openi", tmp_path, TEXTS)
