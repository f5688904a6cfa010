"""Conversations of several turns, and of two labelled images, are read by the stream as they are stored."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from cxr_lightning.model.compose import load_processor
from cxr_lightning.model.source import ModelSource
from cxr_lightning.reports.conversations import Context, Said, converse
from cxr_lightning.shards.contract import SCHEMA, SampleRecord
from cxr_lightning.shards.sample import RawSample
from cxr_lightning.stream.conversation import render
from cxr_lightning.stream.encode import Encoder

SAID = Said(
    "Small left pleural effusion. The heart is enlarged. No acute change.",
    "There is a small left pleural effusion. The heart is enlarged.",
    "Left pleural effusion and cardiomegaly.",
    indication="Cough.",
    position="frontal",
    lateral=True,
    source="openi",
)


def film() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((40, 40), 90, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def sample(key: str, context: Context) -> RawSample:
    record = SampleRecord(
        schema=SCHEMA, study=key, patient="p", views=[], split="train", indication="", findings=SAID.findings,
        impression=SAID.impression, summary=SAID.summary, conversation=converse(SAID, key, "mixed", context),
        labels=None, source="", licence="",
    )  # fmt: skip
    return RawSample(key, record, {"png": film(), "lateral.png": film()})


def test_every_answer_is_learned_and_both_images_are_seen(parts: dict[str, str]) -> None:
    processor = load_processor(ModelSource(vision=parts["siglip"], language=parts["language"]))
    encoder = Encoder(processor, "conversation", 4096)
    for context, images in ((Context(), 1), (Context(indication=True, lateral=True, always=True), 2)):
        for key in ("a", "b", "c"):
            made = sample(key, context)
            turns = made.record["conversation"]
            assert len(turns) >= 4
            encoded = encoder(made)
            assert encoded.images == images
            pieces = render(processor, turns)
            answers = [piece.text for piece in pieces if piece.answer]
            assert len(answers) == len(turns) // 2
            for turn, answer in zip(turns[1::2], answers, strict=True):
                assert turn["content"] in answer
            prompt = pieces[0].text
            assert ("Lateral view: " in prompt) is (images == 2)
            assert (
                prompt.index("Cough.") < prompt.index(turns[0]["content"].rsplit("\n", 1)[-1]) if images == 2 else True
            )
