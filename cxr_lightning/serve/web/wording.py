"""Errors enter, words for a visitor leave: no address, no password in one, no remedy that needs a shell.

Who runs the page reads the rest in its terminal. What quotes a question is not written there.
"""

from __future__ import annotations

import logging
import re

from cxr_lightning.endpoint.trouble import ServerError

_log = logging.getLogger(__name__)
_URL = re.compile(r"\bhttps?://[^\s,;)]*[^\s,;).:]")
_SECRET = re.compile(r"//[^/\s]*@")
_TELL = "if it fails again, tell whoever runs this page."


def for_visitors(error: Exception) -> str:
    """Says why there is no answer.

    Args:
        error: What was raised.
    """
    if isinstance(error, ServerError):
        _log.error("no answer: %s", _SECRET.sub("//", str(error)))
        return f"The model's server does not answer. Ask again in a minute; {_TELL}"
    _log.error("no answer: %s", type(error).__name__)  # not its text, which may quote the question
    said = _URL.sub("the model's server", str(error).partition("Remedy:")[0]).strip()
    if isinstance(error, ValueError) and said:
        return f"{said[0].upper()}{said[1:].rstrip('.')}. Ask again; {_TELL}"
    return f"The model failed ({type(error).__name__}). Ask again; {_TELL} Its terminal names the error."
