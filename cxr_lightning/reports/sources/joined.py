"""Places of rows enter, the rows of one study after the other leave, read again where they stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Protocol

from cxr_lightning.reports.sources.found import Flaw, SourceError, StudyError
from cxr_lightning.reports.sources.places import Place, Places
from cxr_lightning.reports.sources.rows import Row


class Rereadable(Protocol):
    """A file of rows that can be read through, and again row by row.

    Attributes:
        path: The file.
    """

    path: Path

    def each(self) -> Iterator[Row | Flaw]:
        """Reads row by row."""

    def at(self, file: IO[bytes], number: int, start: int, /) -> Row | Flaw:
        """Reads a row again."""


def joined(table: Rereadable, places: Places, mark: str = ":") -> Iterator[tuple[str, list[Row]]]:
    """Read what belongs together.

    Args:
        table: The file.
        places: Where it stands.
        mark: What stands between the file's name and the numbers of rows, for people.

    Yields:
        For people, file and rows ("studies.csv:3,4"); and the rows.

    Raises:
        SourceError: The file has changed since.
    """
    with table.path.open("rb") as file:
        for group in places:
            found = [table.at(file, place.line, place.start) for place in group]
            rows = [row for row in found if isinstance(row, Row)]
            if len(rows) < len(found):
                raise SourceError(f"{table.path}: has changed while it was read")
            yield f"{table.path.name}{mark}{_numbers(group)}", rows


def grouped(
    table: Rereadable, name_of: Callable[[Row], str], mark: str = ":"
) -> Iterator[Flaw | tuple[str, list[Row]]]:
    """Read a file study by study, wherever their rows stand.

    Args:
        table: The file.
        name_of: What joins a row with others; may raise StudyError.
        mark: What stands between the file's name and the numbers of rows, for people.

    Yields:
        Flaws first, for what is no row or has no name; then for people, file and rows, with the rows.
    """
    places = Places()
    for row in table.each():
        if isinstance(row, Flaw):
            yield row
            continue
        try:
            places.add(name_of(row), Place(row.line, row.start))
        except StudyError as error:
            yield error.flaw(f"{table.path.name}{mark}{row.line}")
    yield from joined(table, places, mark)


_MOST_NUMBERS = 8


def _numbers(group: list[Place]) -> str:
    shown = ",".join(str(place.line) for place in group[:_MOST_NUMBERS])
    return shown + (f" and {len(group) - _MOST_NUMBERS} more" if len(group) > _MOST_NUMBERS else "")
