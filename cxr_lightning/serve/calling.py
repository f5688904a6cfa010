"""How a served model is called, in words that can be pasted."""

from __future__ import annotations

from cxr_lightning.serve.dialogue import QUESTION

_TEXT = """\

{name} answers at {url}/v1 (Ctrl-C ends it). For research, not for care.

  cxr describe {url} IMAGE.png{size}
  cxr web {url}{size}
{key}
By curl:

  echo '{{"model": "{name}", "max_tokens": 256, "temperature": 0, "messages": [{{"role": "user", "content": [
    {{"type": "image_url", "image_url": {{"url": "data:image/png;base64,'$(base64 -w0 IMAGE.png)'"}}}},
    {{"type": "text", "text": "{question}"}}]}}]}}' |
  curl -s {url}/v1/chat/completions -H 'Content-Type: application/json'{header} -d @-

By Python:

  {imports}from base64 import b64encode
  from openai import OpenAI
  url = "data:image/png;base64," + b64encode(open("IMAGE.png", "rb").read()).decode()
  parts = [{{"type": "image_url", "image_url": {{"url": url}}}}, {{"type": "text", "text": "{question}"}}]
  client = OpenAI(base_url="{url}/v1", api_key={python_key})
  answer = client.chat.completions.create(
      model="{name}", messages=[{{"role": "user", "content": parts}}], max_tokens=256, temperature=0)
  print(answer.choices[0].message.content)
{shrink}"""

_KEY = "\nThey take the key from CXR_API_KEY in the environment.\n"
_SHRINK = """
The model learned from images of at most {size} pixels a side: shrink larger ones first, as --image_size does.
"""


def how_to_call(url: str, name: str, image_size: int | None, api_key: str | None) -> str:
    """Returns what to print once a server answers.

    Args:
        url: Where it listens.
        name: The served model's name.
        image_size: Longest side of the images that the model learned from, if it is known.
        api_key: What clients must know; its value is not shown.
    """
    return _TEXT.format(
        name=name,
        url=url,
        question=QUESTION,
        size=f" --image_size {image_size}" if image_size else "",
        key=_KEY if api_key else "",
        # Out of a pipe: whoever is on the machine may read the words of a command.
        header=' -H @<(echo "Authorization: Bearer $CXR_API_KEY")' if api_key else "",
        imports="import os\n  " if api_key else "",
        python_key='os.environ["CXR_API_KEY"]' if api_key else '"none"',
        shrink=_SHRINK.format(size=image_size) if image_size else "",
    )
