"""What goes wrong on the way: what passes, what is lost for one file, and what ends the whole download.

The named errors are the user's to mend; the others never leave this package.
"""

from __future__ import annotations


class DownloadError(ValueError):
    """Something was not fetched: the message lists it, or says what stopped all of it."""


class AccessError(ValueError):
    """The server does not let this user, or this program, in."""


class ListingError(ValueError):
    """A list of checksums is none, or names files where nothing may be written."""


class NotLetInError(Exception):
    """A server refused (401 or 403); whoever knows the data set says what to do about it.

    Args:
        status: The status of the answer, or 302 for a way to a login page.
        asked: Whether a password was asked for.
        shown: Whether one was given.
    """

    def __init__(self, status: int, *, asked: bool, shown: bool) -> None:
        super().__init__(f"HTTP {status}")
        self.status, self.asked, self.shown = status, asked, shown


class PassingError(Exception):
    """An attempt failed; a further one may not.

    Args:
        what: Why, in words.
        wait: Seconds that the server asked for.
        busy: Whether all that goes to this server had better wait.
    """

    def __init__(self, what: str, wait: float | None = None, *, busy: bool = False) -> None:
        super().__init__(what)
        self.wait, self.busy = wait, busy


class LostError(Exception):
    """This file cannot be had, and no further attempt helps."""


class StoppedError(Exception):
    """The user, or trouble elsewhere, ended the download."""
