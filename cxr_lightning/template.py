"""Pages of HTML: what a model or a report says is text there, never markup, and the one script is named by its hash.

A browser that is shown such a page asks nothing of the network and runs no other script.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


@dataclass(frozen=True)
class Script:
    """A script of our own.

    Attributes:
        text: What the page holds.
        hash: What its policy names it by.
    """

    text: Markup
    hash: str


def environment(*packages: str) -> Environment:
    """Returns the templates that lie in packages, which escape what they are given and miss nothing in silence.

    Args:
        *packages: Where templates are looked for, in order.
    """
    return Environment(
        loader=ChoiceLoader([PackageLoader(package, ".") for package in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def script(package: str, name: str) -> Script:
    """Reads a script.

    Args:
        package: Where it lies.
        name: Its file.
    """
    text = files(package).joinpath(name).read_text(encoding="utf-8")
    return Script(Markup(text), hash_of(text))


def hash_of(text: str) -> str:
    """Returns what a page's policy calls a script.

    Args:
        text: The script.
    """
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
