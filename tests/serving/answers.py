"""The same film and question to a server and to transformers here, token by token.

A server may add numbers in another order than transformers does, so in bfloat16 two words that are nearly as likely can
change places. So besides the greedy words, what is compared is how likely transformers finds each word that the server
wrote: shown the same film, and, to know what a difference looks like, shown another one.
"""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from openai import OpenAI
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from cxr_lightning.model.templates import write_template
from cxr_lightning.shards.images import load_gray, shrink

QUESTIONS = ("Describe this chest radiograph.", "Is there a pleural effusion? Answer in one sentence.")
_ASKED_FOR = 10
_BITS = {"bfloat16": 8, "float16": 11, "float32": 24}
_NEAR = 2
"""Two words are nearly as likely where their logits are so many steps apart that the data type knows at that size."""
_NOISE = 1e-3
"""Nats by which sums in another order differ in float32."""

Gray = NDArray[np.uint8]


@dataclass(frozen=True)
class Answer:
    """What was said to one film and question.

    Attributes:
        prompt: Token ids of the prompt, with those that stand for the image.
        tokens: Token ids of the answer.
        logprobs: Log-likelihood of each.
        text: The answer.
    """

    prompt: list[int]
    tokens: list[int]
    logprobs: list[float]
    text: str


@dataclass(frozen=True)
class Comparison:
    """A server's answer beside transformers' own.

    Attributes:
        server: The server's.
        plain: Transformers'.
        difference: Largest difference of log-likelihoods of the server's words, transformers shown the same film.
        control: The same, transformers shown another film.
        margin: Where the words part: by how much transformers prefers its own to the server's. None where they do not.
        near: The margin that the data type's steps make.
    """

    server: Answer
    plain: Answer
    difference: float
    control: float
    margin: float | None
    near: float

    @property
    def equal(self) -> int:
        """How many tokens are the same from the first on."""
        pairs = zip(self.server.tokens, self.plain.tokens, strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

    @property
    def tied(self) -> bool:
        """Whether the words part where they are as likely as two programs can tell.

        That is by the steps of the data type, or, where that is a coarse one, by as much as both differ on the same
        film, if that is well below what another film makes of it.
        """
        noise = self.difference if self.near > _NOISE and self.difference < self.control / 2 else 0.0
        return self.margin is not None and self.margin <= max(self.near, noise)

    @property
    def holds(self) -> bool:
        """Whether prompts are equal, and the first ten words too, or part at a near tie."""
        wanted = min(_ASKED_FOR, len(self.plain.tokens))
        return self.server.prompt == self.plain.prompt and (self.equal >= wanted or self.tied)


class Plain:
    """A folder in plain transformers, on the CPU.

    Args:
        folder: The exported folder.
        dtype: What it computes in.
    """

    def __init__(self, folder: Path, dtype: str) -> None:
        self.processor: Any = AutoProcessor.from_pretrained(folder)
        write_template(self.processor)
        self.model: Any = AutoModelForImageTextToText.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()

    def __call__(self, film: Gray, question: str, *, most: int = 24, say: list[int] | None = None) -> Answer:
        """Answers greedily, or says given words and tells how likely they are.

        Args:
            film: 8-bit gray.
            question: What to ask.
            most: Longest answer.
            say: Token ids to say.
        """
        answer, _ = self._generate(film, question, most, say)
        return answer

    def margin(self, film: Gray, question: str, said: list[int], own: int) -> tuple[float, float]:
        """Returns how much likelier it finds a token of its own than the last that another said, and what is near."""
        _, logits_TV = self._generate(film, question, len(said), said)
        exponent = math.floor(math.log2(max(1.0, float(logits_TV[-1, own].abs()))))
        step = 2.0 ** (exponent + 1 - _BITS[str(self.model.dtype).removeprefix("torch.")])
        return float(logits_TV[-1, own] - logits_TV[-1, said[-1]]), max(_NEAR * step, _NOISE)

    @torch.inference_mode()
    def _generate(self, film: Gray, question: str, most: int, say: list[int] | None) -> tuple[Answer, torch.Tensor]:
        turns = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]
        text = self.processor.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        begins = text.startswith(self.processor.tokenizer.bos_token or "<none>")
        picture = Image.fromarray(film).convert("RGB")
        inputs = self.processor(images=picture, text=text, add_special_tokens=not begins, return_tensors="pt")
        inputs["pixel_values"] = inputs["pixel_values"].to(self.model.dtype)
        options: dict[str, Any] = {"max_new_tokens": most}
        if say is not None:
            left = iter(say)
            options = {"max_new_tokens": len(say), "prefix_allowed_tokens_fn": lambda *_: [next(left)]}
        out = self.model.generate(
            **inputs, **options, do_sample=False, output_logits=True, return_dict_in_generate=True
        )
        prompt = inputs["input_ids"][0].tolist()
        tokens = out.sequences[0, len(prompt) :].tolist()
        logits_TV = torch.cat(out.logits).float()
        logprobs_TV = logits_TV.log_softmax(-1)
        logprobs = [float(logprobs_TV[step, token]) for step, token in enumerate(tokens)]
        text = self.processor.tokenizer.decode(tokens, skip_special_tokens=True).strip()
        return Answer(prompt, tokens, logprobs, text), logits_TV


def ask(url: str, model: str, film: Gray, question: str, *, most: int = 24, temperature: float | None = 0.0) -> Answer:
    """Asks a server through the OpenAI client, greedily, or as it answers clients that name no temperature."""
    client = OpenAI(base_url=url, api_key="none", timeout=600, max_retries=0)
    content = [
        {"type": "image_url", "image_url": {"url": data_url(film)}},
        {"type": "text", "text": question},
    ]
    reply = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": content}],  # type: ignore[list-item,misc]
        max_tokens=most,
        logprobs=True,
        extra_body={"return_token_ids": True},
        **({} if temperature is None else {"temperature": temperature}),
    )
    choice = reply.choices[0]
    told = choice.logprobs.content if choice.logprobs and choice.logprobs.content else []
    prompt, tokens = (reply.model_extra or {})["prompt_token_ids"], (choice.model_extra or {})["token_ids"]
    return Answer(prompt, tokens, [each.logprob for each in told], (choice.message.content or "").strip())


def compare(url: str, name: str, plain: Plain, film: Gray, other: Gray, question: str) -> Comparison:
    """Asks both and compares.

    Args:
        url: The server's.
        name: The model's name there.
        plain: The same model here.
        film: What is shown.
        other: Another patient's film, for the control.
        question: What is asked.
    """
    server, own = ask(url, name, film, question), plain(film, question)
    same, control = (plain(each, question, say=server.tokens) for each in (film, other))
    pairs = zip(server.tokens, own.tokens, strict=False)
    parts = next((step for step, (theirs, ours) in enumerate(pairs) if theirs != ours), None)
    margin, near = None, 0.0
    if parts is not None:
        margin, near = plain.margin(film, question, server.tokens[: parts + 1], own.tokens[parts])
    return Comparison(server, own, _apart(server, same), _apart(server, control), margin, near)


def _apart(one: Answer, other: Answer) -> float:
    return max(abs(left - right) for left, right in zip(one.logprobs, other.logprobs, strict=False))


def films(real: Path, side: int = 224) -> list[Gray]:
    """Returns real radiographs of several patients, as training saw them."""
    paths = sorted((real / "open" / "images").glob("*.jpg"))
    return [shrink(load_gray(path), side) for path in paths[:: max(1, len(paths) // 3)]][:3]


def data_url(film: Gray) -> str:
    """Returns a film as the client sends it: PNG, without loss."""
    buffer = io.BytesIO()
    Image.fromarray(film).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
