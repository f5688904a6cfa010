"""DICOM files become what a reader sees: rescaled, windowed, right way round."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cxr_lightning.shards.dicom import other_than_chest
from cxr_lightning.shards.images import ImageError, load_gray

pydicom = pytest.importorskip("pydicom")
pytestmark = pytest.mark.quick

REAL = os.environ.get("CXR_REAL_DATA")
VALUES = np.arange(0, 4096, 64, dtype=np.uint16).reshape(4, 16)


def dicom(values: np.ndarray = VALUES, **elements: Any) -> bytes:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.1"
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    data = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    settings = {
        "Rows": values.shape[-2],
        "Columns": values.shape[-1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "PatientName": "Secret^Person",
        "PixelData": values.tobytes(),
    }
    for name, value in {**settings, **elements}.items():
        if value is not None:
            setattr(data, name, value)
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_without_a_window_the_values_own_range_is_used():
    gray = load_gray(dicom())
    assert gray.shape == (4, 16)
    assert (gray[0, 0], gray[-1, -1]) == (0, 255)


def test_monochrome1_is_turned_over():
    assert np.array_equal(load_gray(dicom(PhotometricInterpretation="MONOCHROME1")), 255 - load_gray(dicom()))


def test_the_first_window_counts_after_rescaling():
    gray = load_gray(dicom(RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=[1000, 9], WindowWidth=[1001, 9]))
    physical = VALUES.astype(float) * 2 - 1000
    assert np.array_equal(gray == 0, physical <= 500)
    assert np.array_equal(gray == 255, physical >= 1498)


def test_a_sigmoid_window_bends_and_never_reaches_the_ends():
    gray = load_gray(dicom(WindowCenter=2048, WindowWidth=2048, VOILUTFunction="SIGMOID"))
    assert abs(int(gray.flat[32]) - 128) <= 1
    assert 0 < gray.min() < gray.max() < 255


def test_a_lookup_table_is_followed_where_there_is_no_window():
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    table = Dataset()
    table.LUTDescriptor = [4096, 0, 16]
    table.add_new("LUTData", "US", [65535 - value * 16 for value in range(4096)])
    gray = load_gray(dicom(VOILUTSequence=Sequence([table])))
    assert np.array_equal(gray, np.rint((65535 - VALUES.astype(int) * 16) / 257).astype(np.uint8))


def test_a_modality_table_is_followed_before_the_window():
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    table = Dataset()
    table.LUTDescriptor = [4096, 0, 16]
    table.add_new("LUTData", "US", [value // 2 for value in range(4096)])
    table.ModalityLUTType = "US"
    window = {"WindowCenter": 1024, "WindowWidth": 1000}
    gray = load_gray(dicom(ModalityLUTSequence=Sequence([table]), **window))
    assert np.array_equal(gray, load_gray(dicom(VALUES // 2, **window)))
    assert 0 < np.count_nonzero(gray == 255) < gray.size


@pytest.mark.parametrize("name", ["MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "MR_small_RLE.dcm"])
def test_compression_without_loss_changes_nothing(name):
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    assert np.array_equal(load_gray(folder / name), load_gray(folder / "MR_small.dcm"))


def test_a_window_that_misses_every_value_is_not_black():
    assert np.ptp(load_gray(dicom(WindowCenter=60000, WindowWidth=10))) == 255


def test_overlay_bits_above_the_stored_ones_are_ignored():
    assert np.array_equal(load_gray(dicom(VALUES | 0xF000)), load_gray(dicom()))


def test_signed_values():
    signed = VALUES.astype(np.int16) - 2048
    gray = load_gray(dicom(signed, PixelRepresentation=1, BitsStored=16, HighBit=15))
    assert np.array_equal(gray, load_gray(dicom()))


@pytest.mark.parametrize(
    ("elements", "said"),
    [
        ({"values": np.stack([VALUES, VALUES]), "NumberOfFrames": 2}, "2 frames"),
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "colours"),
        ({"Rows": 30000, "Columns": 30000}, "30000 x 30000"),
        ({"PixelData": None}, "without pixels"),
        ({"PixelData": VALUES.tobytes()[:40]}, "its PixelData has 40 of 128 bytes"),
        ({"PixelData": b""}, "PixelData is empty"),
        ({"BitsStored": None}, "unreadable DICOM: it has no BitsStored"),
        ({"Rows": None}, "unreadable DICOM: it has no Rows"),
        ({"PhotometricInterpretation": None}, "unreadable DICOM: it has no PhotometricInterpretation"),
    ],
)
def test_what_is_no_radiograph_is_refused_without_naming_the_patient(elements, said):
    with pytest.raises(ImageError, match=said) as caught:
        load_gray(dicom(**elements))
    assert "Secret" not in str(caught.value)


@pytest.mark.real
@pytest.mark.skipif(not REAL, reason="CXR_REAL_DATA names no folder of real radiographs")
def test_the_real_monochrome1_radiograph_has_dark_air_and_bright_spine():
    gray = load_gray(Path(REAL or "") / "dicom" / "RG1_UNCR.dcm")
    assert gray.shape == (1955, 1841)
    lung, spine = gray[600:800, 1150:1250].mean(), gray[1200:1400, 880:960].mean()
    assert lung + 40 < spine


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"WindowCenter": 2048, "WindowWidth": 1024},
        {"WindowCenter": 2048, "WindowWidth": 1024, "VOILUTFunction": "LINEAR_EXACT"},
        {"WindowCenter": 2048, "WindowWidth": 2048, "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": 99999, "WindowWidth": 2},
    ],
)
def test_values_at_full_depth_and_their_ends_show_what_a_reader_sees(elements):
    from cxr_lightning.shards.dicom import read_frame

    frame = read_frame(dicom(PhotometricInterpretation="MONOCHROME1", ViewPosition="LL", **elements), 10**6)
    shown = ((frame.values - frame.low) / (frame.high - frame.low)).clip(0, 1) * 255
    assert np.abs((255 - shown) - frame.gray).max() <= 1
    assert (frame.negative, frame.bits, frame.position, frame.part) == (True, 12, "LL", "")


def compressed(rows: int, columns: int, format: str, **elements: Any) -> bytes:
    from pydicom.encaps import encapsulate
    from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit

    buffer = io.BytesIO()
    Image.fromarray(np.zeros((rows, columns), np.uint8)).save(buffer, format)
    settings = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelData": encapsulate([buffer.getvalue()])}
    data = pydicom.dcmread(io.BytesIO(dicom(np.zeros((64, 64), np.uint16), **{**settings, **elements})))
    data.file_meta.TransferSyntaxUID = JPEG2000Lossless if format == "JPEG2000" else JPEGBaseline8Bit
    data["PixelData"].is_undefined_length = True
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.parametrize("format", ["JPEG2000", "JPEG"])
def test_compressed_pixels_that_are_larger_than_the_header_says_are_not_decoded(format, monkeypatch):
    assert load_gray(compressed(64, 64, format)).shape == (64, 64)
    monkeypatch.setattr("cxr_lightning.shards.dicom._stored", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ImageError, match="128 x 96, and a header that says 64 x 64"):
        load_gray(compressed(96, 128, format))
    with pytest.raises(ImageError, match=r"more pixels than any radiograph has \(5,000\)"):
        load_gray(compressed(96, 128, format, Rows=50, Columns=50), most_pixels=5000)


def deflated(**elements: Any) -> bytes:
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    data = pydicom.dcmread(io.BytesIO(dicom(**elements)))
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def test_deflated_files_are_inflated_as_far_as_a_radiograph_goes():
    assert np.array_equal(load_gray(deflated()), load_gray(dicom()))
    assert other_than_chest(deflated(BodyPartExamined="HAND")) == "its header says HAND, not chest"
    bomb = deflated(PixelData=bytes(40_000_000))
    assert len(bomb) < 60_000
    with pytest.raises(ImageError, match="inflates to more than"):
        load_gray(bomb, most_pixels=1_000_000)
    with pytest.raises(ImageError, match="cut off in its deflated part"):
        load_gray(deflated()[:-20])
    with pytest.raises(ImageError, match="cannot be inflated"):
        load_gray(deflated()[:300] + b"\xff" * 200)


@pytest.mark.parametrize(
    ("elements", "said"),
    [
        ({"PixelData": VALUES.tobytes() * 3}, "3 frames|unreadable"),
        ({"RescaleSlope": "NaN", "RescaleIntercept": "0"}, "RescaleSlope is no number"),
        ({"RescaleSlope": "1", "RescaleIntercept": "inf"}, "RescaleIntercept is no number"),
        ({"PresentationIntentType": "FOR PROCESSING"}, "FOR PRESENTATION"),
        ({"BitsStored": 0}, "0 bits stored of 16"),
        ({"PhotometricInterpretation": "Secret^Person"}, r"colours \(something else\)"),
    ],
)
def test_what_would_be_shown_wrongly_is_refused(elements, said):
    with pytest.raises(ImageError, match=said) as refused:
        load_gray(dicom(**elements))
    assert "Secret" not in str(refused.value)


LOW = VALUES // 2
"""No mirror of itself, as `VALUES` are."""


def rewritten(data: bytes, before: bytes, after: bytes) -> bytes:
    """Writes what pydicom would not write."""
    assert data.count(before) == 1
    assert len(before) == len(after)
    return data.replace(before, after)


@pytest.mark.parametrize("said", [b"monochrome1 ", b"Monochrome1 ", b" MONOCHROME1", b"MONOCHROME1\0", b"MONOCHROME 1"])
def test_a_sense_that_is_written_carelessly_is_followed(said):
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    data = dicom(LOW, PhotometricInterpretation="MONOCHROME1", **window)
    gray = load_gray(rewritten(data, b"MONOCHROME1 ", said))
    assert np.array_equal(gray, load_gray(data))
    assert np.array_equal(gray, 255 - load_gray(dicom(LOW, **window)))


def test_an_empty_window_is_passed_over():
    right = load_gray(dicom(LOW, WindowCenter=1500, WindowWidth=1000))
    data = dicom(LOW, WindowCenter=["9", "1500"], WindowWidth=["9", "1000"])
    data = rewritten(rewritten(data, b"9\\1500", b" \\1500"), b"9\\1000", b" \\1000")
    assert np.array_equal(load_gray(data), right)
    alone = dicom(LOW, WindowCenter="1500", WindowWidth="1000")
    for text in (b"    ", b"none", b"\\\\\\ "):
        assert np.array_equal(load_gray(rewritten(alone, b"1500", text)), load_gray(dicom(LOW)))


def test_a_decimal_comma_is_read():
    told = {"WindowCenter": "1500.5", "WindowWidth": "1000.5", "RescaleSlope": "1.25", "RescaleIntercept": "-9.5"}
    data, comma = dicom(LOW, **told), dicom(LOW, **told)
    for text in (b"1500.5", b"1000.5", b"1.25", b"-9.5"):
        comma = rewritten(comma, text, text.replace(b".", b","))
    assert np.array_equal(load_gray(comma), load_gray(data))


@pytest.mark.parametrize("name", ["SamplesPerPixel", "PixelRepresentation", "HighBit"])
def test_what_gray_files_leave_out_is_what_all_mean(name):
    assert np.array_equal(load_gray(dicom(LOW, **{name: None})), load_gray(dicom(LOW)))


def test_rescaling_that_is_empty_is_none():
    assert np.array_equal(load_gray(dicom(LOW, RescaleSlope="", RescaleIntercept="")), load_gray(dicom(LOW)))
    data = dicom(LOW, RescaleSlope="1.25", RescaleIntercept="0")
    with pytest.raises(ImageError, match="its RescaleSlope is no number") as refused:
        load_gray(rewritten(data, b"1.25", b"Anna"))
    assert "Anna" not in str(refused.value)


@pytest.mark.parametrize(
    "part", ["TORAX", "TÓRAX", "TORACE", "POUMON", "BRUST", "CXR", "PULMON", "LUNG", "Chest 2 View"]
)
def test_a_chest_is_a_chest_in_any_language(part):
    assert other_than_chest(dicom(SpecificCharacterSet="ISO_IR 192", BodyPartExamined=part)) is None


def test_padding_is_a_stored_value_or_a_range_of_them():
    values = np.tile(np.arange(3000, 3064, dtype=np.uint16), (64, 1))
    values[:8], values[8:16] = 0, 5
    told = {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 5, "RescaleSlope": "1", "RescaleIntercept": "-1024"}
    gray = load_gray(dicom(values, **told))
    assert gray[20].min() == 0
    assert gray[20].max() == 255
    assert not gray[:16].any()


def test_nothing_of_a_header_is_logged(caplog, capfd):
    caplog.set_level("DEBUG")
    data = dicom(PatientID="x").replace(b"CS\x0c\x00MONOCHROME2 ", b"CS\x0c\x00Secret^Name ")
    with pytest.raises(ImageError):
        load_gray(data)
    assert "Secret" not in caplog.text + "".join(capfd.readouterr())
