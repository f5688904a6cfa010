"""A chat template, tried on an image and a question: is what it writes a prompt?"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from cxr_lightning.export.servable.folder import Folder

_QUESTION = "What is seen on this film?"


def template_problem(folder: Folder, mark: str | None) -> str | None:
    """Returns what is wrong with a folder's chat template, if something is.

    Args:
        folder: The folder.
        mark: What stands for an image in a prompt; None where nothing does.
    """
    if folder.template is None:
        return "there is no chat template"
    content = [{"type": "image"}, {"type": "text", "text": _QUESTION}]
    try:
        written = _render(folder, [{"role": "user", "content": content}])
    except (TemplateError, TypeError, ValueError) as error:
        return f"it cannot be used: {error}"
    if _QUESTION not in written:
        return "it leaves out the question when an image comes before it"
    if mark is not None and written.count(mark) != 1:
        return f"it writes {mark} {written.count(mark)} times for one image"
    return None


def _render(folder: Folder, turns: list[dict[str, Any]]) -> str:
    """Renders as transformers does: sandboxed, since a template is a program that came with the weights."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = lambda value, **options: json.dumps(value, ensure_ascii=False, **options)
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    template = environment.from_string(folder.template or "")
    return template.render(messages=turns, add_generation_prompt=True, **_named_tokens(folder))


def _named_tokens(folder: Folder) -> dict[str, str]:
    tokens: dict[str, str] = {}
    for name, value in folder.files.get("tokenizer_config.json", {}).items():
        text = value.get("content") if isinstance(value, dict) else value
        if name.endswith("_token") and isinstance(text, str):
            tokens[name] = text
    return tokens


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)
