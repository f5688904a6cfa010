"""Lessons enter, a small Llama with its tokenizer leaves, ready to be joined with the tower that prepare_tower made.

It reads before it ever sees: where an image's tokens will stand it finds keywords of findings, laid out as the boxes
lie over the patch grid, and writes the report. The two stages of training then have little left to do: stage 1's
projector turns a patch's features into keywords of what it shows, stage 2's adapters bear with a tower that errs.
"""

# Shapes: N lessons, B batch, P patches, K kinds of findings, L tokens of a row, D language model's width, T targets.

from __future__ import annotations

import logging
import math
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.progress import Progress
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from cxr_lightning.demo.lessons import Lesson, patch_labels, read_lessons
from cxr_lightning.demo.schedule import make_adamw, progress_bar, tell, warm_cosine
from cxr_lightning.findings.located import LABELS
from cxr_lightning.model.templates import IMAGE_TOKEN
from cxr_lightning.reports.conversations import DESCRIBE
from cxr_lightning.shards.splits import Fractions
from cxr_lightning.stream.encode import ALIGNMENT_PROMPT, IGNORED

log = logging.getLogger(__name__)

BEGIN, END, PAD, USER, ASSISTANT = "<s>", "<|end|>", "<pad>", "<|user|>", "<|assistant|>"
NOTHING = "[nothing]"
"""What a patch says that shows no finding."""
SAYINGS = {
    "cardiomegaly": "enlarged heart cardiomegaly",
    "interstitial_oedema": "interstitial edema",
    "pacemaker": "pacemaker",
    "line": "central venous catheter line",
}
"""What a patch says that shows one of these; the others say their own name and place."""

TEMPLATE = (
    "{{ bos_token }}{%- for message in messages -%}"
    "{{ '<|' + message['role'] + '|>\\n' + message['content'] + eos_token + '\\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|assistant|>\\n' }}{%- endif -%}"
)
QUESTIONS = (*DESCRIBE, ALIGNMENT_PROMPT.removeprefix(f"{IMAGE_TOKEN}\n"))


@dataclass(frozen=True)
class LanguageRecipe:
    """Size and training of the language model.

    Attributes:
        width: Width D.
        layers: Transformer layers.
        vocabulary: Most tokens.
        grid: Patches a row and a column of the tower it will be joined with.
        steps: Training steps.
        batch: Pictures a step.
        tellings: Reports a picture, each told without seeing the others.
        plain: Weight of a study without findings, where each finding of a study weighs 1, in what is drawn to train on.
        lr: Highest learning rate.
        weight_decay: Decay of matrices.
        missed: Share of patches whose keyword is left out.
        noise: Deviation of the noise on keywords' strengths.
        embedding_scale: Deviation with which embeddings begin.
    """

    width: int = 128
    layers: int = 4
    vocabulary: int = 900
    grid: int = 8
    steps: int = 700
    batch: int = 16
    tellings: int = 3
    plain: float = 0.5
    lr: float = 3e-3
    weight_decay: float = 0.05
    missed: float = 0.15
    noise: float = 0.1
    embedding_scale: float = 0.1

    @property
    def patches(self) -> int:
        """Image tokens of a picture."""
        return self.grid**2


class Rows(NamedTuple):
    """A batch of rows: one picture's keywords, then several tellings that see the picture but not each other.

    Attributes:
        ids_BL: Token ids.
        targets_BL: The next token where an answer is told, else -100.
        positions_BL: Positions; every telling counts on from the picture.
        sees_B1LL: Which tokens (last axis) each token attends to.
    """

    ids_BL: Tensor
    targets_BL: Tensor
    positions_BL: Tensor
    sees_B1LL: Tensor


def prepare_language(
    archive: Path,
    out: Path,
    *,
    seed: int = 0,
    recipe: LanguageRecipe | None = None,
    split: Fractions = Fractions(),  # noqa: B008  (frozen)
) -> dict[str, float]:
    """Trains a Llama and its tokenizer on phantoms' reports and writes both as a Hugging Face folder.

    Args:
        archive: Folder that `cxr phantoms` wrote; reports and boxes are used, pictures are not.
        out: Folder to write; replaced if it is there.
        seed: Seeds weights, order and noise.
        recipe: Size and training; None takes the demo's.
        split: The shares by which `cxr pack` splits the same archive; only train patients are used.

    Returns:
        Loss of the last steps (nats a token) and size of the vocabulary.

    Raises:
        LessonError: If the archive is not one of phantoms.
    """
    recipe = recipe or LanguageRecipe()
    torch.manual_seed(seed)
    lessons = [lesson for lesson in read_lessons(archive, split) if lesson.summary]
    tokenizer = train_tokenizer([lesson.summary for lesson in lessons], recipe.vocabulary)
    model = _fresh_model(tokenizer, recipe)
    with progress_bar() as bar:
        loss = _train(model, tokenizer, lessons, recipe, seed, bar)
    _save(model, tokenizer, out)
    log.info("Language model: %d steps, loss %.3f, %d tokens in the vocabulary", recipe.steps, loss, len(tokenizer))
    return {"loss": loss, "vocabulary": float(len(tokenizer))}


def train_tokenizer(texts: list[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Trains a byte-level BPE tokenizer with the chat's marks and the keywords in it.

    Args:
        texts: Reports.
        vocabulary: Most tokens; fewer where the texts have no more pairs worth joining.
    """
    bpe = Tokenizer(models.BPE())
    # Digits stay single: else every size in centimetres would ask for a token of its own.
    digits = pre_tokenizers.Split(Regex(r"\d"), behavior="isolated")
    bpe.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, BEGIN, END, USER, ASSISTANT, IMAGE_TOKEN, NOTHING],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([*texts, *QUESTIONS], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token=BEGIN, eos_token=END, pad_token=PAD)
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def _fresh_model(tokenizer: PreTrainedTokenizerFast, recipe: LanguageRecipe) -> LlamaForCausalLM:
    heads = recipe.width // 32
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=recipe.width,
            intermediate_size=recipe.width * 8 // 3 // 8 * 8,
            num_hidden_layers=recipe.layers,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            head_dim=32,
            max_position_embeddings=1024,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            tie_word_embeddings=False,
        )
    )
    nn.init.normal_(model.model.embed_tokens.weight, std=recipe.embedding_scale)
    with torch.no_grad():  # not tied, but alike at first: saying a word that was read then needs no dictionary
        model.lm_head.weight.copy_(model.model.embed_tokens.weight)
    return model


class Teller:
    """Makes training rows: keywords where the picture will be, and its report told in several ways.

    Args:
        tokenizer: The tokenizer.
        lessons: What to tell.
        recipe: Sizes and amounts of disturbance.
        rng: Chance of questions and orders.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        lessons: list[Lesson],
        recipe: LanguageRecipe,
        rng: np.random.Generator,
    ) -> None:
        self._tokenizer, self._lessons, self._recipe, self._rng = tokenizer, lessons, recipe, rng
        self._questions = [self._ids(f"\n{asked}{END}\n{ASSISTANT}\n") for asked in QUESTIONS]
        self._picture = self._ids(f"{BEGIN}{USER}\n" + IMAGE_TOKEN * recipe.patches)
        self._shown = [patch_labels(lesson.boxes, recipe.grid).reshape(recipe.patches, -1) for lesson in lessons]

    def rows(self, chosen: list[int]) -> Rows:
        """Returns the rows of some lessons."""
        made = [self._row(number) for number in chosen]
        length = max(len(row[0]) for row in made)
        filled = [torch.full((len(made), length), blank) for blank in (0, IGNORED, 0, -1)]
        for number, row in enumerate(made):
            for tensor, values in zip(filled, row, strict=True):
                tensor[number, : len(values)] = torch.tensor(values)
        ids_BL, targets_BL, positions_BL, telling_BL = filled
        same_BLL = telling_BL[:, None, :] == telling_BL[:, :, None]
        sees_BLL = ((telling_BL[:, None, :] == 0) | same_BLL) & torch.ones(length, length, dtype=torch.bool).tril()
        return Rows(ids_BL, targets_BL, positions_BL, sees_BLL[:, None])

    def _row(self, number: int) -> tuple[list[int], list[int], list[int], list[int]]:
        start = len(self._picture)
        ids, telling, positions = list(self._picture), [0] * start, list(range(start))
        targets = [IGNORED] * start
        for turn, (question, answer) in enumerate(self._tellings(number), start=1):
            ids += question + answer
            # The last token of the question foretells the first of the answer; nothing follows the end.
            targets += [IGNORED] * (len(question) - 1) + answer + [IGNORED]
            telling += [turn] * (len(question) + len(answer))
            positions += range(start, start + len(question) + len(answer))
        return ids, targets, positions, telling

    def _tellings(self, number: int) -> Iterator[tuple[list[int], list[int]]]:
        """Yields question and answer of each telling: the summary, then the same retold."""
        for turn in range(self._recipe.tellings):
            told = self._lessons[number].summary if turn == 0 else self._retold(number)
            yield self._questions[self._rng.integers(len(self._questions))], self._ids(told + END)

    def _retold(self, number: int) -> str:
        """Tells the same sentences in another order; only what the keywords say can tell which come."""
        told = sentences(self._lessons[number].summary)
        return " ".join(told[place] for place in self._rng.permutation(len(told)))

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        return ids

    def strengths(self, chosen: list[int]) -> Tensor:
        """Returns how strongly each patch says each keyword, (B, P, K): the truth, seen by somebody unsure."""
        shown_BPK = torch.from_numpy(np.stack([self._shown[number] for number in chosen]))
        kept_BPK = torch.rand(shown_BPK.shape) > self._recipe.missed
        uneven_BPK = 0.6 + 0.6 * torch.rand(shown_BPK.shape)
        return shown_BPK * kept_BPK * uneven_BPK + self._recipe.noise * torch.randn(shown_BPK.shape)


def sentences(text: str) -> list[str]:
    """Splits prose after full stops that a space follows, so that 2.5 cm stays whole."""
    return re.split(r"(?<=[.!?])\s+", text.strip())


def said(label: str) -> str:
    """Returns the words that a patch says which shows a finding."""
    return SAYINGS.get(label, re.sub(r"[:_-]", " ", label))


def keyword_ids(tokenizer: PreTrainedTokenizerFast) -> list[list[int]]:
    """Returns for each located finding the tokens of the words that its patches say.

    They are words of the reports and shared between findings: "left" read off one has been learned for all.
    """
    return [tokenizer.encode(f" {said(label)}", add_special_tokens=False) for label in LABELS]


def embed(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, ids_BL: Tensor, strengths_BPK: Tensor) -> Tensor:
    """Returns input embeddings (B, L, D) in which image tokens are the keywords that their patches say.

    A patch is [nothing] plus, for each finding, its strength times the way from [nothing] to the finding's words, which
    lie on each other as in a bag: linear in the strengths, so that a linear projector can write the same.
    """
    table = model.model.embed_tokens
    nothing_D = table(torch.tensor(tokenizer.convert_tokens_to_ids(NOTHING)))
    bags = [table(torch.tensor(ids)).sum(dim=0) / math.sqrt(len(ids)) for ids in keyword_ids(tokenizer)]
    patches_BPD = nothing_D + strengths_BPK @ (torch.stack(bags) - nothing_D)
    image_BL1 = (ids_BL == tokenizer.convert_tokens_to_ids(IMAGE_TOKEN))[..., None]
    embedded_BLD: Tensor = table(ids_BL).masked_scatter(image_BL1, patches_BPD)
    return embedded_BLD


def _train(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    lessons: list[Lesson],
    recipe: LanguageRecipe,
    seed: int,
    bar: Progress,
) -> float:
    rng = np.random.default_rng(seed)
    teller = Teller(tokenizer, lessons, recipe, rng)
    weights_N = np.array([recipe.plain + len(lesson.kinds) for lesson in lessons])
    optimizer = make_adamw(model.parameters(), recipe.lr, recipe.weight_decay)
    task, running = bar.add_task("language model", total=recipe.steps), math.nan
    for step in range(recipe.steps):
        warm_cosine(optimizer, recipe.lr, step, recipe.steps)
        # Studies with several findings teach more reading a row; how common they are, the stages will teach.
        chosen = rng.choice(len(lessons), recipe.batch, p=weights_N / weights_N.sum()).tolist()
        rows = teller.rows(chosen)
        loss = telling_loss(model, rows, embed(model, tokenizer, rows.ids_BL, teller.strengths(chosen)))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        running = loss.item() if math.isnan(running) else 0.98 * running + 0.02 * loss.item()
        tell(bar, task, "language", step, recipe.steps, running)
    return running


def telling_loss(model: LlamaForCausalLM, rows: Rows, embedded_BLD: Tensor) -> Tensor:
    """Returns the mean cross-entropy of the answers' tokens; only these reach the head."""
    states_BLD = model.model(
        inputs_embeds=embedded_BLD, attention_mask=rows.sees_B1LL, position_ids=rows.positions_BL, use_cache=False
    ).last_hidden_state
    taught_BL = rows.targets_BL != IGNORED
    return F.cross_entropy(model.lm_head(states_BLD[taught_BL]), rows.targets_BL[taught_BL])


def _save(model: Any, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    shutil.rmtree(out, ignore_errors=True)
    os.replace(partial, out)
