from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from cxr_lightning.phantoms.archive import draw
from cxr_lightning.shards.looks import NOTHING, SAME, _ranks, _varied, known_again, look_of

REAL = Path(os.environ.get("CXR_REAL_DATA", "absent"), "open", "images")

TWIN = "roco-05528"
"""Two collections hold this film, each under a name of its own; the look is how we came to know."""


def stored(image: Image.Image, kind: str = "JPEG", quality: int = 95) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=quality)
    return buffer.getvalue()


def halved(image: Image.Image) -> Image.Image:
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)


def looks_of(images: list[bytes]) -> np.ndarray:
    return np.array([look_of(each) for each in images], dtype=np.uint64)


CHANGES = {
    "as JPEG of quality 40": (0.98, lambda film: stored(film, quality=40)),
    "as PNG": (0.98, lambda film: stored(film, "PNG")),
    "half as large": (0.98, lambda film: stored(halved(film))),
    "padded to a square": (0.85, lambda film: stored(ImageOps.pad(film, (max(film.size),) * 2))),
    "with another window": (0.9, lambda film: stored(film.point(lambda level: int(255 * (level / 255) ** 1.5)))),
    "equalised": (0.8, lambda film: stored(ImageOps.equalize(film))),
    "inverted": (0.9, lambda film: stored(ImageOps.invert(film))),
    "mirrored": (0.85, lambda film: stored(ImageOps.mirror(film))),
}
"""What may be done to a film, and the least share that is known again then."""


def require_known(films: list[Image.Image]) -> None:
    looks = looks_of([stored(film) for film in films])
    changed = {name: looks_of([change(film) for film in films]) for name, (_, change) in CHANGES.items()}
    shares = {name: float(known_again(each, looks).mean()) for name, each in changed.items()}
    assert all(shares[name] >= least for name, (least, _) in CHANGES.items()), shares
    for number in range(len(films)):
        others = np.delete(looks, number, axis=0)
        assert not known_again(looks[number : number + 1], others).any()


def test_a_drawn_film_is_known_again_and_no_other_is_taken_for_it(tmp_path):
    draw(tmp_path, studies=60, seed=3, size=256, workers=1)
    require_known([Image.open(path).convert("L") for path in sorted((tmp_path / "images").glob("*[0-9].png"))])


@pytest.mark.real
@pytest.mark.skipif(not REAL.is_dir(), reason="CXR_REAL_DATA names no folder with open/images")
def test_a_real_film_is_known_again_and_no_other_is_taken_for_it():
    films = [path for path in sorted(REAL.glob("*.jpg")) if path.stem != TWIN]
    require_known([Image.open(path).convert("L") for path in films])


@pytest.mark.quick
@given(st.binary(max_size=300))
def test_what_is_no_image_looks_like_nothing(data):
    assert look_of(data) == NOTHING


@pytest.mark.quick
def test_what_has_no_look_is_never_known():
    nothing = np.zeros((2, 4), dtype=np.uint64)
    some = looks_of([stored(Image.effect_noise((90, 70), 40))])
    assert not known_again(nothing, nothing).any()
    assert not known_again(nothing, some).any()
    assert not known_again(some, nothing[:0]).any()


@pytest.mark.quick
@given(st.integers(0, 2**32 - 1), st.integers(0, 40))
def test_looks_are_alike_up_to_so_many_bits(seed, flipped):
    random = np.random.default_rng(seed)
    bits = np.append(random.permutation(np.arange(255) < 128), False)
    other = bits.copy()
    other[random.choice(255, flipped, replace=False)] ^= True
    one, two = (np.packbits(each).view(">u8").astype(np.uint64)[None] for each in (bits, other))
    assert known_again(one, two)[0] == (flipped <= SAME)  # half of the bits are ones: turned over they are far away


@pytest.mark.quick
def test_gray_levels_look_like_the_png_that_holds_them():
    film = Image.effect_noise((90, 70), 40)
    assert look_of(np.asarray(film)) == look_of(stored(film, "PNG")) != NOTHING


@pytest.mark.quick
@given(st.integers(0, 2**32 - 1), st.integers(40, 90), st.integers(40, 90))
def test_ranks_and_borders_in_whole_numbers_are_what_they_are_in_floats(seed, height, width):
    random = np.random.default_rng(seed)
    gray = random.integers(0, random.integers(2, 256), (height, width)).astype(np.uint8)
    gray[:, : random.integers(1, width)] //= np.uint8(random.integers(1, 30))
    for axis in (0, 1):
        deviation = gray.astype(np.float64).std(axis=axis)
        clear = np.abs(deviation - 6) > 1e-9
        assert np.array_equal(_varied(gray, axis)[clear], deviation[clear] > 6)
    order = np.sort(gray, axis=None)  # ties share the mean of their places
    mean_rank = {level: np.flatnonzero(order == level).mean() for level in np.unique(gray)}
    assert np.array_equal(_ranks(gray), np.vectorize(mean_rank.get)(gray))
