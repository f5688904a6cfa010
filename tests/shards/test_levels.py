"""Gray levels are those of the standard: as pydicom works them out, wherever it does."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxr_lightning.shards.images import ImageError, load_gray, stretch
from tests.shards.test_dicom import dicom

pydicom = pytest.importorskip("pydicom")
pytestmark = pytest.mark.quick

from pydicom.dataset import Dataset  # noqa: E402  (needs the extra)
from pydicom.pixels import apply_modality_lut, apply_voi, apply_windowing  # noqa: E402
from pydicom.sequence import Sequence  # noqa: E402

RAMP = np.linspace(1000, 2000, 64 * 64).reshape(64, 64).astype(np.uint16)


def lut(entries: np.ndarray, first: int, bits: int, *, signed: bool = False) -> Sequence:
    """Writes a table as a file has it, so that it is read as a file's is."""
    table = Dataset()
    table.add_new("LUTDescriptor", "SS" if signed else "US", [len(entries) % 65536, first, bits])
    table.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    table.ModalityLUTType = "US"
    return Sequence([table])


def off(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one.astype(int) - np.rint(other).astype(int)).max())


def by_pydicom(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Returns physical values and the gray that pydicom makes of them."""
    header = pydicom.dcmread(io.BytesIO(data))
    bits, signed = header.BitsStored, header.PixelRepresentation == 1
    physical = apply_modality_lut(header.pixel_array, header)
    if "VOILUTSequence" in header:
        most = 2 ** header.VOILUTSequence[0].LUTDescriptor[2] - 1
        return physical, apply_voi(np.rint(physical).astype(np.int64), header) * (255.0 / most)
    ends = np.array([-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] if signed else [0, 2**bits - 1], dtype=np.float64)
    if "ModalityLUTSequence" in header:
        ends = np.array([0.0, 2 ** header.ModalityLUTSequence[0].LUTDescriptor[2] - 1])
    elif "RescaleSlope" in header:
        ends = ends * float(header.RescaleSlope) + float(header.RescaleIntercept)
    return physical, (apply_windowing(physical, header) - ends[0]) * (255.0 / (ends[1] - ends[0]))


@st.composite
def films(draw: st.DrawFn) -> tuple[dict[str, Any], float, float]:
    """A film of any range, wide or narrow, and the ends of its physical values."""
    bits, signed = draw(st.integers(8, 16)), draw(st.booleans())
    least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    low = draw(st.integers(least, most - 1))
    high = draw(st.integers(low + 1, most))
    kind = np.int16 if signed else np.uint16
    values = np.linspace(low, high, 24 * 32).round().reshape(24, 32).astype(kind)
    told: dict[str, Any] = {"BitsStored": bits, "HighBit": bits - 1, "PixelRepresentation": int(signed)}
    slope, shift = 1.0, 0.0
    if draw(st.booleans()):
        slope = draw(st.sampled_from([0.25, 0.3, 0.75, 1.0, 1.7, 2.0, -1.0, -0.4]))
        shift = draw(st.sampled_from([0.0, -1024.0, 0.5, 12.25, 300.0]))
        told |= {"RescaleSlope": f"{slope}", "RescaleIntercept": f"{shift}"}
    ends = sorted((low * slope + shift, high * slope + shift))
    return {"values": values, **told}, ends[0], ends[1]


def is_as_pydicom_has_it(data: bytes) -> None:
    physical, theirs = by_pydicom(data)
    shown = np.rint(theirs)
    if max((shown == 0).mean(), (shown == 255).mean()) > 0.99 and np.ptp(physical) > 0:
        theirs = stretch(physical).astype(float)  # what misses the film is not followed
    assert off(load_gray(data), theirs) <= 1


@settings(max_examples=60, deadline=None)
@given(
    films(), st.floats(-0.3, 1.3), st.floats(0.05, 3.0), st.sampled_from([None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
)
def test_windows_are_as_pydicom_has_them(film, middle, share, function):
    told, low, high = film
    centre = round(low + middle * (high - low), 1)
    width = max(1.0, round(share * (high - low), 1))
    is_as_pydicom_has_it(dicom(**told, WindowCenter=f"{centre}", WindowWidth=f"{width}", VOILUTFunction=function))


@settings(max_examples=60, deadline=None)
@given(
    films(), st.integers(10, 16), st.integers(2, 600), st.integers(-40, 40), st.sampled_from(["up", "down", "gamma"])
)
def test_tables_are_as_pydicom_has_them(film, bits, entries, before, shape):
    told, low, _ = film
    first = min(max(int(low) + before, -32768), 32767)
    rising = np.linspace(0, 1, entries) ** (2.2 if shape == "gamma" else 1.0)
    made = ((1 - rising if shape == "down" else rising) * (2**bits - 1)).round()
    is_as_pydicom_has_it(dicom(**told, VOILUTSequence=lut(made, first, bits, signed=True)))


@settings(max_examples=30, deadline=None)
@given(films(), st.sampled_from([8, 16]), st.integers(2, 600), st.floats(0.1, 0.9), st.floats(0.1, 2.0))
def test_modality_tables_are_as_pydicom_has_them(film, bits, entries, middle, share):
    told = {name: value for name, value in film[0].items() if not name.startswith("Rescale")}  # a file has one of both
    most, least = 2**bits - 1, int(told["values"].min())
    table = lut(np.linspace(0, most, entries).round(), min(max(least - 5, -32768), 32767), bits, signed=True)
    if told["PixelRepresentation"] == 0:
        table = lut(np.linspace(0, most, entries).round(), max(least - 5, 0), bits)
    window = {"WindowCenter": round(middle * most), "WindowWidth": max(2, round(share * most))}
    is_as_pydicom_has_it(dicom(**told, ModalityLUTSequence=table, **window))


@pytest.mark.parametrize("padding", [{}, {"PixelPaddingValue": 4000}])
def test_a_table_is_not_stretched_to_the_values_that_are_there(padding):
    gray = load_gray(dicom(RAMP, VOILUTSequence=lut(np.arange(4096), 0, 12), **padding))
    assert (gray.min(), gray.max()) == (62, 125)
    windowed = load_gray(dicom(RAMP, WindowCenter=2048, WindowWidth=4096))
    assert off(gray, windowed) <= 1
    eight = load_gray(dicom(RAMP, VOILUTSequence=lut(np.arange(4096) // 16, 0, 8)))
    assert off(gray, eight) <= 1


def test_values_are_rounded_before_they_are_looked_up():
    values = np.arange(64, dtype=np.uint16).reshape(8, 8)
    half = {"RescaleSlope": "0.3", "RescaleIntercept": "0"}
    gray = load_gray(dicom(values, VOILUTSequence=lut(np.arange(20) * 50, 0, 10), **half))
    assert np.array_equal(gray, np.rint(np.rint(values * 0.3) * 50 * (255 / 1023)).astype(np.uint8))


def test_a_table_of_more_bits_than_it_fills_is_not_nearly_black():
    of_16 = load_gray(dicom(RAMP, VOILUTSequence=lut(np.arange(4096), 0, 16)))
    assert np.array_equal(of_16, load_gray(dicom(RAMP, VOILUTSequence=lut(np.arange(4096), 0, 12))))


def test_a_table_of_another_series_is_not_followed():
    gray = load_gray(dicom(RAMP, VOILUTSequence=lut(np.arange(4096), 3000, 12)))
    assert np.array_equal(gray, load_gray(dicom(RAMP)))


@pytest.mark.parametrize("bits", [9, 10, 12, 14])
def test_a_modality_table_may_have_any_number_of_bits(bits):
    most = 2**bits - 1
    window = {"WindowCenter": 2 ** (bits - 1), "WindowWidth": 2**bits}
    gray = load_gray(dicom(RAMP, ModalityLUTSequence=lut(np.arange(4096) * most // 4095, 0, bits), **window))
    assert off(gray, load_gray(dicom(RAMP, WindowCenter=2048, WindowWidth=4096))) <= 1


def test_a_damaged_table_is_named():
    table = lut(np.arange(4096), 0, 12)
    table[0].LUTDescriptor = [4096, 0]
    with pytest.raises(ImageError, match="its VOILUTSequence is damaged"):
        load_gray(dicom(RAMP, VOILUTSequence=table))


WINDOW = {"WindowCenter": 1500, "WindowWidth": 400}


@pytest.mark.parametrize("window", [{}, WINDOW, {"VOILUTSequence": True}])
@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("padding", [0, 4095])
def test_padding_is_black_whatever_the_sense(window, kind, padding):
    padded = RAMP.copy()
    padded[:, :9] = padding
    told = {"PhotometricInterpretation": kind, **window}
    if "VOILUTSequence" in window:
        told["VOILUTSequence"] = lut(np.arange(4096), 0, 12)
    gray = load_gray(dicom(padded, PixelPaddingValue=padding, **told))
    assert not gray[:, :9].any()
    assert np.array_equal(gray[:, 9:], load_gray(dicom(np.ascontiguousarray(RAMP[:, 9:]), **told)))


def test_padding_of_a_signed_film_may_be_written_without_sign():
    padded = RAMP.astype(np.int16) - 1500
    padded[:, :9] = -2000
    told: dict[str, Any] = {"PixelRepresentation": 1, "PhotometricInterpretation": "MONOCHROME1"}
    data = dicom(padded, PixelPaddingValue=-2000, **told)
    assert not load_gray(data)[:, :9].any()
    assert np.array_equal(load_gray(data), load_gray(dicom(padded, PixelPaddingValue=2096, **told)))


def test_padding_that_is_the_whole_film_is_none():
    assert np.array_equal(
        load_gray(dicom(RAMP, PixelPaddingValue=0, PixelPaddingRangeLimit=4095)), load_gray(dicom(RAMP))
    )


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_at_full_depth_is_at_the_dark_end(kind):
    from cxr_lightning.shards.dicom import read_frame

    padded = RAMP.copy()
    padded[:, :9] = 4095 if kind == "MONOCHROME2" else 0
    told = {"PixelPaddingValue": int(padded[0, 0]), "PhotometricInterpretation": kind, **WINDOW}
    frame = read_frame(dicom(padded, **told), 10**6)
    shown = ((frame.values - frame.low) / (frame.high - frame.low)).clip(0, 1) * 255
    assert off(frame.gray, 255 - shown if frame.negative else shown) <= 1


def test_a_window_of_width_1_is_a_step():
    from cxr_lightning.shards.dicom import read_frame

    for centre in (1500, 1500.5):
        data = dicom(RAMP, WindowCenter=centre, WindowWidth=1)
        assert np.array_equal(load_gray(data), np.where(centre - 0.5 < RAMP, 255, 0))
        frame = read_frame(data, 10**6)
        shown = ((frame.values - frame.low) / (frame.high - frame.low)).clip(0, 1) * 255
        assert np.array_equal(frame.gray, shown)
    exact = dicom(RAMP, WindowCenter=1500, WindowWidth="0.5", VOILUTFunction="LINEAR_EXACT")
    assert np.array_equal(load_gray(exact) == 0, RAMP < 1500)
    assert np.array_equal(load_gray(dicom(RAMP, WindowCenter=1500, WindowWidth="0.5")), load_gray(dicom(RAMP)))


@pytest.mark.parametrize("bright", [False, True])
def test_a_window_that_misses_all_but_a_marker_is_not_followed(bright):
    marked = RAMP.copy() if not bright else RAMP + 30000
    marked[3, 5] = 20400
    told: dict[str, Any] = {"BitsStored": 16, "HighBit": 15}
    gray = load_gray(dicom(marked, WindowCenter=20000, WindowWidth=1000, **told))
    assert np.array_equal(gray, load_gray(dicom(marked, **told)))
    marked[:2] = 20400  # a thirtieth of the film
    gray = load_gray(dicom(marked, WindowCenter=20000, WindowWidth=1000, **told))
    assert (gray == (255 if bright else 0)).mean() > 0.9


def test_a_window_that_misses_leaves_the_film_to_the_table():
    table = {"VOILUTSequence": lut(np.arange(4096), 0, 12)}
    missing = {"WindowCenter": 20000, "WindowWidth": 1000}
    assert np.array_equal(load_gray(dicom(RAMP, **table, **missing)), load_gray(dicom(RAMP, **table)))
    assert not np.array_equal(load_gray(dicom(RAMP, **table, **WINDOW)), load_gray(dicom(RAMP, **table)))
