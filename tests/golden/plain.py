"""Stage 1 as anybody would write it with Hugging Face alone: the processor, the model's own loss, AdamW, a loop.

Nothing of the stream, the loss, the stages or DeepSpeed takes part; only which studies make a step is taken from the
order, and the untrained model from its parts.
"""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.source import ModelSource
from cxr_lightning.shards.index import read_index
from cxr_lightning.stream.order import Batches, Order


def losses(
    shards: Path, parts: dict[str, str], *, steps: int, rate: float, least: float, size: int
) -> dict[int, float]:
    """Returns the loss of each step.

    Args:
        shards: The shards.
        parts: Folders of the tower and the language model.
        steps: Steps of the training.
        rate: Highest learning rate.
        least: Last rate as a share of it.
        size: Samples a step.
    """
    source = ModelSource(vision=parts["siglip"], language=parts["language"])
    processor = load_processor(source)
    model = load_model(source, processor)
    learns = [parameter.requires_grad_(True) for parameter in model.model.multi_modal_projector.parameters()]
    optimizer = torch.optim.AdamW(learns, lr=rate, betas=(0.9, 0.999), weight_decay=0.0)
    split = read_index(shards).split("train")
    order = Batches(Order(split.shard_lengths, 0), size)
    found = {}
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * (least + (1 - least) * 0.5 * (1 + math.cos(math.pi * step / steps)))
        inputs = batch(processor, [split.read(int(number)) for number in order.batch(step)])
        loss = model(**inputs).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learns, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        found[step + 1] = loss.item()
    return found


def batch(processor: Any, samples: list[Any]) -> dict[str, torch.Tensor]:
    """Returns padded inputs and labels, by the processor's own calls; prompt, image and padding are not labelled."""
    images, texts, prompts = [], [], []
    for sample in samples:
        question: list[dict[str, Any]] = [
            {"type": "image"},
            {"type": "text", "text": "Describe this chest radiograph."},
        ]
        turns: list[dict[str, Any]] = [
            {"role": "user", "content": question},
            {"role": "assistant", "content": [{"type": "text", "text": sample.record["summary"]}]},
        ]
        images.append(Image.open(io.BytesIO(next(iter(sample.images.values())))).convert("RGB"))
        texts.append(processor.apply_chat_template(turns, tokenize=False).rstrip("\n"))  # nothing follows the end token
        prompts.append(processor.apply_chat_template(turns[:1], add_generation_prompt=True, tokenize=False))
    inputs = processor(images=images, text=texts, padding=True, return_tensors="pt")
    labels = inputs["input_ids"].clone()
    for row, (image, prompt) in enumerate(zip(images, prompts, strict=True)):
        asked = processor(images=image, text=prompt, return_tensors="pt")["input_ids"].shape[1]
        labels[row, :asked] = -100
    labels[inputs["attention_mask"] == 0] = -100
    return {**inputs, "labels": labels}
