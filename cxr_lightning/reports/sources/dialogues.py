"""A record of instruction data enters, in any of the forms in circulation; its images, and its turns in pairs, leave.

LLaVA's conversations, Qwen-VL's (which name images in the text), the messages of Qwen2-VL, ms-swift and LLaMA-Factory,
a query with its response, and instruction, input and output, as text-only medical dialogues come.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from cxr_lightning.reports.sources.found import StudyError
from cxr_lightning.reports.sources.rows import Row

MARK = "<image>"
"""Where an image goes."""

_NAMED = re.compile(r"(?:Picture\s*[0-9]+\s*:\s*)?<img>([^<>]{1,4096})</img>")
_MARKS = re.compile(r"<\|vision_start\|>(?:<\|image_pad\|>)+<\|vision_end\|>|<image-placeholder>|<ImageHere>")
_ASKS = frozenset({"human", "user"})
_ANSWERS = frozenset({"gpt", "assistant", "model", "chatgpt", "bard"})
_LONGEST = 200_000


class Dialogue(NamedTuple):
    """What one record says.

    Attributes:
        images: The images that it names, in order.
        pairs: Questions and answers; `MARK` stands where the record marks an image.
    """

    images: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]


def dialogue_of(row: Row) -> Dialogue:
    """Read a record.

    Args:
        row: The record.

    Raises:
        StudyError: It has no dialogue, or one that is not question and answer in turn.
    """
    images = [*_listed(row.cells.get("image")), *_listed(row.cells.get("images"))]
    pairs, asked = [], ""
    for asks, content in _turns(row):
        text = _text(content, images)
        if "<" in text:
            text = _marked(text, images)
        if asks == bool(asked) or not text.strip():
            raise StudyError("turns unpaired", "its turns are not question and answer, one after the other")
        if asks:
            asked = text
        else:
            pairs.append((asked.strip(), text.strip()))
            asked = ""
    if asked or not pairs:
        raise StudyError("turns unpaired", "its last question has no answer" if asked else "it has no turns")
    return Dialogue(tuple(images), tuple(pairs))


def _marked(text: str, images: list[str]) -> str:
    """Writes every kind of mark as `MARK`, and takes the images that the text names."""
    text = _MARKS.sub(MARK, text)
    images += [name for name in _NAMED.findall(text) if name not in images]
    return _NAMED.sub(MARK, text)


def _turns(row: Row) -> Iterator[tuple[bool, object]]:
    cells = row.cells
    for key, who, said in (("conversations", "from", "value"), ("messages", "role", "content")):
        if key in cells:
            yield from _told(cells[key], who, said)
            return
    if "query" in cells and "response" in cells:
        history = cells.get("history") or []
        for pair in history if isinstance(history, list) else []:
            if not isinstance(pair, list) or len(pair) != 2:
                raise StudyError("turns unpaired", "its history is no list of pairs")
            yield True, pair[0]
            yield False, pair[1]
        yield True, cells["query"]
        yield False, cells["response"]
    elif "instruction" in cells and "output" in cells:
        yield True, "\n".join(str(cells[key]).strip() for key in ("instruction", "input") if cells.get(key))
        yield False, cells["output"]


def _told(turns: object, who: str, said: str) -> Iterator[tuple[bool, object]]:
    for turn in turns if isinstance(turns, list) else [None]:
        if not isinstance(turn, dict):
            raise StudyError("turns unpaired", "its turns are no list of objects")
        role = str(turn.get(who, turn.get("role" if who == "from" else "from", ""))).lower()
        if role in _ASKS or role in _ANSWERS:
            yield role in _ASKS, turn.get(said, turn.get("content" if said == "value" else "value"))
        elif role != "system":
            raise StudyError("turns unpaired", "a turn is neither of a user nor of an assistant")


def _text(content: object, images: list[str]) -> str:
    """Joins content that comes in parts; an image among them is named and marked."""
    if isinstance(content, str):
        text = content
    elif isinstance(content, list):
        text = "\n".join(_part(part, images) for part in content)
    else:
        raise StudyError("turns unpaired", f"a turn holds a {type(content).__name__}; it must be text")
    if len(text) > _LONGEST:
        raise StudyError("turn too long", f"a turn has more than {_LONGEST:,} characters")
    return text


def _part(part: object, images: list[str]) -> str:
    if isinstance(part, dict) and part.get("type", "text") == "text":
        return str(part.get("text", ""))
    if isinstance(part, dict) and part.get("type") == "image":
        images += [name for name in _listed(part.get("image", part.get("path"))) if name not in images]
        return MARK
    raise StudyError("turns unpaired", "a part of a turn is neither text nor image")


def _listed(value: object) -> list[str]:
    found = value if isinstance(value, list) else [value] if value else []
    paths = [item.get("path", item.get("image")) if isinstance(item, dict) else item for item in found]
    if not all(isinstance(path, str) and path.strip() for path in paths):
        raise StudyError("path unusable", "an image is named by something else than text")
    return [str(path).strip().removeprefix("file://") for path in paths]
