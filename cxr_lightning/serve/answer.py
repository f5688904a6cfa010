"""Answers from an exported folder: a radiograph and a question go in, text comes out."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from cxr_lightning.model.generation import generate
from cxr_lightning.model.templates import write_template
from cxr_lightning.shards.images import ImageError, load_gray, shrink

QUESTION = "Describe this chest radiograph."


class NotAnExportError(ValueError):
    """A folder is not a complete exported model."""


class Answerer:
    """A loaded model that answers about radiographs.

    Args:
        folder: The folder that `cxr export` wrote.
        device: Where to compute; None takes a GPU if there is one.

    Raises:
        NotAnExportError: If the folder is not a complete model.
    """

    def __init__(self, folder: Path, device: str | None = None) -> None:
        lacking = [
            name
            for name in ("config.json", "processor_config.json", "tokenizer_config.json")
            if not (folder / name).is_file()
        ]
        if lacking:
            raise NotAnExportError(
                f"{folder} lacks {', '.join(lacking)}, so it is not a complete model. "
                "Remedy: give the folder of `cxr export RUN --out DIR`."
            )
        self.image_size = _image_size(folder)
        self.processor = AutoProcessor.from_pretrained(folder)
        write_template(self.processor)
        chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.model = AutoModelForImageTextToText.from_pretrained(folder, dtype="auto").to(chosen).eval()

    def __call__(self, image: Path, question: str = QUESTION, max_new_tokens: int = 256) -> str:
        """Answers a question about one radiograph.

        Args:
            image: PNG, JPEG or DICOM file.
            question: What to ask.
            max_new_tokens: Longest answer.
        """
        try:
            gray = load_gray(image)
        except ImageError as error:
            raise ImageError(f"{image}: {error}. Remedy: give a PNG, JPEG or DICOM file of one radiograph.") from None
        if self.image_size is not None:  # as training saw it: a full film would reach some towers in many more tokens
            gray = shrink(gray, self.image_size)
        picture = Image.fromarray(gray).convert("RGB")
        turns = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]
        return generate(self.model, self.processor, [turns], [[picture]], max_new_tokens=max_new_tokens)[0]


def _image_size(folder: Path) -> int | None:
    """Returns the longest side of the images that the model was trained on, where its provenance tells."""
    record = folder / "provenance.json"
    if not record.is_file():
        return None
    size: int | None = json.loads(record.read_text()).get("data", {}).get("image_size")
    return size
