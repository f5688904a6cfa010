"""The placeholder: the one token that stands for an image, in the configuration, the tokenizer and the embeddings."""

from __future__ import annotations

from cxr_lightning.export.servable.finding import Finding
from cxr_lightning.export.servable.folder import Folder

_KEYS = ("image_token_index", "image_token_id")
_MARKS = {"gemma3": ("boi_token_index", "boi_token_id")}
"""Where another token than the one that is repeated stands for the image in a template."""
_EMBEDDINGS = "embed_tokens.weight"


def image_token(folder: Folder) -> int | None:
    """Returns the id of the token that stands for a piece of an image, as the configuration says."""
    return _of(folder, _KEYS)


def mark(folder: Folder) -> str | None:
    """Returns what a chat template writes for an image; None where it writes nothing, or is not known."""
    kind = str(folder.config.get("model_type"))
    if kind in ("blip-2", "instructblip"):
        return None
    number = _of(folder, _MARKS.get(kind, _KEYS))
    return next((text for text, (each, _) in folder.special_tokens().items() if each == number), None)


def check_token(folder: Folder) -> Finding:
    """Checks that the placeholder is one special token of the tokenizer, with a row in the embeddings."""
    what, number = "one special token stands for the image", image_token(folder)
    again = "export the run again: cxr export RUN --out DIR"
    if number is None:
        return Finding(what, f"config.json has neither {' nor '.join(_KEYS)}", False, again)
    named = [(text, special) for text, (each, special) in folder.special_tokens().items() if each == number]
    if not named:
        return Finding(what, f"token {number} is none that was added to the tokenizer", False, again)
    text, special = named[0]
    if not special:
        return Finding(what, f"{text} is no special token, so text could hold it", False, again)
    told = folder.processor.get("image_token")
    if isinstance(told, str) and told != text:
        return Finding(what, f"token {number} is {text}, and the processor writes {told}", False, again)
    return _rows(folder, what, text, number, again)


def _rows(folder: Folder, what: str, text: str, number: int, again: str) -> Finding:
    shape, said = folder.shape(_EMBEDDINGS), folder.part("text_config").get("vocab_size")
    rows = shape[0] if shape else 0
    if not rows:
        return Finding(what, "there is no embedding matrix", False, again)
    if said is not None and rows != said:
        return Finding(what, f"{rows} embedding rows, and text_config.vocab_size says {said}", False, again)
    if number >= rows:
        return Finding(what, f"{text} is token {number}, and there are {rows} embedding rows", False, again)
    return Finding(what, f"{text}, {number} of {rows}", True)


def _of(folder: Folder, keys: tuple[str, ...]) -> int | None:
    return next((int(folder.config[key]) for key in keys if isinstance(folder.config.get(key), int)), None)
