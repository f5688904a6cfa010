"""What stands already where summaries shall be written: what another model wrote is not replaced unasked.

Answers stay in the journal, but a file of summaries may have been made elsewhere, or its journal be gone.
"""

from __future__ import annotations

import json
from pathlib import Path

from cxr_lightning.reports.outside import lies_in
from cxr_lightning.reports.summaries.trouble import SummariesError

_KNOWN = ("study_id", "summary", "how", "prompt", "model")


def require_apart(out: Path, reports: Path) -> None:
    """Refuses what would be no file of reports, and to write into the one that is read.

    Args:
        out: Where summaries shall be written; their journal is kept beside it.
        reports: The file of reports.

    Raises:
        SummariesError: The reports are a folder or not there, or OUT or its journal are a folder or the reports.
    """
    if reports.is_dir():
        raise SummariesError(f"{reports}: is a folder. Remedy: the file that `cxr reports ... --out FILE` wrote.")
    if not reports.exists():
        raise SummariesError(f"{reports}: is not there. Remedy: the file that `cxr reports ... --out FILE` wrote.")
    for file in (out, out.with_name(f"{out.name}.journal")):
        if lies_in(file, reports):
            raise SummariesError(f"{file}: is the file of reports that is read. Remedy: another --out.")
        if file.is_dir():
            raise SummariesError(f"{file}: is a folder. Remedy: name a file as --out.")


def require_replaceable(out: Path, model: str, prompt: str, studies: int) -> None:
    """Refuses to replace summaries that would not come again by the same command.

    Args:
        out: Where summaries shall be written. What the rules wrote may be replaced, and what the same model wrote.
        model: Who will be asked; empty where the rules summarise.
        prompt: Version of what is asked; empty where nobody is.
        studies: How many summaries will stand there.

    Raises:
        SummariesError: Other or more summaries stand there, or none at all but something else.
    """
    if not out.exists():
        return
    number = 0
    with out.open("rb") as stream:
        for number, raw in enumerate(stream, start=1):
            wrote = _wrote(raw)
            if wrote is None:
                raise _refusal(out, f"line {number} is no summary")
            if wrote not in (("", ""), (model, prompt)):
                made = "the rules" if not model else "another model" if wrote[0] != model else "another prompt"
                raise _refusal(out, f"line {number} was written by a model, and now {made} would")
    if number > studies:
        raise _refusal(out, f"holds {number:,} summaries, and {studies:,} would stand there")


def _wrote(raw: bytes) -> tuple[str, str] | None:
    """Returns model and prompt of a line; None where it is no summary's."""
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or not all(isinstance(line.get(name), str) for name in _KNOWN):
        return None
    return line["model"], line["prompt"]


def _refusal(out: Path, why: str) -> SummariesError:
    return SummariesError(f"{out}: {why}. Remedy: another --out; or --overwrite true, and it is replaced.")
