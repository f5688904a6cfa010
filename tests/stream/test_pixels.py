"""One channel, late floats: the processor's own pixels bit for bit; a stated distance where JPEG decoding shrinks."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import (
    BitImageProcessor,
    CLIPImageProcessor,
    Gemma3ImageProcessor,
    LlavaImageProcessor,
    LlavaNextImageProcessor,
    Qwen2VLImageProcessor,
    SiglipImageProcessor,
    ViTImageProcessor,
)

from cxr_lightning.shards.images import ImageError
from cxr_lightning.stream import pixels as pixels_module
from cxr_lightning.stream.pixels import Pixels

SIDE = {"height": 56, "width": 56}
LATE = {
    "clip": CLIPImageProcessor(size={"shortest_edge": 56}, crop_size=SIDE),
    "siglip": SiglipImageProcessor(size=SIDE),
    "vit": ViTImageProcessor(size=SIDE),
    "dinov2": BitImageProcessor(size={"shortest_edge": 64}, crop_size=SIDE),
    "llava": LlavaImageProcessor(size={"shortest_edge": 56}, crop_size=SIDE),
    "padded": LlavaImageProcessor(do_pad=True, size=SIDE, crop_size=SIDE, do_center_crop=False),
    "gemma3": Gemma3ImageProcessor(size=SIDE),
}
OTHERS = {"qwen": Qwen2VLImageProcessor(), "llava-next": LlavaNextImageProcessor()}
PIXELS = {name: Pixels(processor) for name, processor in LATE.items()}


def film(height, width, mode="L", seed=0):
    """Smooth shapes with some noise, as a radiograph has."""
    shape = (height, width) if mode == "L" else (height, width, 3)
    rough = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    smooth = Image.fromarray(rough).resize((max(1, width // 16), max(1, height // 16))).resize((width, height))
    return Image.blend(smooth, Image.fromarray(rough), 0.05)


def stored(picture, kind="JPEG"):
    file = io.BytesIO()
    picture.save(file, kind, quality=95)
    return file.getvalue()


def theirs(processor, files):
    pictures = [Image.open(io.BytesIO(file)).convert("RGB") for file in files]
    return processor(images=pictures, return_tensors="pt")["pixel_values"]


@pytest.mark.quick
@pytest.mark.parametrize("name", LATE)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_pixels_are_the_processors_own(name, data):
    sides = st.integers(9, 200)
    shapes = data.draw(st.lists(st.tuples(sides, sides, st.sampled_from("LLLC")), min_size=1, max_size=9))
    square = data.draw(st.booleans())
    files = [
        stored(film(height, height if square else width, "L" if mode == "L" else "RGB", seed), kind)
        for seed, (height, width, mode) in enumerate(shapes)
        for kind in ("JPEG", "PNG")
    ]
    pixels = PIXELS[name]
    assert pixels.late
    late = pixels.resize([pixels.decode(file) for file in files])
    assert late.dtype == torch.uint8
    assert torch.equal(pixels.normalise(late), theirs(LATE[name], files))


@pytest.mark.quick
@pytest.mark.parametrize("name", LATE)
def test_gray_stays_one_channel_where_padding_is_not_coloured(name):
    pixels = PIXELS[name]
    square = [pixels.decode(stored(film(80, 80)))] * 3
    assert pixels.resize(square).shape == (3, 1, 56, 56)
    oblong = [pixels.decode(stored(film(80, 60)))] * 3
    assert pixels.resize(oblong).shape == (3, 3 if name == "padded" else 1, 56, 56)


@pytest.mark.quick
@pytest.mark.parametrize("name", OTHERS)
def test_other_processors_are_left_whole(name):
    assert not Pixels(OTHERS[name]).late


@pytest.mark.quick
def test_a_processor_whose_pixels_would_differ_is_left_whole():
    class Equalised(CLIPImageProcessor):
        def rescale_and_normalize(self, images, do_rescale, *others):
            return super().rescale_and_normalize(255 - images if do_rescale else images, do_rescale, *others)

    assert not Pixels(Equalised()).late


@pytest.mark.quick
def test_what_stands_beside_the_pixels_is_handed_on():
    assert PIXELS["gemma3"].beside(3)["num_crops"].tolist() == [0, 0, 0]
    assert PIXELS["gemma3"].outline(2)["pixel_values"].shape == (2, 3, 56, 56)


@pytest.mark.quick
@pytest.mark.parametrize("turbo", [True, False])
def test_every_decoder_gives_the_bits_of_pillow(turbo, monkeypatch):
    if turbo:
        pytest.importorskip("simplejpeg")
    else:
        monkeypatch.setattr(pixels_module, "simplejpeg", None)
    for size in ((512, 512), (97, 333), (8, 8), (1, 1)):
        file = stored(film(*size))
        decoded = PIXELS["clip"].decode(file)
        assert torch.equal(decoded[0], torch.from_numpy(np.array(Image.open(io.BytesIO(file)))))


@pytest.mark.quick
@pytest.mark.parametrize("turbo", [True, False])
def test_what_is_damaged_is_refused(turbo, monkeypatch):
    if not turbo:
        monkeypatch.setattr(pixels_module, "simplejpeg", None)
    file = stored(film(64, 64))
    for bad in (file[: len(file) // 2], file[:-5], b"", b"no image", file[:30]):
        with pytest.raises((OSError, ValueError, SyntaxError)):
            PIXELS["clip"].decode(bad)
    monkeypatch.setattr(pixels_module, "MOST_PIXELS", 1000)
    with pytest.raises(ImageError, match="64 x 64"):
        PIXELS["clip"].decode(file)


@pytest.mark.quick
def test_scaled_decoding_never_shrinks_below_what_is_wanted():
    pixels = Pixels(LATE["clip"], "scaled")
    for side, left in ((512, 64), (224, 56), (111, 111), (112, 56), (40, 40)):
        assert pixels.decode(stored(film(side, side))).shape == (1, left, left)
    assert pixels.decode(stored(film(512, 120))).shape == (1, 256, 60)  # the shorter side counts: it is cropped
    padded = Pixels(LATE["padded"], "scaled")
    assert padded.decode(stored(film(512, 120))).shape == (1, 64, 15)  # the longer one counts
    assert padded.decode(stored(film(512, 512), "PNG")).shape == (1, 512, 512)
    with pytest.raises(ValueError, match=r"--data\.decode"):
        Pixels(LATE["clip"], "fast")


@pytest.mark.real
@pytest.mark.parametrize("side", [512, 1024])
def test_scaled_pixels_of_real_radiographs_stay_close(real_data, side):
    # In gray levels of 255. Measured: benchmarks/README.md.
    processor = CLIPImageProcessor()
    exact, scaled = Pixels(processor), Pixels(processor, "scaled")
    files = sorted(real_data.rglob("*.jpg"))[::6]
    pictures = [Image.open(file).convert("L").resize((side, side), Image.Resampling.BICUBIC) for file in files]
    views = [stored(picture) for picture in pictures]
    far = exact.resize([exact.decode(view) for view in views]).float()
    far -= scaled.resize([scaled.decode(view) for view in views]).float()
    assert len(files) > 20
    assert far.abs().mean() < 0.75
    assert far.square().mean().sqrt() < 2
    assert (far.abs() <= 16).float().mean() > 0.999
