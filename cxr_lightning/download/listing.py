"""Published lists of checksums: a file of lines enters, the files of a data set leave, none of which lies elsewhere.

The list comes from a server and is not trusted: one name that points out of the folder spoils all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cxr_lightning.download.catalogue import LISTING, Collection, Kind, kind_of
from cxr_lightning.download.trouble import ListingError

OWN = ".download"
"""The folder in which a download keeps what is its own; no published file may lie there."""

_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *]?(.+)")


@dataclass(frozen=True, slots=True)
class Item:
    """A file to fetch.

    Attributes:
        name: Where it lies under OUT.
        url: Where it comes from.
        sha256: Its published checksum; empty if none is.
        kind: What is in it.
        secret: Whether others on this machine must not read it.
    """

    name: str
    url: str
    sha256: str
    kind: Kind
    secret: bool = False


def items_of(collection: Collection, address: str, listing: Path | None) -> list[Item]:
    """Returns what a collection holds for us.

    Args:
        collection: The collection.
        address: Its address, without a slash at its end.
        listing: Its list of checksums, if one is published.

    Raises:
        ListingError: The list is none, or names files elsewhere.
    """
    named = read_listing(listing) if listing else ((name, "") for name in collection.files)
    return [
        Item(
            name,
            f"{address}/{quote(name)}",
            sha256,
            kind := kind_of(name),
            bool(collection.agreement) and kind == "reports",
        )
        for name, sha256 in named
        if collection.holds(name) and name != LISTING
    ]


def read_listing(listing: Path) -> Iterator[tuple[str, str]]:
    """Yields the names and checksums of a list, as `sha256sum` writes it.

    Args:
        listing: The file.

    Raises:
        ListingError: A line is none of such a list, or names a file elsewhere, or one twice.
    """
    seen: set[str] = set()
    with listing.open("rb") as lines:
        for number, raw in enumerate(lines, start=1):
            try:
                found = _LINE.fullmatch(raw.decode().rstrip("\r\n"))
            except UnicodeDecodeError:
                found = None
            if not found:
                raise ListingError(
                    f"{listing}: line {number} is not a checksum and a name, so this is not the list that was asked "
                    "for. Remedy: see what the server answers there; behind a proxy it may be a page of that"
                )
            sha256, name = found[1].lower(), found[2]
            if why := unsafe(name):
                raise ListingError(
                    f"{listing}: line {number} names a file that {why}; nothing of this list is fetched. Remedy: see "
                    "that --base_url is the server that you mean"
                )
            if name in seen:
                raise ListingError(
                    f"{listing}: line {number} names a file a second time; nothing of this list is fetched. "
                    "Remedy: see that --base_url is the server that you mean"
                )
            seen.add(name)
            yield name, sha256
    if not seen:
        raise ListingError(f"{listing} is empty. Remedy: see that --base_url is the server that you mean")


def unsafe(name: str) -> str:
    """Says why a file of this name must not be written, in the words that follow "a file that"; empty if it may be.

    Args:
        name: A path from a list or an archive.
    """
    parts = name.split("/")
    if not name.isprintable() or "\\" in name:  # control characters, separators, marks that turn the direction
        return "has control characters or backslashes in its name"
    if not {"", ".", ".."}.isdisjoint(parts):
        return "may lie outside the folder"
    if any(len(part.encode()) > 200 for part in parts) or len(name.encode()) > 1000:
        return "has too long a name"
    return f"would replace what {OWN} keeps" if parts[0].casefold() == OWN else ""
