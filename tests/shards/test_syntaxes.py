"""A radiograph is the same in whatever transfer syntax its file comes: written in all of them, and read end to end.

JPEG 2000 and RLE are written by the packages that read them, baseline JPEG by Pillow, JPEG without loss, of 12 bits and
JPEG-LS by `codecs.py`. HTJ2K has no encoder among our packages: two small codestreams made by OpenJPH stand here.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cxr_lightning.shards.images import ImageError, load_gray
from tests.shards.codecs import jpeg_12_bits, jpeg_lossless, jpeg_ls
from tests.shards.test_dicom import dicom

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("libjpeg")
pytest.importorskip("openjpeg")
from pydicom import uid  # noqa: E402  (needs the extra)
from pydicom.encaps import encapsulate  # noqa: E402

pytestmark = pytest.mark.quick

Y, X = np.mgrid[:40, :48]
VALUES = ((X * 97 + Y * 53) % 4096 * (X > 4)).astype(np.uint16)
"""12 bits, with an edge, plain parts and slopes."""
SIGNED = VALUES.astype(np.int16) - 2048

HTJ2K = {
    uid.HTJ2KLossless: (
        "|4;u>04YEK0000W0000O00000000000000W0000O0000000000009pH0sl|{2mk^A000XAQUDA90ssL31q1{@0smY86Cj9?kdTm&kdTm&kdTmw"
        "h=~7W02crOPjF>!N>E53R%LP^FfKASE;BCwkN^q*00001JOBazlfVEbTlWPAbO68r6F>kHKmZbecJc#<bO4b20*7<}CIW|a0KfnhFaQM500h8Z"
        "(Bp510Y<a{hv5JsGysSE00DFWzyKDc00CD309Jr+zP%BLZn~G$0zl{kAO0Z#jhFzk;MY$21~50)CIFud5%~T<Apx%a(|7>D02f0509tSW1!yml"
        "&=w^tTgD%d`ynfv$t`aA`9Zo>SqBNHghmUHOPc_Nc3@|-"
        "nR&$i`UW5+`xpSUx&RG?Kk&nU`ha2RfVTj^04~A+0dK$nD}aL8fj}$30)Z+i2Lk;^0|=Ccr$C@-9`>J}(X+e$03bW{J^G%$r@vFr!Ue&LbO8(-"
        "MNt$*Q4~ed$p2KF|8fI_34X#5J^Khi_v|3C0o4C}fB%2~awu`=0(b!b*#",
        0,
    ),
    uid.HTJ2K: (
        "|4;u>04YEK0000W0000O00000000000000W0000O0000000000009pH0sl|{2mk^A001QaQUDA90ssL31q1{@0RLP7BO-"
        "@%hed})hZlcbe_Ve(cdB=)cfw#bU^QTPSQ=OwXTSes02crOPjF>!N>E53R%LP^FfKASE;BCwkN^q*00000(*ObglfVE<g9L|k0KfoC00Arj1fY"
        "}x2Xp}70S9yd<N$|s0KfpKfB_@`2*4V*&GP_)v;fl*GXMZ%0KfrV00m3{5`gidPGPLKm;h&g(pi@P(q!@uPh-"
        "920Quk`bO68wu>chi0XQrZAYfob0)%1Q7@_+FJ#jKqgGFXCTL2LF`dR(f#sI|r{Qv?r0Kf}+093#QP!uTa2^=C2ieNaClAXK!LM6f-"
        "BsirAtYXjJD{%o0P4NG8f+fZP16T0>aWIM!#{mD?",
        80,
    ),
}


def in_syntax(syntax: str, **elements: Any) -> bytes:
    """Writes a file whose elements are as given, pixels already as the syntax has them."""
    file = pydicom.dcmread(io.BytesIO(dicom(VALUES, **elements)))
    data = pydicom.Dataset(file)
    data.file_meta = file.file_meta
    data.file_meta.TransferSyntaxUID = syntax
    if uid.UID(syntax).is_encapsulated:
        data["PixelData"].is_undefined_length, data["PixelData"].VR = True, "OB"
    buffer = io.BytesIO()
    implicit, little = syntax == uid.ImplicitVRLittleEndian, syntax != uid.ExplicitVRBigEndian
    pydicom.dcmwrite(buffer, data, implicit_vr=implicit, little_endian=little, enforce_file_format=True)
    return buffer.getvalue()


def of_codestream(syntax: str, codestream: bytes, **elements: Any) -> bytes:
    return in_syntax(syntax, PixelData=encapsulate([codestream]), **elements)


def recompressed(syntax: str, data: bytes, **options: Any) -> bytes:
    """Writes a file anew by pydicom's own encoders."""
    header = pydicom.dcmread(io.BytesIO(data))
    header.compress(syntax, **options)
    buffer = io.BytesIO()
    header.save_as(buffer)
    return buffer.getvalue()


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=100)
    return buffer.getvalue()


def off(one: np.ndarray, other: np.ndarray) -> int:
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other).max())


ALL = {"WindowCenter": 2048, "WindowWidth": 4096}
"""A window of all values: levels are those of the values, in steps of 16."""


EIGHT = (VALUES >> 4).astype(np.uint8)
BITS8: dict[str, Any] = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
LOSSLESS: dict[str, Callable[[], bytes]] = {
    "implicit": lambda: in_syntax(uid.ImplicitVRLittleEndian),
    "explicit": lambda: in_syntax(uid.ExplicitVRLittleEndian),
    "big endian": lambda: in_syntax(uid.ExplicitVRBigEndian, PixelData=VALUES.astype(">u2").tobytes()),
    "deflated": lambda: in_syntax(uid.DeflatedExplicitVRLittleEndian),
    "8 bits": lambda: in_syntax(uid.ExplicitVRLittleEndian, PixelData=EIGHT.tobytes(), **BITS8),
    "JPEG, predictor 2": lambda: of_codestream(uid.JPEGLossless, jpeg_lossless(VALUES, 12, 2)),
    "JPEG, predictor 7": lambda: of_codestream(uid.JPEGLossless, jpeg_lossless(VALUES, 12, 7)),
    "JPEG SV1": lambda: of_codestream(uid.JPEGLosslessSV1, jpeg_lossless(VALUES, 12)),
    "JPEG SV1, 8 bits": lambda: of_codestream(uid.JPEGLosslessSV1, jpeg_lossless(EIGHT, 8), **BITS8),
    "JPEG-LS": lambda: of_codestream(uid.JPEGLSLossless, jpeg_ls(VALUES, 12)),
    "JPEG-LS, 8 bits": lambda: of_codestream(uid.JPEGLSLossless, jpeg_ls(EIGHT, 8), **BITS8),
    "JPEG 2000": lambda: recompressed(uid.JPEG2000Lossless, dicom(VALUES)),
    "RLE": lambda: recompressed(uid.RLELossless, dicom(VALUES)),
    "RLE, 8 bits": lambda: recompressed(uid.RLELossless, dicom(EIGHT, **BITS8)),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_without_loss_every_pixel_is_what_it_was(name):
    values = EIGHT if "8 bits" in name else VALUES
    plain = io.BytesIO()
    Image.fromarray(values.astype(np.uint16)).save(plain, "PNG")  # whose range is stretched as one without a window is
    assert off(load_gray(LOSSLESS[name]()), load_gray(plain.getvalue())) == 0


def with_loss() -> dict[str, tuple[bytes, int]]:
    """Files, and by how many of 255 gray levels they may be off."""
    baseline = jpeg(Image.fromarray(EIGHT))
    window8 = {**BITS8, "WindowCenter": 128, "WindowWidth": 256}
    return {
        "JPEG baseline": (of_codestream(uid.JPEGBaseline8Bit, baseline, **window8), 2),
        "JPEG of 12 bits": (of_codestream(uid.JPEGExtended12Bit, jpeg_12_bits(VALUES), **ALL), 1),
        "JPEG extended, 8 bits": (of_codestream(uid.JPEGExtended12Bit, baseline, **window8), 2),
        "JPEG-LS near 7": (of_codestream(uid.JPEGLSNearLossless, jpeg_ls(VALUES, 12, 7), **ALL), 1),
        "JPEG 2000": (recompressed(uid.JPEG2000, dicom(VALUES, **ALL), j2k_psnr=[70]), 3),
    }


def test_with_loss_pixels_are_off_by_as_much_as_was_lost():
    plain = load_gray(dicom(VALUES, **ALL))
    for name, (data, bound) in with_loss().items():
        assert off(load_gray(data), plain) <= bound, name


@pytest.mark.parametrize("syntax", HTJ2K, ids=lambda syntax: syntax.name)
def test_high_throughput_jpeg_2000(syntax):
    codestream, lost = HTJ2K[syntax]
    told = {**ALL, "Rows": 24, "Columns": 32}
    gray = load_gray(of_codestream(syntax, base64.b85decode(codestream), **told))
    assert off(gray, load_gray(dicom(VALUES[:24, :32], **ALL))) <= -(-lost // 16)


@pytest.mark.parametrize("bits", range(8, 17))
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.JPEG2000Lossless, uid.RLELossless])
def test_8_to_16_bits_with_and_without_sign(bits, signed, syntax):
    ramp = np.linspace(0, (1 << bits) - 1, 40 * 48).reshape(40, 48).astype(np.int32)
    values = ramp - (1 << (bits - 1)) * signed
    allocated = 8 if bits == 8 else 16
    stored = values.astype(f"{'i' if signed else 'u'}{allocated // 8}")
    told = {"BitsAllocated": allocated, "BitsStored": bits, "HighBit": bits - 1}
    data = dicom(stored, PixelRepresentation=int(signed), **told)
    data = data if syntax == uid.ExplicitVRLittleEndian else recompressed(syntax, data)
    assert off(load_gray(data), np.rint(ramp * (255 / ramp.max())).astype(np.uint8)) <= 1


def test_values_in_the_high_bits_are_brought_down():
    assert off(load_gray(dicom(VALUES << 4, HighBit=15, **ALL)), load_gray(dicom(VALUES, **ALL))) == 0
    assert off(load_gray(dicom(VALUES, HighBit=15, **ALL)), load_gray(dicom(VALUES, **ALL))) == 0  # a careless header


GARBAGE = (np.arange(VALUES.size).reshape(VALUES.shape) * 7 % 16).astype(np.uint16)


@pytest.mark.parametrize("above", [0, 2])
@pytest.mark.parametrize("signed", [False, True])
def test_bits_beside_values_in_the_high_bits_are_left_out_on_both_sides(above, signed):
    """As HighBit says: whatever stands below the values, and whatever stands above them."""
    values, told = SIGNED if signed else VALUES, {"WindowCenter": 2048 * (not signed), "WindowWidth": 4096}
    below = 4 - above
    bits = (values.astype(np.uint16) & 0x0FFF) << below | GARBAGE >> above
    bits |= (GARBAGE & (2**above - 1)) << (16 - above) if above else np.uint16(0)
    told |= {"PixelRepresentation": int(signed)}
    data = dicom(bits.astype(np.uint16), HighBit=15 - above, **told)
    plain = load_gray(dicom(values, **told))
    assert off(load_gray(data), plain) == 0
    assert off(load_gray(recompressed(uid.RLELossless, data)), plain) == 0


def test_a_dark_film_in_the_high_bits_is_not_16_times_too_bright():
    dark = VALUES >> 4
    assert off(load_gray(dicom(dark << 4, HighBit=15, **ALL)), load_gray(dicom(dark, **ALL))) == 0
    assert load_gray(dicom(dark << 4, HighBit=15, **ALL)).max() < 17


@pytest.mark.parametrize("negative", [SIGNED, (SIGNED.astype(np.uint16) & 0x0FFF).view(np.int16)])
def test_values_in_the_low_bits_stay_there_though_a_careless_header_calls_them_high(negative):
    told: dict[str, Any] = {"PixelRepresentation": 1, "WindowCenter": 0, "WindowWidth": 4096}
    assert off(load_gray(dicom(negative, HighBit=15, **told)), load_gray(dicom(SIGNED, **told))) == 0
    assert off(load_gray(dicom(VALUES, HighBit=99, **ALL)), load_gray(dicom(VALUES, **ALL))) == 0
    assert off(load_gray(dicom(VALUES, HighBit=None, **ALL)), load_gray(dicom(VALUES, **ALL))) == 0


def test_signed_values_with_an_overlay_above_them():
    overlaid = (SIGNED & 0x0FFF).astype(np.uint16) | 0x4000
    told: dict[str, Any] = {"PixelRepresentation": 1, "WindowCenter": 0, "WindowWidth": 4096}
    assert off(load_gray(dicom(overlaid, **told)), load_gray(dicom(SIGNED, **told))) == 0


@pytest.mark.parametrize("cut", [128, 132])
@pytest.mark.parametrize("name", ["implicit", "explicit", "JPEG SV1", "deflated"])
def test_without_preamble_or_prefix_it_is_dicom_still(name, cut):
    whole = LOSSLESS[name]()
    assert off(load_gray(whole[cut:]), load_gray(whole)) == 0


@pytest.mark.parametrize("name", ["implicit", "explicit", "big endian"])
def test_without_any_file_header_the_syntax_is_seen(name):
    bare = pydicom.dcmread(io.BytesIO(LOSSLESS[name]()))
    implicit, little = bare.original_encoding
    bare.SOPClassUID = bare.file_meta.MediaStorageSOPClassUID
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, pydicom.Dataset(bare), implicit_vr=implicit, little_endian=little)
    assert buffer.getvalue()[:2] == (b"\x08\x00" if little else b"\x00\x08")
    assert off(load_gray(buffer.getvalue()), load_gray(LOSSLESS[name]())) == 0


def test_a_frame_in_several_fragments_is_one_frame():
    whole = jpeg_lossless(VALUES, 12)
    parts = [whole[:101] + b"", whole[101:]]
    item = b"".join(b"\xfe\xff\x00\xe0" + len(part).to_bytes(4, "little") + part for part in (b"", *parts))
    data = in_syntax(uid.JPEGLosslessSV1, PixelData=item + b"\xfe\xff\xdd\xe0\0\0\0\0")
    assert off(load_gray(data), load_gray(dicom(VALUES))) == 0


@pytest.mark.parametrize(
    "wrong", [{"PhotometricInterpretation": "YBR_FULL_422", "SamplesPerPixel": 3}, {"PhotometricInterpretation": "RGB"}]
)
def test_a_gray_jpeg_is_gray_whatever_its_header_calls_it(wrong):
    data = jpeg(Image.fromarray(EIGHT))
    right = load_gray(of_codestream(uid.JPEGBaseline8Bit, data, **BITS8))
    assert off(load_gray(of_codestream(uid.JPEGBaseline8Bit, data, **BITS8, **wrong)), right) == 0


def test_gray_that_was_compressed_in_colours_is_gray():
    gray = Image.fromarray(EIGHT)
    right, in_colours = (
        of_codestream(uid.JPEGBaseline8Bit, jpeg(gray.convert(mode)), **BITS8) for mode in ("L", "RGB")
    )
    assert off(load_gray(in_colours), load_gray(right)) <= 2


@pytest.mark.parametrize(
    ("kind", "samples"), [("PALETTE COLOR", 1), ("RGB", 3), ("YBR_FULL", 3), ("YBR_FULL_422", 3), ("ARGB", 4)]
)
def test_colours_are_refused_with_words(kind, samples):
    with pytest.raises(ImageError, match=rf"colours \({kind}\), probably a screenshot"):
        load_gray(dicom(VALUES, PhotometricInterpretation=kind, SamplesPerPixel=samples))


def test_overlay_planes_are_not_burnt_in_and_what_is_burnt_in_stays():
    overlaid = pydicom.dcmread(io.BytesIO(dicom(VALUES)))
    for element, vr, value in ((0x10, "US", 40), (0x11, "US", 48), (0x40, "CS", "G"), (0x50, "SS", [1, 1]),
                               (0x100, "US", 1), (0x102, "US", 0), (0x3000, "OW", b"\xff" * 240)):  # fmt: skip
        overlaid.add_new((0x6000, element), vr, value)
    buffer = io.BytesIO()
    overlaid.save_as(buffer)
    assert off(load_gray(buffer.getvalue()), load_gray(dicom(VALUES))) == 0
    marked = VALUES.copy()
    marked[2:6, 2:9] = 4095
    assert load_gray(dicom(marked, BurnedInAnnotation="YES"))[3, 3] == 255


def test_a_decoder_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    from pydicom.pixels.decoders.base import Decoder

    monkeypatch.setattr(Decoder, "is_available", property(lambda _: False))
    for name, package in (("JPEG SV1", "libjpeg"), ("JPEG-LS", "libjpeg"), ("JPEG 2000", "openjpeg"), ("RLE", "rle")):
        with pytest.raises(ImageError, match=rf"pylibjpeg-{package}: pip install 'cxr-lightning\[dicom\]'"):
            load_gray(LOSSLESS[name]())


def test_every_decoder_is_in_the_extra():
    import tomllib

    from cxr_lightning.shards.encapsulated import DECODERS

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    named = {line.partition(">")[0] for line in project["optional-dependencies"]["dicom"]}
    assert named >= {"pydicom", *(package for _, package in DECODERS.values())}


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.107"])
def test_what_no_radiograph_comes_in_is_refused(syntax):
    with pytest.raises(ImageError, match=r"compressed as .*, which no radiograph is"):
        load_gray(of_codestream(syntax, b"none"))


@pytest.mark.real
def test_the_real_radiograph_is_the_same_in_every_syntax(real_data):
    path = real_data / "dicom" / "RG1_UNCR.dcm"
    header = pydicom.dcmread(path)
    part = np.ascontiguousarray(header.pixel_array[500:700, 600:800])
    header.Rows, header.Columns, header.PixelData = *part.shape, part.tobytes()
    buffer = io.BytesIO()
    header.save_as(buffer)
    plain = buffer.getvalue()
    expected = load_gray(path)[500:700, 600:800]
    assert off(load_gray(plain), expected) == 0
    own = {uid.JPEGLosslessSV1: jpeg_lossless(part, 15), uid.JPEGLossless: jpeg_lossless(part, 15, 7),
           uid.JPEGLSLossless: jpeg_ls(part, 15), uid.JPEGLSNearLossless: jpeg_ls(part, 15, 20)}  # fmt: skip
    written = {syntax: recompressed(syntax, plain) for syntax in (uid.JPEG2000Lossless, uid.RLELossless)}
    for syntax, codestream in own.items():
        header.PixelData, header.file_meta.TransferSyntaxUID = encapsulate([codestream]), syntax
        header["PixelData"].is_undefined_length, header["PixelData"].VR = True, "OB"
        buffer = io.BytesIO()
        header.save_as(buffer)
        written[syntax] = buffer.getvalue()
    for syntax, data in written.items():
        assert off(load_gray(data), expected) <= (syntax == uid.JPEGLSNearLossless), syntax.name
