"""Summaries that were written elsewhere, found by their study: only their places are held, for an archive has many."""

from __future__ import annotations

import json
from pathlib import Path

from cxr_lightning.reports.sources import SourceError


class Written:
    """What `cxr summarize` wrote.

    Args:
        path: Its file: a line of JSON a study, with `study_id` and `summary`.

    Attributes:
        missed: How many studies were asked for that it does not name.

    Raises:
        SourceError: It is missing, or a line is something else.
    """

    def __init__(self, path: Path) -> None:
        self.missed = 0
        self._places: dict[str, int] = {}
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise SourceError(f"--summaries {path}: {error.strerror}; give the file that cxr summarize wrote") from None
        offset = 0
        for number, line in enumerate(self._file, start=1):
            if line.strip():
                study = self._read(line, path, number)
                if study in self._places:
                    raise SourceError(f"--summaries {path}:{number}: a second line for a study; keep one")
                self._places[study] = offset
            offset += len(line)

    def summary_of(self, study_id: str) -> str:
        """Returns a study's summary; the empty string where there is none.

        Args:
            study_id: The study's name in its source.
        """
        place = self._places.get(study_id)
        if place is None:
            self.missed += 1
            return ""
        self._file.seek(place)
        return str(json.loads(self._file.readline())["summary"])

    @staticmethod
    def _read(line: bytes, path: Path, number: int) -> str:
        try:
            table = json.loads(line)
            study, summary = table["study_id"], table["summary"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            # The decoder's own message can quote the line, and a line holds a report: its type must do.
            raise SourceError(
                f"--summaries {path}:{number}: no summary ({type(error).__name__}); give the file that cxr summarize "
                "wrote, with study_id and summary in each line"
            ) from None
        if not isinstance(study, str) or not isinstance(summary, str):
            raise SourceError(f"--summaries {path}:{number}: study_id and summary must be text")
        return study
