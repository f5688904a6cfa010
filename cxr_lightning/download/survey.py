"""What a data set is made of: its collections' lists of checksums are fetched, the files that are wanted leave.

A list, once whole, is kept: a published version does not change, and a later run need not fetch 100 MB to learn it.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from cxr_lightning.download.catalogue import LISTING, Collection, Dataset
from cxr_lightning.download.choosing import Choice
from cxr_lightning.download.fetching import Fetching
from cxr_lightning.download.listing import OWN, Item, items_of
from cxr_lightning.download.partial import Partial
from cxr_lightning.download.refusal import explained
from cxr_lightning.download.trouble import AccessError, DownloadError, ListingError, LostError, NotLetInError


class Survey:
    """Finds what there is.

    Args:
        dataset: The data set.
        address: The root of all addresses, without a slash at its end.
        fetching: How lists are fetched.

    Attributes:
        lost: The collections that could not be seen, and why.
    """

    def __init__(self, dataset: Dataset, address: str, fetching: Fetching) -> None:
        self._dataset, self._address, self._fetching = dataset, address, fetching
        self.lost: dict[str, str] = {}

    def items(self, choice: Choice) -> list[Item]:
        """Returns the files that are wanted, those first that all need.

        Args:
            choice: What is wanted.

        Raises:
            AccessError: We are not let in to the first collection that is wanted.
            DownloadError: Its list is not to be had, or nothing in it fits.
        """
        found: list[Item] = []
        wanted = [each for each in self._dataset.collections if choice.concerns(each)]
        for number, collection in enumerate(wanted):
            try:
                listing = None if collection.files else self._listing(collection)
            except (AccessError, DownloadError) as error:
                if number == 0:
                    raise
                self.lost[collection.path] = str(error)
                continue
            found += choice.of(collection, self._items(collection, listing))
        return choice.limited(found)

    def refused(self, error: NotLetInError) -> AccessError:
        """Returns what to tell who is not let in to the data set."""
        return explained(error, self._dataset.collections[0], urlsplit(self._address).hostname or "")

    def _items(self, collection: Collection, listing: Path | None) -> list[Item]:
        try:
            return items_of(collection, f"{self._address}/{collection.path}", listing)
        except ListingError:
            if listing:
                listing.unlink()
            raise

    def _listing(self, collection: Collection) -> Path:
        folder = self._fetching.place.out / OWN / "listings"
        file = folder / f"{collection.path.replace('/', '-')}.txt"
        if file.exists():
            return file
        folder.mkdir(parents=True, exist_ok=True)
        partial = Partial(file.with_name(f"{file.name}.partial"))
        try:
            self._fetching.bring(f"{self._address}/{collection.path}/{LISTING}", partial, lambda _: None, lambda: "")
        except NotLetInError as error:
            raise explained(error, collection, urlsplit(self._address).hostname or "") from error
        except LostError as error:
            raise DownloadError(
                f"{self._address}/{collection.path}/{LISTING}: {error}. Remedy: see whether this machine reaches the "
                "server; compute nodes often do not, data transfer nodes do"
            ) from error
        partial.become(file, self._fetching.place.mode)
        return file
