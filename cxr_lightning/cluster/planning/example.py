"""Rows of samples of given sizes, for tracing: real token ids and positions, and pixels without content."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cxr_lightning.cluster.planning.outline import Outline, PlanError
from cxr_lightning.model.features import PLACES
from cxr_lightning.reports.conversations import IMAGE_MARK
from cxr_lightning.shards.sample import RawSample
from cxr_lightning.stream.encode import IGNORED, Encoded, Encoder
from cxr_lightning.stream.rows import Layout, collate

_WORD = 10
"""Any token that is neither special nor an image."""


@dataclass(frozen=True)
class Extent:
    """How large a sample is.

    Attributes:
        tokens: Its tokens, those of images included.
        supervised: Tokens that the loss looks at.
        images: Images.
    """

    tokens: int
    supervised: int
    images: int = 1


@dataclass(frozen=True)
class Row:
    """A micro-batch as the model takes it.

    Attributes:
        inputs: What the forward takes; floats have no content.
        targets_RL: The token that follows each position, -100 where the loss does not look.
    """

    inputs: dict[str, Any]
    targets_RL: Tensor


def make_row(outline: Outline, extents: Sequence[Extent], layout: Layout, side: int = 512) -> Row:
    """Lays samples of given sizes out as a row.

    Args:
        outline: The model.
        extents: Size of each sample; one that could not hold its images is taken as large as it has to be.
        layout: Of the row.
        side: Pixels of an image's side, for families that leave images their size.

    Raises:
        PlanError: If the family's processor is needed and not at hand.
    """
    if outline.processor is None:
        samples, encoder = [_plain(outline, each) for each in extents], None
    else:
        encoder = Encoder(outline.processor, outline.text, max_tokens=10**9)
        kinds = {images: _encoded(encoder, images, side) for images in {each.images for each in extents}}
        samples = [_grown(kinds[each.images], each) for each in extents]
    typed = None if encoder is None else encoder.typed_image_token
    images = sum(each.images for each in extents)
    bare = [replace(sample, views=[]) for sample in samples]  # images of one size need not be resized to be counted
    inputs: dict[str, Any] = dict(collate(bare, layout, 0, typed)["inputs"])
    if images and "pixel_values" not in inputs:
        inputs.update({} if encoder is None else encoder.pixels.beside(images))
        inputs["pixel_values"] = torch.empty((images, *_form(outline, encoder)), device="meta")
    for name, value in inputs.items():
        if isinstance(value, Tensor) and value.is_floating_point():
            inputs[name] = torch.empty(value.shape, dtype=outline.dtype, device="meta")
    return Row(inputs, collate(bare, layout, 0)["targets_RL"])


def _form(outline: Outline, encoder: Encoder | None) -> tuple[int, ...]:
    """Returns the shape of what stands for an image: pixels, or features."""
    shape: tuple[int, ...]
    if outline.features:
        shape = outline.model.get_submodule(PLACES[outline.model.config.model_type]).shape
    elif encoder is not None:
        shape = tuple(encoder.pixels.outline(1)["pixel_values"].shape[1:])
    else:
        side = int(outline.model.config.vision_config.image_size)
        shape = (3, side, side)
    return shape


def _encoded(encoder: Encoder, images: int, side: int) -> Encoded:
    """Encodes a sample with so many black images and next to no text."""
    marks = f"{IMAGE_MARK}\n" * (images if encoder.sees else 0)
    turns = [{"role": "user", "content": f"{marks}-"}, {"role": "assistant", "content": "-"}]
    buffer = io.BytesIO()
    Image.new("L", (side, side)).save(buffer, "PNG")
    stored = {"png" if number == 0 else f"{number}.png": buffer.getvalue() for number in range(images)}
    record: Any = {"summary": "-", "findings": "-", "impression": "", "conversation": turns}
    return encoder(RawSample("example", record, stored))


def _plain(outline: Outline, extent: Extent) -> Encoded:
    """Makes a sample for a Llava or a language model of which nothing but the configuration is known."""
    config = outline.model.config
    each = getattr(config, "image_seq_length", None)
    if extent.images and (config.model_type != "llava" or each is None):
        raise PlanError(
            f"How {config.model_type} models read an image is known to their processor alone, and its files cannot be "
            "read. Remedy: give --model.source.base a folder with tokenizer and preprocessor (no weights are needed)."
        )
    ids = np.full(extent.images * int(each or 0), getattr(config, "image_token_id", 0), dtype=np.int64)
    nothing = Encoded("example", ids, np.full(len(ids), IGNORED, dtype=np.int64), [], {}, False, extent.images)
    return _grown(nothing, extent)


def _grown(sample: Encoded, extent: Extent) -> Encoded:
    """Fills a sample with text up to its size; the last of it is supervised."""
    more = max(0, extent.tokens - len(sample.ids_L))
    ids_L = np.concatenate([sample.ids_L, np.full(more, _WORD, dtype=np.int64)])
    targets_L = np.full(len(ids_L), IGNORED, dtype=np.int64)
    if extent.supervised:
        targets_L[-extent.supervised :] = _WORD
    return replace(sample, ids_L=ids_L, targets_L=targets_L)
