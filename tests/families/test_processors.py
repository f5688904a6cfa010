"""Tokens and pixels of every family are its own Hugging Face processor's; what learns is what it would predict."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from cxr_lightning.model.attention import use_segments
from cxr_lightning.model.compose import load_model, load_processor
from cxr_lightning.model.families import vlm_family
from cxr_lightning.model.generation import generate
from cxr_lightning.objectives.next_token import next_token
from cxr_lightning.shards.contract import ShardError
from cxr_lightning.stream.conversation import as_messages
from cxr_lightning.stream.encode import IGNORED, Encoder, images
from cxr_lightning.stream.rows import collate
from tests.families.conftest import ONE_IMAGE, TOWERS, sample
from tests.families.models import WRITERS

FAMILIES = (*TOWERS, *WRITERS)


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, sources):
    """Name, processor and model of a family."""
    processor = load_processor(sources[request.param])
    return request.param, processor, load_model(sources[request.param], processor)


def encoded(processor, samples):
    """Returns our encoder, its batch of the samples as rows, and pixels as floats."""
    encoder = Encoder(processor, "conversation", 2048)
    token = processor.tokenizer.pad_token_id
    batch = collate([encoder(each) for each in samples], "padded", token, encoder.typed_image_token, encoder.pixels)
    return encoder, floats(encoder, batch)


def floats(encoder, batch):
    """Does what a stage does with pixels on the device."""
    if batch["inputs"]["pixel_values"].dtype == torch.uint8:
        batch["inputs"]["pixel_values"] = encoder.pixels.normalise(batch["inputs"]["pixel_values"])
    return batch


def theirs(processor, samples, turns: int | None = None):
    """Returns what the processor makes of the same conversations, or of their first turns as a prompt."""
    conversations = [as_messages(each.record["conversation"][:turns]) for each in samples]
    texts = [
        processor.apply_chat_template(each, add_generation_prompt=turns is not None, tokenize=False)
        for each in conversations
    ]
    begins = texts[0].startswith(processor.tokenizer.bos_token or "<none>")
    return processor(
        images=[images(each) for each in samples],
        text=texts,
        padding=True,
        padding_side="right",
        add_special_tokens=not begins,
        return_tensors="pt",
    )


@pytest.mark.parametrize("shown", [1, 2])
def test_tokens_and_pixels_are_the_processors_own(family, shown):
    name, processor, _ = family
    samples = [sample("a", shown), sample("b", shown, answer="No acute findings. The lungs are clear.")]
    if shown > 1 and name in ONE_IMAGE:
        with pytest.raises(ShardError, match="reads one"):
            encoded(processor, samples)
        return
    _, batch = encoded(processor, samples)
    reference = theirs(processor, samples)
    assert batch["images"] == 2 * shown
    ours = dict(batch["inputs"])
    for key in {"pixel_values", "image_grid_thw"} & set(reference):
        assert torch.equal(ours[key], reference[key])
    lengths = ours["attention_mask"].sum(1).tolist()  # ours end with the last answer's end token
    if "token_type_ids" in reference:  # Gemma 3's name for it
        reference["mm_token_type_ids"] = reference["token_type_ids"]
    for key in {"input_ids", "mm_token_type_ids"} & set(reference) & set(ours):
        for row, length in enumerate(lengths):
            assert torch.equal(ours[key][row, :length].long(), reference[key][row, :length].long()), key
    unknown = set(reference) - set(ours) - {"token_type_ids", "qformer_input_ids", "qformer_attention_mask"}
    assert unknown == set(), "the processor hands out more than we do"
    assert set(ours) - set(reference) == set(), "the model is handed more than the processor hands out"


def test_the_prompt_is_what_a_server_would_send(family):
    """That of InstructBLIP's Q-Former as well, which must never see the answer."""
    _, processor, _ = family
    samples = [sample("a", 1), sample("b", 1)]
    _, batch = encoded(processor, samples)
    prompts = theirs(processor, samples, turns=1)
    for row, mask_L in enumerate(prompts["attention_mask"].bool()):
        prompt_L = prompts["input_ids"][row][mask_L]
        assert torch.equal(batch["inputs"]["input_ids"][row, : len(prompt_L)], prompt_L)
    for key in ("qformer_input_ids", "qformer_attention_mask"):
        if key in prompts:
            assert torch.equal(batch["inputs"][key], prompts[key])


def test_the_loss_is_that_of_the_whole_forward(family):
    """And only what is supervised reaches the output matrix."""
    _, processor, model = family
    _, batch = encoded(processor, [sample("a", 1), sample("b", 1, answer="No acute findings.")])
    inputs, targets_RL = batch["inputs"], batch["targets_RL"]
    rows = []
    handle = model.get_output_embeddings().register_forward_hook(
        lambda *call: rows.append(call[1][0].shape[:-1].numel())
    )
    with torch.no_grad():
        losses = next_token(model, inputs, targets_RL)
    handle.remove()
    assert sum(rows) == int((targets_RL != IGNORED).sum())
    if model.config.model_type == "gemma3":
        inputs = {**inputs, "token_type_ids": inputs["mm_token_type_ids"]}
        del inputs["mm_token_type_ids"]
    with torch.no_grad():
        logits_RLV = model(**inputs).logits
    whole = cross_entropy(logits_RLV.flatten(0, 1), targets_RL.flatten(), ignore_index=IGNORED, reduction="sum")
    assert torch.allclose(losses.sum, whole, rtol=1e-5)


def test_the_image_matters_and_a_batch_answers_like_one(family):
    _, processor, model = family
    turns = [as_messages([{"role": "user", "content": f"<image>\n{text}"}]) for text in ("Describe.", "Is it normal?")]
    films = [[images(sample("a", 2))[n]] for n in range(2)]
    together = generate(model, processor, turns, films, max_new_tokens=4)
    alone = [generate(model, processor, [turns[n]], [films[n]], max_new_tokens=4)[0] for n in range(2)]
    assert together == alone
    _, batch = encoded(processor, [sample("a", 1)])
    with torch.no_grad():
        seen = next_token(model, batch["inputs"], batch["targets_RL"]).sum
        batch["inputs"]["pixel_values"] = -batch["inputs"]["pixel_values"]
        assert next_token(model, batch["inputs"], batch["targets_RL"]).sum != seen


def test_text_alone_is_laid_beside_an_image_that_changes_nothing(family):
    """So that every rank meets the tower in every micro-batch."""
    name, processor, model = family
    encoder = Encoder(processor, "conversation", 2048)
    text, token = encoder(sample("text", 0)), processor.tokenizer.pad_token_id
    laid = [[text], "padded", token, encoder.typed_image_token, encoder.pixels]
    beside = floats(encoder, collate(*laid, stand_in=encoder.stand_in()))
    assert beside["samples"] == 1
    with torch.no_grad():
        each_S = next_token(model, beside["inputs"], beside["targets_RL"]).each_S
        assert len(each_S) == text.supervised
        if name not in ONE_IMAGE:  # whose forward cannot do without an image
            alone = collate(*laid)
            assert torch.allclose(each_S, next_token(model, alone["inputs"], alone["targets_RL"]).each_S, atol=1e-5)


def test_a_packed_row_has_the_losses_of_padded_ones(family):
    """Also where positions run along an image's height and width, and samples show none, one and two images."""
    name, processor, model = family
    packs = vlm_family(model.config).packs and use_segments(model)
    assert packs == (name in TOWERS or name.startswith("qwen"))
    if not packs:
        return
    encoder, token = Encoder(processor, "conversation", 2048), processor.tokenizer.pad_token_id
    samples = [encoder(sample("a", shown)) for shown in (1, 0, 2)]
    each = []
    for layout in ("packed", "padded"):
        batch = collate(samples, layout, token, encoder.typed_image_token, encoder.pixels)
        with torch.no_grad():
            each.append(next_token(model, floats(encoder, batch)["inputs"], batch["targets_RL"]).each_S)
    assert torch.allclose(*each, atol=1e-5)
