"""Chat templates: how turns become text for each language model.

A language model's own template is kept. Hugging Face messages may hold content as a list of parts (an image, a text);
text-only templates know strings alone, so ours flattens the parts first and then lets the original speak.
"""

from __future__ import annotations

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
      {%- if part['type'] == 'image' -%}{%- set joined.text = joined.text + '<image>\\n' -%}
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


def with_images(template: str | None, *, begins: bool = False) -> str:
    """Returns a chat template that takes images as message parts, around a text-only one.

    Args:
        template: The language model's own template; None for models without one (Vicuna).
        begins: Whether the template has to write the begin token, because the tokenizer adds one that the template
            leaves out: chat servers add none, and the model would be asked in a way it was never taught.
    """
    return _FLATTEN + ("{{- bos_token -}}" if begins else "") + (VICUNA if template is None else template)
