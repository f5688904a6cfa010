"""Tokens and pixels are Hugging Face's own; the loss looks at answers alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cxr_lightning.model import tiny
from cxr_lightning.model.compose import load_processor
from cxr_lightning.model.source import ModelSource
from cxr_lightning.shards.contract import ShardError
from cxr_lightning.shards.index import read_index
from cxr_lightning.stream.conversation import UnstableTemplateError, as_messages, render
from cxr_lightning.stream.encode import IGNORED, AnswerLostError, Encoder, images
from cxr_lightning.stream.reader import ShardReader
from cxr_lightning.stream.rows import collate


@pytest.fixture(scope="module", params=["clip", "siglip", "dinov2", "swin", "vicuna"])
def processor(request, parts, tmp_path_factory):
    if request.param == "vicuna":  # a language model without a template of its own
        plain = tiny.write_language(tmp_path_factory.mktemp("plain"), template=None)
        return load_processor(ModelSource(vision=parts["clip"], language=str(plain)))
    return load_processor(ModelSource(vision=parts[request.param], language=parts["language"]))


@pytest.fixture(scope="module")
def sample(shards):
    return ShardReader(read_index(shards).split("train"))[0]


def test_tokens_and_pixels_are_the_processors_own(processor, sample):
    encoder = Encoder(processor, "conversation", 2048)
    encoded = encoder(sample)
    messages = as_messages(sample.record["conversation"])
    text = processor.apply_chat_template(messages, tokenize=False)
    theirs = processor(images=images(sample)[:1], text=text, return_tensors="pt")
    assert encoded.ids_L.tolist() == theirs["input_ids"][0].tolist()[: len(encoded.ids_L)]
    batch = collate([encoded], "padded", pad_token=0, pixels=encoder.pixels)
    assert torch.equal(encoder.pixels.normalise(batch["inputs"]["pixel_values"]), theirs["pixel_values"])


def test_only_the_answer_is_supervised(processor, sample):
    encoded = Encoder(processor, "conversation", 2048)(sample)
    taught = encoded.targets_L[encoded.targets_L != IGNORED]
    answer = sample.record["conversation"][1]["content"]
    assert processor.tokenizer.decode(taught).lstrip() == answer + processor.tokenizer.eos_token
    where = np.flatnonzero(encoded.targets_L != IGNORED)
    assert (encoded.ids_L[where + 1] == encoded.targets_L[where]).all()


def test_a_prompt_alone_is_the_beginning_of_the_training_text(processor, sample):
    # What a server feeds the model must be what training put before the answer.
    turns = sample.record["conversation"]
    prompt = processor.apply_chat_template(as_messages(turns[:1]), add_generation_prompt=True, tokenize=False)
    theirs = processor(images=images(sample)[:1], text=prompt, return_tensors="pt")["input_ids"][0].tolist()
    assert Encoder(processor, "conversation", 2048)(sample).ids_L.tolist()[: len(theirs)] == theirs


def test_several_turns_are_all_taught(processor):
    turns = [
        {"role": "user", "content": "<image>\nIs there an effusion?"},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "On which side?"},
        {"role": "assistant", "content": "On the left."},
    ]
    answers = [piece.text for piece in render(processor, turns) if piece.answer]
    end = processor.tokenizer.eos_token
    assert [answer.lstrip() for answer in answers] == [f"Yes.{end}", f"On the left.{end}"]


def test_long_answers_are_cut_and_counted_and_lost_ones_refused(processor, sample):
    whole = Encoder(processor, "summary", 2048)(sample)
    first = int(np.flatnonzero(whole.targets_L != IGNORED)[0])
    cut = Encoder(processor, "summary", first + 4)(sample)
    assert cut.truncated
    assert not whole.truncated
    assert cut.supervised < whole.supervised
    with pytest.raises(AnswerLostError, match=r"--data\.max_tokens"):
        Encoder(processor, "summary", first)(sample)


def test_a_cut_inside_a_later_image_is_refused(processor, sample):
    asked = [
        {"role": "user", "content": "<image>\nWhat?"},
        {"role": "assistant", "content": "Clear."},
        {"role": "user", "content": "<image>\nAnd now?"},
        {"role": "assistant", "content": "Clear."},
    ]
    image = next(iter(sample.images.values()))
    two = replace(sample, record={**sample.record, "conversation": asked}, images={"png": image, "lateral.png": image})
    whole = Encoder(processor, "conversation", 2048)(two)
    places = np.flatnonzero(whole.ids_L == processor.image_token_id)
    for most in (int(places[-1]), int(places[-1]) - 3, int(places[len(places) // 2])):
        with pytest.raises(AnswerLostError, match="last image"):
            Encoder(processor, "conversation", most)(two)
    assert Encoder(processor, "conversation", int(places[-1]) + 3)(two).truncated


def test_more_marks_than_images_name_the_sample(processor, sample):
    asked = [{"role": "user", "content": "<image>" * 3 + "\nWhat?"}, {"role": "assistant", "content": "Clear."}]
    wrong = replace(sample, record={**sample.record, "conversation": asked})
    with pytest.raises(ShardError, match=rf"{sample.key}.* mark 3 images .* {len(sample.images)} are stored.*pack"):
        Encoder(processor, "conversation", 2048)(wrong)


def test_a_template_that_rewrites_earlier_turns_is_refused(processor, sample):
    changed = "{{ messages | length }}" + processor.chat_template
    kept, processor.chat_template = processor.chat_template, changed
    try:
        with pytest.raises(UnstableTemplateError, match="chat_template"):
            render(processor, sample.record["conversation"])
    finally:
        processor.chat_template = kept


def test_a_prompt_that_runs_into_the_answer_is_refused(parts, shards, tmp_path):
    plain = tiny.write_language(tmp_path / "plain", template=None)
    processor = load_processor(ModelSource(vision=parts["clip"], language=str(plain)))
    processor.chat_template = processor.chat_template.replace("'ASSISTANT:' }}", "'ASSISTANT: ' }}")
    reader = ShardReader(read_index(shards).split("train"))
    with pytest.raises(UnstableTemplateError, match="runs into the answer"):
        [Encoder(processor, "conversation", 2048)(reader[number]) for number in range(len(reader))]


def test_only_the_text_of_a_qformer_is_filled_to_a_common_width(processor, sample):
    encoded = Encoder(processor, "summary", 1024)(sample)

    def joined(name):
        rows = [replace(encoded, views=[], vision={name: torch.ones(1, width)}) for width in (3, 5)]
        return collate(rows, "packed", pad_token=0)["inputs"][name]

    assert joined("qformer_input_ids").tolist() == [[1, 1, 1, 0, 0], [1] * 5]
    with pytest.raises(RuntimeError, match="Sizes of tensors must match"):
        joined("pixel_values")


@pytest.mark.parametrize("layout", ["packed", "padded"])
def test_rows_keep_every_token(processor, sample, layout):
    encoder = Encoder(processor, "summary", 2048)
    samples = [encoder(sample), Encoder(processor, "summary", len(encoder(sample).ids_L) - 3)(sample)]
    batch = collate(samples, layout, pad_token=0, pixels=encoder.pixels)
    assert batch["tokens"] == sum(len(each.ids_L) for each in samples)
    assert batch["positions"] == (batch["tokens"] if layout == "packed" else batch["tokens"] + 3)
    assert int((batch["targets_RL"] != IGNORED).sum()) == batch["supervised_in_step"]
