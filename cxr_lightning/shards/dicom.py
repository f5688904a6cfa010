"""DICOM files enter, gray levels as a reader would see them leave.

The order is the standard's: stored values, what `levels.py` shows them as, then the photometric sense (MONOCHROME1 is
stored as a negative). Overlay planes (groups 60xx) stay out, and what is burnt into the pixels stays in.
"""

from __future__ import annotations

import logging
import re
import unicodedata
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.shards.dataset import read_dataset
from cxr_lightning.shards.elements import GRAY, element, settle, whole_number
from cxr_lightning.shards.encapsulated import Compressed, compressed_frame
from cxr_lightning.shards.images import MOST_PIXELS, Gray, ImageError, check_size, is_dicom, opened
from cxr_lightning.shards.levels import Levels, Stored, Values, levels_of
from cxr_lightning.shards.tables import looked_up

# pydicom's warnings and log quote elements, and elements name patients. Once, for threads share these switches.
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
warnings.filterwarnings("ignore", module=r"pydicom(\.|$)")
warnings.filterwarnings("ignore", module=r"cxr_lightning\.shards\.(dataset|dicom|elements|encapsulated|levels)$")

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
    _, stored, levels = _read(data, most_pixels)
    return looked_up(stored, levels.gray)


def read_frame(data: bytes, most_pixels: int) -> Frame:
    """Read the single frame of a DICOM file at its full depth.

    Args:
        data: The file's content.
        most_pixels: Refuse larger frames, before decompressing them.

    Raises:
        ImageError: pydicom is absent, or the file is damaged, holds several frames, or is not gray.
    """
    header, stored, levels = _read(data, most_pixels)
    words = {name: str(header.get(name) or "").strip() for name in ("Modality", "BodyPartExamined", "ViewPosition")}
    return Frame(
        gray=looked_up(stored, levels.gray),
        values=looked_up(stored, levels.values),
        low=levels.low,
        high=levels.high,
        negative=header.PhotometricInterpretation == "MONOCHROME1",
        bits=int(header.BitsStored),
        modality=words["Modality"],
        part=words["BodyPartExamined"],
        position=words["ViewPosition"],
    )


def _read(data: bytes, most_pixels: int) -> tuple[Any, Stored, Levels]:
    try:
        import pydicom  # noqa: F401
    except ImportError:
        raise ImageError("reading DICOM needs pydicom: pip install 'cxr-lightning[dicom]'") from None
    try:
        header = read_dataset(data, most_pixels)
        _check(header, most_pixels)
        frame = compressed_frame(header, most_pixels)
        _check_gray(header, frame)
        stored = _stored(header, frame)
        return header, stored, levels_of(stored, header)
    except (ImageError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # pydicom and its decoders raise nearly every type; those in Rust, panics
        # Only the type of the error, for its text quotes elements, and elements name patients.
        raise ImageError(f"unreadable DICOM ({type(error).__name__}): damaged or cut off") from None


def other_than_chest(data: bytes) -> str | None:
    """Says what a DICOM file shows, where its header says that it is no radiograph of a chest.

    Many archives leave BodyPartExamined (0018,0015) empty, and what says nothing passes.

    Args:
        data: The file's content; PNG, JPEG and DICOM that cannot be read pass, for they say nothing.

    Returns:
        What it shows, in words for an error.
    """
    if not is_dicom(data):
        return None
    try:
        header = read_dataset(
            data, MOST_PIXELS, stop_before_pixels=True, specific_tags=["Modality", "BodyPartExamined"]
        )
        modality, part = (str(header.get(name) or "").upper() for name in ("Modality", "BodyPartExamined"))
    except Exception:  # whatever is wrong with it, decoding says better
        return None
    if modality in _OTHER_MODALITIES:
        return f"its header says {_OTHER_MODALITIES[modality]} ({modality}), not a radiograph"
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", part) if not unicodedata.combining(letter))
    if part.strip() and not _CHEST.search(plain):
        return f"its header says {_code(plain)}, not chest"
    return None


def _check(header: Any, most_pixels: int) -> None:
    if "PixelData" not in header:
        raise ImageError("a DICOM file without pixels")
    if not header.PixelData:
        raise ImageError("a DICOM file whose PixelData is empty; export it again")
    settle(header)
    check_size(whole_number(header, "Columns"), whole_number(header, "Rows"), most_pixels)
    frames = 1 if element(header, "NumberOfFrames") is None else whole_number(header, "NumberOfFrames") or 1
    if frames != 1:
        raise _several(frames)
    if str(element(header, "PresentationIntentType") or "").strip().upper() == "FOR PROCESSING":
        raise ImageError(
            "a detector's raw values (FOR PROCESSING), which no reader sees; export the image FOR PRESENTATION"
        )
    bits, allocated = whole_number(header, "BitsStored"), whole_number(header, "BitsAllocated")
    if not 1 <= bits <= allocated:
        raise ImageError(f"{bits} bits stored of {allocated}")


def _check_gray(header: Any, frame: Compressed | None) -> None:
    """Refuses colours; a codestream of one component is gray, whatever a careless header calls it."""
    kind = str(header.PhotometricInterpretation).strip().upper()
    if frame is not None and frame.components == 1 and kind.startswith(("RGB", "YBR")):
        header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    elif whole_number(header, "SamplesPerPixel") != 1 or kind not in GRAY:
        raise ImageError(f"colours ({_code(kind)}), probably a screenshot; radiographs are MONOCHROME1 or MONOCHROME2")


def _several(frames: int) -> ImageError:
    return ImageError(f"{frames} frames; a radiograph has one, so export the frame that was reported")


def _code(text: str) -> str:
    """Returns what looks like a code; people write all kinds of things into headers, names too."""
    return text.strip() if _CODE.fullmatch(text.strip()) else "something else"


def _stored(header: Any, frame: Compressed | None) -> Stored:
    """Decodes the frame to what was stored: its bits alone, with their sign."""
    if frame is not None and frame.components != int(header.SamplesPerPixel):
        return _gray_of_colours(frame)
    needed = -(-int(header.Rows) * int(header.Columns) * int(header.BitsAllocated) // 8)
    if frame is None and len(header.PixelData) < needed:
        raise ImageError(f"cut off: its PixelData has {len(header.PixelData)} of {needed} bytes")
    from pydicom.pixels import pixel_array

    values: NDArray[Any] = pixel_array(header, raw=True, view_only=True, correct_unused_bits=False)
    if values.ndim != 2:  # whatever the header says, or leaves out
        raise _several(len(values))
    return _own_bits(values, header, frame)


def _gray_of_colours(frame: Compressed) -> Stored:
    """Takes the lightness of a JPEG that was written in colours, though its header says what it is: gray."""
    if frame.kind != "JPEG":
        raise ImageError(f"{frame.kind} of {frame.components} components, and a header that says gray")
    with opened(frame.data) as image:
        return np.asarray(image.convert("L"))


def _own_bits(values: NDArray[Any], header: Any, frame: Compressed | None) -> Stored:
    """Leaves out the bits beside the stored ones, in which old modalities keep overlays."""
    bits, signed = int(header.BitsStored), int(header.PixelRepresentation) == 1
    if bits > 16:
        raise ImageError(f"{bits} bits stored; a radiograph has at most 16")
    if values.dtype.itemsize > 2:
        values = values.astype(np.int16 if signed else np.uint16)  # the low bits, which are the stored ones
    values = np.ascontiguousarray(values, values.dtype.newbyteorder("="))
    spare = 8 * values.dtype.itemsize - bits
    if spare <= 0:
        return values
    below = 0
    if frame is None or frame.kind == "RLE":  # other codecs bring their values down
        below = _below(values, bits, spare, header)
    least, most = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if not below and int(values.min()) >= least and int(values.max()) <= most:
        return values
    if frame is not None and frame.overshoots:  # white must not begin anew as black
        return values.clip(least, most)
    return np.right_shift(np.left_shift(values, spare - below), spare)


def _below(values: NDArray[Any], bits: int, spare: int, header: Any) -> int:
    """Returns how many bits lie below the stored ones, as HighBit says; none where the values show that it is careless.

    They do where nothing stands above as many bits as there are, and the bits that were to be left out differ.
    """
    said = element(header, "HighBit")
    below = bits - 1 if said is None else int(said)
    below += 1 - bits
    if not 0 < below <= spare:
        return 0
    beside = values & ((1 << below) - 1)
    if int(beside.min()) == int(beside.max()):
        return below
    half = 1 << (bits - 1) if values.dtype.kind == "i" else 0  # below nought, what is above them repeats the sign
    return 0 if int(values.min()) >= -half and int(values.max()) < 1 << bits else below
