"""How fast a server answers: so many requests at a time, each with a film, each answered in as many words."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from openai import OpenAI

from tests.serving.answers import QUESTIONS, Gray, data_url

_WORDS = 64


@dataclass(frozen=True)
class Load:
    """What was measured.

    Attributes:
        at_once: Requests at a time.
        requests: Requests in all.
        seconds: How long all of them took.
    """

    at_once: int
    requests: int
    seconds: float

    def __str__(self) -> str:
        answers, words = self.requests / self.seconds, self.requests * _WORDS / self.seconds
        return f"{self.at_once} at a time: {answers:.2f} answers/s, {words:.0f} tokens/s ({_WORDS} tokens an answer)"


def measure(url: str, model: str, films: list[Gray], at_once: int) -> Load:
    """Asks twice as many questions as may be open at a time; all answers are of one length, whatever they say."""
    client = OpenAI(base_url=url, api_key="none", timeout=600, max_retries=0)
    pictures = [data_url(film) for film in films]

    def ask(number: int) -> None:
        content = [
            {"type": "image_url", "image_url": {"url": pictures[number % len(pictures)]}},
            {"type": "text", "text": f"Film {number}. {QUESTIONS[0]}"},  # nothing is answered from a cache
        ]
        client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": content}],  # type: ignore[list-item,misc]
            temperature=0,
            max_tokens=_WORDS,
            extra_body={"ignore_eos": True},
        )

    requests = 2 * at_once
    began = time.perf_counter()
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(ask, range(requests)))
    return Load(at_once, requests, time.perf_counter() - began)
