"""What the viewer gets is the file at its full depth, and its own window shows what the model reads."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from cxr_lightning.serve.web.film import Film, read_film
from cxr_lightning.shards.images import ImageError
from tests.serve.web.conftest import png

pytest.importorskip("pydicom")
pytestmark = pytest.mark.quick


def values(film: Film) -> np.ndarray:
    integers = np.frombuffer(gzip.decompress(film.packed), "<u2").reshape(film.gray.shape)
    return film.base + film.step * integers.astype(float)


def as_shown(film: Film) -> np.ndarray:
    gray = ((values(film) - film.low) / (film.high - film.low)).clip(0, 1) * 255
    return 255 - gray if film.negative else gray


def files() -> dict[str, bytes]:
    from tests.shards.test_dicom import VALUES, dicom

    return {
        "plain": dicom(),
        "negative": dicom(PhotometricInterpretation="MONOCHROME1", WindowCenter=1000, WindowWidth=900),
        "rescaled": dicom(RescaleSlope=0.25, RescaleIntercept=-100.5),
        "sigmoid": dicom(WindowCenter=2048, WindowWidth=2048, VOILUTFunction="SIGMOID"),
        "8 bits": png((VALUES // 16).astype(np.uint8)),
        "16 bits": png(VALUES),
        "flat": png(np.full((4, 4), 7, np.uint8)),
    }


@pytest.mark.parametrize("name", files())
def test_its_own_window_shows_what_the_model_reads(name):
    film = read_film(files()[name])
    assert np.abs(as_shown(film) - film.gray).max() <= 1


@pytest.mark.parametrize("name", ["plain", "negative", "rescaled", "16 bits"])
def test_no_depth_is_lost(name):
    from tests.shards.test_dicom import VALUES

    expected = VALUES * 0.25 - 100.5 if name == "rescaled" else VALUES
    assert np.abs(values(read_film(files()[name])) - expected).max() < 0.02


def test_a_view_in_the_header_is_taken():
    from tests.shards.test_dicom import dicom

    places = {view: read_film(dicom(ViewPosition=view)).position for view in ("PA", "AP", "LL", "LATERAL", "LLD", "")}
    assert places == {"PA": "frontal", "AP": "frontal", "LL": "lateral", "LATERAL": "lateral", "LLD": None, "": None}


def test_nothing_of_the_header_goes_to_the_browser():
    assert "Secret" not in str(read_film(files()["plain"]).described())


@pytest.mark.parametrize(("element", "why"), [("BodyPartExamined", "HAND"), ("Modality", "CT")])
def test_what_is_no_chest_radiograph_is_refused(element, why):
    from tests.shards.test_dicom import dicom

    content = dicom(**{element: why})
    with pytest.raises(ImageError, match=why):
        read_film(content)
    assert why in read_film(content, any_body_part=True).described()["warning"]
