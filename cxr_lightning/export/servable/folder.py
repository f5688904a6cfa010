"""A model's folder as its files say it is: configuration, processor, tokenizer, template, weights' headers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxr_lightning.export.servable.headers import Weights, read_weights

CONFIG, ADAPTER = "config.json", "adapter_config.json"
_OTHERS = (
    "generation_config.json", "processor_config.json", "preprocessor_config.json", "tokenizer_config.json",
    "tokenizer.json", "added_tokens.json", "chat_template.json",
)  # fmt: skip
_TEMPLATE = "chat_template.jinja"
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
Json = dict[str, Any]


@dataclass(frozen=True)
class Folder:
    """What was read.

    Attributes:
        path: The folder.
        files: Each JSON file that is there, parsed.
        problems: What could not be read.
        weights: Its weights as their headers describe them.
    """

    path: Path
    files: Mapping[str, Json]
    problems: tuple[str, ...]
    weights: Weights

    @property
    def config(self) -> Json:
        """The model's configuration."""
        return self.files.get(CONFIG, {})

    def part(self, name: str) -> Json:
        """Returns the configuration of a part, `text_config` or `vision_config`."""
        found = self.config.get(name)
        return found if isinstance(found, dict) else {}

    @property
    def architecture(self) -> str:
        """The class that the configuration names; empty if it names none."""
        named = self.config.get("architectures")
        return str(named[0]) if isinstance(named, list) and named else ""

    @property
    def processor(self) -> Json:
        """How text and images become a prompt."""
        return self.files.get("processor_config.json", {})

    @property
    def image_processor(self) -> Json:
        """How an image becomes pixels; transformers 5 writes it into the processor's file, earlier ones apart."""
        inner = self.processor.get("image_processor")
        return inner if isinstance(inner, dict) else self.files.get("preprocessor_config.json", {})

    @property
    def template(self) -> str | None:
        """The chat template."""
        path = self.path / _TEMPLATE
        if path.is_file():
            return path.read_text(errors="replace")
        for name in ("processor_config.json", "chat_template.json", "tokenizer_config.json"):
            found = self.files.get(name, {}).get("chat_template")
            if isinstance(found, str):
                return found
        return None

    def special_tokens(self) -> dict[str, tuple[int, bool]]:
        """Returns id, and whether it is special, of each token that was added to the tokenizer's vocabulary."""
        listed = self.files.get("tokenizer.json", {}).get("added_tokens") or []
        tokens = {str(each["content"]): (int(each["id"]), bool(each.get("special"))) for each in listed}
        decoder = self.files.get("tokenizer_config.json", {}).get("added_tokens_decoder") or {}
        for number, each in decoder.items():
            tokens.setdefault(str(each["content"]), (int(number), bool(each.get("special"))))
        for content, number in self.files.get("added_tokens.json", {}).items():
            tokens.setdefault(str(content), (int(number), True))
        return tokens

    def stored(self, *endings: str) -> str | None:
        """Returns the name of the tensor that ends so, if there is one."""
        return next((name for name in self.weights.tensors if name.endswith(endings)), None)

    def shape(self, *endings: str) -> tuple[int, ...] | None:
        """Returns the shape of the tensor whose name ends so, if there is one."""
        name = self.stored(*endings)
        return None if name is None else self.weights.tensors[name].shape


def read_folder(path: Path) -> Folder:
    """Reads a folder's files; whatever is wrong with them is told in `problems`."""
    files: dict[str, Json] = {}
    problems: list[str] = []
    for name in (CONFIG, *_OTHERS):
        if not (path / name).is_file():
            continue
        try:
            content = json.loads((path / name).read_bytes())
        except (ValueError, RecursionError, OSError) as error:
            problems.append(f"{name}: {error}")
            continue
        if isinstance(content, dict):
            files[name] = content
        else:
            problems.append(f"{name}: holds no JSON object")
    return Folder(path, files, tuple(problems), read_weights(path))
