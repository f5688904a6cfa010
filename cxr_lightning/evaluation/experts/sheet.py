"""The page that is read: films, texts and scripts in one file, which a browser opens from a disk.

Enters blinded items and their films; leaves reading.html. Its policy lets it run its own scripts, known by their
digests, and ask nothing of any network; the viewer of films is the one of `cxr web`.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from markupsafe import Markup

from cxr_lightning.durable import write_text
from cxr_lightning.evaluation.experts.blinding import SCHEMA, Blinded
from cxr_lightning.evaluation.experts.material import Study
from cxr_lightning.evaluation.experts.rubric import ANCHORS, ERRORS, QUESTION
from cxr_lightning.template import environment, hash_of

FOLDER = "cxr_lightning.evaluation.experts"
_SCRIPTS = (
    ("cxr_lightning.serve.web", "film.html"),
    (FOLDER, "ratings.html"),
    (FOLDER, "cards.html"),
    (FOLDER, "desk.html"),
)


def write_reading(out: Path, studies: Sequence[Study], blinded: Blinded) -> None:
    """Writes the page, whole or not at all.

    Args:
        out: The file.
        studies: The films.
        blinded: What is shown of them, and in which order.
    """
    scripts = [_script(package, name) for package, name in _SCRIPTS]
    data = {
        "schema": SCHEMA,
        "page": blinded.fingerprint,
        "items": blinded.items,
        "seats": blinded.seats,
        "errors": [{"name": error.name, "key": error.key, "words": error.words} for error in ERRORS],
        "anchors": ANCHORS,
    }
    films = [
        {"id": f"film-{number}-{place}", "position": film.position, "data": base64.b64encode(film.data).decode()}
        for number, study in enumerate(studies)
        for place, film in enumerate(study.films)
    ]
    html = (
        environment(FOLDER)
        .get_template("reading.html")
        .render(
            fingerprint=blinded.fingerprint,
            data=embedded(data),
            films=films,
            scripts=scripts,
            policy=" ".join(f"'sha256-{hash_of(script)}'" for script in scripts),
            question=QUESTION,
            studies=max(map(len, blinded.seats)),  # as readers count them: a repeat is not told
            seats=len(blinded.seats),
        )
    )
    write_text(out, html)


def write_json(file: Path, value: Any) -> None:
    """Writes a file of JSON, whole or not at all.

    Args:
        file: The file.
        value: What it shall hold; no number that JSON does not know.
    """
    write_text(file, json.dumps(value, indent=1, allow_nan=False) + "\n")


def embedded(value: Any) -> Markup:
    """Writes JSON so that no text in it can end the element that holds it."""
    return Markup(json.dumps(value).replace("<", "\\u003c"))


def _script(package: str, name: str) -> Markup:
    """Takes the script out of its file, where it stands between tags for the sake of editors."""
    text = (files(package) / name).read_text(encoding="utf-8")
    found = re.search(r"<script>(.*)</script>", text, re.DOTALL)
    assert found, f"{name} holds no script"
    return Markup(found[1])
