"""Chat templates: how turns become text for each language model.

A language model's own template is kept. Hugging Face messages may hold content as a list of parts (an image, a text);
text-only templates know strings alone, so ours flattens the parts first and then lets the original speak.
"""

from __future__ import annotations

from typing import Any

IMAGE_TOKEN = "<image>"
"""The placeholder that composed models add to their tokenizer."""

_FLATTEN = """\
{%- set flat = namespace(messages=[]) -%}
{%- for message in messages -%}
  {%- if message['content'] is string -%}
    {%- set flat.messages = flat.messages + [message] -%}
  {%- else -%}
    {%- set joined = namespace(text='') -%}
    {%- for part in message['content'] -%}
      {%- if part['type'] == 'image' -%}{%- set joined.text = joined.text + 'IMAGE' -%}
      {%- elif part['type'] == 'text' -%}{%- set joined.text = joined.text + part['text'] -%}
      {%- endif -%}
    {%- endfor -%}
    {%- set flat.messages = flat.messages + [{'role': message['role'], 'content': joined.text}] -%}
  {%- endif -%}
{%- endfor -%}
{%- set messages = flat.messages -%}
"""

VICUNA = """\
{%- for message in messages -%}
  {%- if message['role'] == 'system' -%}{{ message['content'] + ' ' }}
  {%- elif message['role'] == 'user' -%}{{ 'USER: ' + message['content'] + ' ' }}
  {%- else -%}{{ 'ASSISTANT: ' + message['content'] + eos_token }}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ 'ASSISTANT:' }}{%- endif -%}
"""
"""For language models that bring no template: the turns of Vicuna 1.1, whose end is the tokenizer's own end token.

The prompt ends without a space: the space belongs to the first word's token, and a prompt that ended in one would show
the model a token that training never saw.
"""


def with_images(template: str | None, *, begins: bool = False, mark: str = f"{IMAGE_TOKEN}\\n") -> str:
    """Returns a chat template that takes images as message parts, around a text-only one.

    Args:
        template: The language model's own template; None for models without one (Vicuna).
        begins: Whether the template has to write the begin token, because the tokenizer adds one that the template
            leaves out: chat servers add none, and the model would be asked in a way it was never taught.
        mark: What stands for an image, as Jinja writes strings.
    """
    begin = "{{- bos_token -}}" if begins else ""
    return _FLATTEN.replace("IMAGE", mark) + begin + (VICUNA if template is None else template)


def lacks_begin(tokenizer: Any, template: str | None) -> bool:
    """Returns whether a tokenizer begins text with a token that a chat template does not write."""
    begin = tokenizer.bos_token
    adds = begin is not None and tokenizer("a").input_ids[:1] == [tokenizer.bos_token_id]
    return adds and "bos_token" not in (template or "") and begin not in (template or "")


def write_template(processor: Any, own: str | None = None) -> None:
    """Settles which chat template a complete model's processor writes by, in place.

    BLIP-2's processors forget the template that lies in their folder, but their tokenizer keeps it; published ones
    have none. Their images stand in front of all text, so a template of theirs writes nothing for an image.

    Args:
        processor: The processor.
        own: A template to use instead.
    """
    leading = getattr(processor, "num_query_tokens", None) is not None
    found = own or processor.chat_template or processor.tokenizer.chat_template
    if leading and _FLATTEN.partition("IMAGE")[0] not in (found or ""):
        found = with_images(found, mark="")
    processor.chat_template = found
    if leading:
        processor.tokenizer.chat_template = found


def plain_template() -> str:
    """Returns a template for complete models of others that have none (Fuyu): what is said, line by line.

    Images stand where the processor puts them.
    """
    return with_images("{%- for message in messages -%}{{ message['content'] + '\\n' }}{%- endfor -%}", mark="")
