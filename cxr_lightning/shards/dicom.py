"""DICOM files enter, gray levels as a reader would see them leave.

The order is the standard's: stored values, modality rescale to physical ones, the window that the modality proposes,
then the photometric sense (MONOCHROME1 is stored as a negative). Where no window is given, the values' own range is
used. Formulas: DICOM PS3.3, C.11.2.1.2 and C.11.2.1.3.
"""

from __future__ import annotations

import io
import logging
import math
import re
import unicodedata
import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.shards.encapsulated import INFLATING, require_same_size
from cxr_lightning.shards.images import Gray, ImageError, check_size, stretch

Values = NDArray[np.float32]

# pydicom's warnings and log quote elements, and elements name patients. Once, for threads share these switches.
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
warnings.filterwarnings("ignore", module=r"cxr_lightning\.shards\.(dicom|encapsulated)$")

_CHEST = re.compile(
    # As archives write it, in the languages of their hospitals.
    "CHEST|THORA|TORA[XCK]|LUNG|PULM|POUMON|POLMON|BRUST|CXR|HEART|RIB|STERN|CLAVIC|TORSO"
)
_OTHER_MODALITIES = {
    "CT": "computed tomography", "MR": "magnetic resonance", "US": "ultrasound", "MG": "mammography",
    "PT": "positron emission", "NM": "nuclear medicine", "ECG": "electrocardiography",
}  # fmt: skip
_CODE = re.compile(r"[A-Z0-9 _-]{1,16}")


@dataclass(frozen=True)
class Frame:
    """The single frame of a DICOM file, with what a viewer needs and nothing about the patient.

    Attributes:
        gray: As a reader would see it, 8 bits.
        values: At full depth, of the same shape: rescaled, and bent where the file asks for a curve.
        low: The value that is shown as one end of gray; `high` is the other.
        high: See `low`.
        negative: Whether low values are shown bright (MONOCHROME1).
        bits: Bits stored a pixel.
        modality: Such as CR or DX, or empty.
        part: BodyPartExamined, or empty.
        position: ViewPosition, such as PA or LL, or empty.
    """

    gray: Gray
    values: Values
    low: float
    high: float
    negative: bool
    bits: int
    modality: str
    part: str
    position: str


def load_dicom(data: bytes, most_pixels: int) -> Gray:
    """Render the single frame of a DICOM file.

    Args:
        data: The file's content.
        most_pixels: Refuse larger frames, before decompressing them.

    Returns:
        Gray levels of shape (rows, columns).

    Raises:
        ImageError: pydicom is absent, or the file is damaged, holds several frames, or is not gray.
    """
    return read_frame(data, most_pixels).gray


def read_frame(data: bytes, most_pixels: int) -> Frame:
    """Read the single frame of a DICOM file at its full depth.

    Args:
        data: The file's content.
        most_pixels: Refuse larger frames, before decompressing them.

    Raises:
        ImageError: pydicom is absent, or the file is damaged, holds several frames, or is not gray.
    """
    try:
        from pydicom.pixels import apply_modality_lut
    except ImportError:
        raise ImageError("reading DICOM needs pydicom: pip install 'cxr-lightning[dicom]'") from None
    try:
        header = _read(data)
        _check(header, most_pixels)
        stored = _stored(header)
        values = np.asarray(apply_modality_lut(stored, header), dtype=np.float32)
        if not np.isfinite(values).all():
            raise ImageError("values that are no numbers once they are rescaled")
        shown = _window(values, _padding(stored, header), header)
        words = {name: str(header.get(name) or "").strip() for name in ("Modality", "BodyPartExamined", "ViewPosition")}
    except ImageError:
        raise
    except Exception as error:  # pydicom and its decoders raise nearly every type there is
        # Only the type of the error, for its text quotes elements, and elements name patients.
        raise ImageError(
            f"unreadable DICOM ({type(error).__name__}); are the decoders of the dicom extra there?"
        ) from None
    negative = header.PhotometricInterpretation == "MONOCHROME1"
    gray = np.subtract(255, shown.gray) if negative else shown.gray
    bits = int(header.BitsStored)
    return Frame(gray, shown.values, shown.low, shown.high, negative, bits, *words.values())


class _Shown(NamedTuple):
    gray: Gray
    values: Values
    low: float
    high: float


def other_than_chest(data: bytes) -> str | None:
    """Says what a DICOM file shows, where its header says that it is no radiograph of a chest.

    Many archives leave BodyPartExamined (0018,0015) empty, and what says nothing passes.

    Args:
        data: The file's content; PNG, JPEG and DICOM that cannot be read pass, for they say nothing.

    Returns:
        What it shows, in words for an error.
    """
    if data[128:132] != b"DICM":
        return None
    try:
        header = _read(data, stop_before_pixels=True, specific_tags=["Modality", "BodyPartExamined"])
        modality, part = (str(header.get(name) or "").upper() for name in ("Modality", "BodyPartExamined"))
    except Exception:  # whatever is wrong with it, decoding says better
        return None
    if modality in _OTHER_MODALITIES:
        return f"its header says {_OTHER_MODALITIES[modality]} ({modality}), not a radiograph"
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", part) if not unicodedata.combining(letter))
    if part.strip() and not _CHEST.search(plain):
        return f"its header says {_code(plain)}, not chest"
    return None


def _read(data: bytes, **more: Any) -> Any:
    """Reads a header, unless it would have to be inflated: nobody knows how large that becomes."""
    import pydicom
    from pydicom.filereader import _read_file_meta_info, read_preamble

    file = io.BytesIO(data)
    read_preamble(file, False)
    if str(_read_file_meta_info(file).get("TransferSyntaxUID", "")) in INFLATING:
        raise ImageError("deflated DICOM, which is not inflated here; write it anew: dcmconv --write-xfer-little")
    return pydicom.dcmread(io.BytesIO(data), **more)


def _check(header: Any, most_pixels: int) -> None:
    if "PixelData" not in header:
        raise ImageError("a DICOM file without pixels")
    check_size(int(header.Columns), int(header.Rows), most_pixels)
    frames = int(header.get("NumberOfFrames", None) or 1)
    if frames != 1:
        raise _several(frames)
    kind = str(header.PhotometricInterpretation)
    if int(header.SamplesPerPixel) != 1 or not kind.startswith("MONOCHROME"):
        raise ImageError(f"colours ({_code(kind)}), probably a screenshot; radiographs are MONOCHROME1 or MONOCHROME2")
    if str(header.get("PresentationIntentType") or "").strip().upper() == "FOR PROCESSING":
        raise ImageError(
            "a detector's raw values (FOR PROCESSING), which no reader sees; export the image FOR PRESENTATION"
        )
    bits = int(header.BitsStored)
    if not 1 <= bits <= int(header.BitsAllocated):
        raise ImageError(f"{bits} bits stored of {int(header.BitsAllocated)}")
    for name in ("RescaleSlope", "RescaleIntercept"):
        number = header.get(name)
        if number not in (None, "") and not math.isfinite(float(number)):
            raise ImageError(f"{name} is no number")
    require_same_size(header, most_pixels)


def _several(frames: int) -> ImageError:
    return ImageError(f"{frames} frames; a radiograph has one, so export the frame that was reported")


def _code(text: str) -> str:
    """Returns what looks like a code; people write all kinds of things into headers, names too."""
    return text.strip() if _CODE.fullmatch(text.strip()) else "something else"


def _stored(header: Any) -> NDArray[np.generic]:
    values: NDArray[np.generic] = header.pixel_array
    if values.ndim != 2:  # whatever the header says, or leaves out
        raise _several(len(values))
    bits = int(header.BitsStored)
    if int(header.PixelRepresentation) == 0 and bits < int(header.BitsAllocated):
        # Old modalities keep overlays in the unused high bits.
        values = np.bitwise_and(values.astype(np.uint32), np.uint32((1 << bits) - 1))
    return values


def _padding(stored: NDArray[np.generic], header: Any) -> NDArray[np.bool_] | None:
    """Returns which pixels are no image: padding is a stored value, or a range of them (PS3.3, C.7.5.1.1.2)."""
    value = header.get("PixelPaddingValue")
    if value in (None, ""):
        return None
    limit = header.get("PixelPaddingRangeLimit")
    ends = [int(value), int(value if limit in (None, "") else limit)]
    if int(header.PixelRepresentation) == 0:
        ends = [end & ((1 << int(header.BitsStored)) - 1) for end in ends]
    inside: NDArray[np.bool_] = np.greater_equal(stored, min(ends)) & np.less_equal(stored, max(ends))
    return inside


def _window(values: Values, padding: NDArray[np.bool_] | None, header: Any) -> _Shown:
    centre, width = _first(header.get("WindowCenter")), _first(header.get("WindowWidth"))
    if centre is None or width is None:
        return _through_table(values, padding, header)
    full = values
    function = str(header.get("VOILUTFunction", "") or "LINEAR").upper()
    if function == "SIGMOID" and width > 0:
        # Clipped, for exp overflows where a window is narrow; e^-60 is black all the same.
        share = 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -60.0, 60.0)))
        low, high, full = 0.0, 1.0, share
    elif function == "LINEAR_EXACT" and width > 0:
        share = (values - centre) / width + 0.5
        low, high = centre - width / 2, centre + width / 2
    elif width > 1:
        share = (values - (centre - 0.5)) / (width - 1.0) + 0.5
        low, high = centre - 0.5 - (width - 1.0) / 2, centre - 0.5 + (width - 1.0) / 2
    else:
        return _whole(values)
    if float(np.ptp(share.clip(0.0, 1.0))) == 0.0 and float(np.ptp(values)) > 0.0:
        # The window misses every value: it belongs to another series, and black is not what anyone saw.
        return _whole(values)
    return _Shown(np.rint(share.clip(0.0, 1.0) * 255.0).astype(np.uint8), full, low, high)


def _through_table(values: Values, padding: NDArray[np.bool_] | None, header: Any) -> _Shown:
    if not header.get("VOILUTSequence"):
        inside = values if padding is None else values[~padding]
        return _whole(values.clip(inside.min(), inside.max())) if inside.size else _whole(values)
    from pydicom.pixels import apply_voi

    return _whole(np.asarray(apply_voi(values.astype(np.int32), header, index=0), dtype=np.float32))


def _whole(values: Values) -> _Shown:
    """Shows the values' own range."""
    return _Shown(stretch(values), values, float(values.min()), float(values.max()))


def _first(value: Any) -> float | None:
    """Take the first of several windows: it is the one that the modality prefers."""
    if value is None or value == "":
        return None
    many = list(value) if hasattr(value, "__iter__") and not isinstance(value, str) else [value]
    first = float(many[0]) if many else math.nan
    return first if math.isfinite(first) else None
