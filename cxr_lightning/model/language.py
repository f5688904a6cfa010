"""A language model alone: its tokenizer in a processor's place, and its weights, for training on text (stage 0).

What it learns must still be there once a vision tower is joined to it, so what cannot become part of a Llava is refused
here already.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from cxr_lightning.model.opening import Dtype, open_part
from cxr_lightning.model.source import ModelSource, ModelSourceError
from cxr_lightning.model.templates import VICUNA, lacks_begin

_OPTION = "--model.source.language"


class TextProcessor:
    """What a language model's text is prepared with; images are refused.

    Args:
        tokenizer: The tokenizer, with the chat template that counts.
    """

    image_processor = None
    image_token = None

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    @property
    def chat_template(self) -> str:
        """The chat template."""
        template: str = self.tokenizer.chat_template
        return template

    def apply_chat_template(
        self, messages: list[dict[str, Any]], *, add_generation_prompt: bool = False, tokenize: bool = False
    ) -> Any:
        """Renders a conversation whose turns are texts or lists of text parts.

        Raises:
            ValueError: If a turn shows an image.
        """
        flat = [{"role": each["role"], "content": _text(each["content"])} for each in messages]
        return self.tokenizer.apply_chat_template(flat, add_generation_prompt=add_generation_prompt, tokenize=tokenize)

    def __call__(self, text: Any, images: Any = None, **options: Any) -> Any:
        """Tokenizes."""
        assert not images, "a language model alone sees no images"
        return self.tokenizer(text, **options)

    def batch_decode(self, ids: Any, **options: Any) -> list[str]:
        """Returns the text of each row of tokens."""
        texts: list[str] = self.tokenizer.batch_decode(ids, **options)
        return texts

    def save_pretrained(self, folder: Path) -> None:
        """Writes the tokenizer, its chat template beside it."""
        self.tokenizer.save_pretrained(folder)


def _text(content: str | list[dict[str, str]]) -> str:
    if isinstance(content, str):
        return content
    if any(part["type"] != "text" for part in content):
        raise ValueError("A turn shows an image, and a language model alone sees none. Remedy: give text alone.")
    return "".join(part["text"] for part in content)


def load_text_processor(source: ModelSource) -> TextProcessor:
    """Returns what a language model's text is prepared with.

    Args:
        source: Names the language model alone.

    Raises:
        ModelSourceError: If there is no such tokenizer, or it has no end token.
    """
    tokenizer = load_tokenizer(source)
    own = Path(source.chat_template).read_text() if source.chat_template else tokenizer.chat_template
    template = VICUNA if own is None else own
    # Chat servers add no begin token; where the template writes none, the model would be asked as it never was taught.
    tokenizer.chat_template = ("{{- bos_token -}}" if lacks_begin(tokenizer, template) else "") + template
    return TextProcessor(tokenizer)


def load_tokenizer(source: ModelSource) -> Any:
    """Returns the tokenizer of a source's language model, with tokens for end and padding.

    Raises:
        ModelSourceError: If there is no such tokenizer, or it has no end token.
    """
    tokenizer = open_part(AutoTokenizer, source.language, _OPTION)
    if tokenizer.eos_token is None:
        raise ModelSourceError(
            f"The tokenizer of {source.language} has no end token. Remedy: set eos_token in its tokenizer_config.json."
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_language(source: ModelSource, *, dtype: Dtype = torch.float32) -> Any:
    """Returns a source's language model.

    Raises:
        ModelSourceError: If there is none, or its logits would be others within a Llava.
    """
    language = open_part(AutoModelForCausalLM, source.language, _OPTION, dtype=dtype)
    config = language.config
    extras = {"final_logit_softcapping": None, "logit_scale": 1.0, "logits_scaling": 1.0}
    special = [name for name, plain in extras.items() if getattr(config, name, plain) not in (plain, None)]
    if special or not hasattr(language.get_decoder(), "embed_tokens"):
        why = f"its {special[0]} would be lost" if special else "its decoder has no embed_tokens"
        raise ModelSourceError(
            f"The language model {source.language} ({config.model_type}) cannot be joined as Llava: {why}. "
            "Remedy: choose a Llama, Mistral, Qwen2, Qwen3 or similar model, or tune a complete VLM with "
            "--model.source.base."
        )
    return language
