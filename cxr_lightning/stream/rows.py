"""Samples to rows: packed end to end in one row without padding, or one a row padded to the longest.

A packed row carries the lengths of its samples; attention and position counters restart at each, so samples cannot see
each other. The loss is normalised by supervised tokens over all ranks, so the layout never changes it.
"""

# Shapes: R rows, L positions of a row.

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from cxr_lightning.stream.encode import IGNORED, Encoded
from cxr_lightning.stream.pixels import Pixels
from cxr_lightning.stream.skipped import Skipped

Layout = Literal["packed", "padded"]


class Batch(TypedDict):
    """One micro-batch of one rank.

    Attributes:
        inputs: What the Hugging Face model's forward takes: `input_ids` (R, L), `pixel_values` (bytes, where `Pixels`
            makes floats of them on the device), and by layout `position_ids` with `segment_lengths`, or
            `attention_mask`.
        targets_RL: The next token at each position, -100 where the loss does not look.
        supervised_in_step: Supervised tokens of this rank in the whole optimizer step, accumulation included.
        tokens: Real tokens in the batch.
        positions: Positions computed, padding included.
        samples: Samples in the batch.
        truncated: Samples whose answer was cut.
        supervised: Supervised tokens of each sample, in row order, which is that of the supervised positions as well.
        images: Images in the batch.
        keys: Keys of the samples, in row order.
        sources: Which of the data module's sets each sample is of.
        skipped: Bad samples that were left out.
    """

    inputs: dict[str, Tensor | list[int]]
    targets_RL: Tensor
    supervised_in_step: int
    tokens: int
    positions: int
    samples: int
    truncated: int
    supervised: list[int]
    images: int
    keys: NotRequired[list[str]]
    sources: NotRequired[list[int]]
    skipped: NotRequired[list[Skipped]]


def collate(
    samples: list[Encoded],
    layout: Layout,
    pad_token: int,
    image_token: int | None = None,
    pixels: Pixels | None = None,
    stand_in: Encoded | None = None,
) -> Batch:
    """Lays samples out as rows.

    Args:
        samples: The samples of one micro-batch.
        layout: `packed` or `padded`.
        pad_token: Token that fills padded rows; never attended to.
        image_token: The token of image positions, for families whose position counters need to be told where images
            lie (Qwen-VL's run along height and width); None for the others.
        pixels: Of the family, where samples bring views that it has to finish.
        stand_in: Laid behind the samples without being counted; see `Encoder.stand_in`.
    """
    laid = samples if stand_in is None else [*samples, stand_in]
    ids = [torch.from_numpy(sample.ids_L) for sample in laid]
    targets = [torch.from_numpy(sample.targets_L) for sample in laid]
    inputs: dict[str, Tensor | list[int]]
    if layout == "packed":
        lengths = [len(row) for row in ids]
        positions = torch.cat([torch.arange(length) for length in lengths])[None]
        inputs = {"input_ids": torch.cat(ids)[None], "position_ids": positions, "segment_lengths": lengths}
        targets_RL = torch.cat(targets)[None]
    else:
        ids_RL = pad_sequence(ids, batch_first=True, padding_value=pad_token)
        mask_RL = pad_sequence([torch.ones_like(row) for row in ids], batch_first=True)
        inputs = {"input_ids": ids_RL, "attention_mask": mask_RL}
        if image_token is not None:
            inputs["mm_token_type_ids"] = (ids_RL == image_token).int()
        targets_RL = pad_sequence(targets, batch_first=True, padding_value=IGNORED)
    views = [view for sample in laid for view in sample.views]
    if views:
        assert pixels is not None
        inputs.update(pixel_values=pixels.resize(views), **pixels.beside(len(views)))
    for name in dict.fromkeys(name for sample in laid for name in sample.vision):
        inputs[name] = _joined(name, [sample.vision[name] for sample in laid if name in sample.vision])
    return Batch(
        inputs=inputs,
        targets_RL=targets_RL,
        supervised_in_step=sum(sample.supervised for sample in samples),
        tokens=sum(len(sample.ids_L) for sample in samples),
        positions=targets_RL.numel(),
        samples=len(samples),
        truncated=sum(sample.truncated for sample in samples),
        supervised=[sample.supervised for sample in samples],
        images=sum(sample.images for sample in samples),
        keys=[sample.key for sample in samples],
    )


def _joined(name: str, parts: list[Tensor]) -> Tensor:
    """Joins rows of images; the text of InstructBLIP's Q-Former is filled with zeros, all else has to be as wide."""
    if not name.startswith("qformer_"):
        return torch.cat(parts)
    width = max(part.shape[-1] for part in parts)
    return torch.cat([part if part.shape[-1] == width else pad(part, (0, width - part.shape[-1])) for part in parts])


def pin(batch: Batch) -> Batch:
    """Puts a batch into page-locked memory, out of which a GPU copies while the CPU goes on."""
    inputs = batch["inputs"]
    for name, value in inputs.items():
        if isinstance(value, Tensor):
            inputs[name] = value.pin_memory()
    batch["targets_RL"] = batch["targets_RL"].pin_memory()
    return batch
