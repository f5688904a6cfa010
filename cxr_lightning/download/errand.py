"""The whole of a download: what is wanted is surveyed, told, fetched, unpacked, and told again."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from cxr_lightning import durable
from cxr_lightning.download.catalogue import Dataset
from cxr_lightning.download.choosing import Choice, require_room
from cxr_lightning.download.crew import Crew
from cxr_lightning.download.fetching import Fetching
from cxr_lightning.download.listing import OWN, Item
from cxr_lightning.download.manifest import Manifest
from cxr_lightning.download.progress import watched
from cxr_lightning.download.summary import loss, show_plan, show_tally
from cxr_lightning.download.survey import Survey
from cxr_lightning.download.trouble import DownloadError, NotLetInError
from cxr_lightning.download.unpacking import unpack as unpack_into


class Errand:
    """One download.

    Args:
        dataset: What is fetched.
        address: The root of all addresses, without a slash at its end.
        fetching: How a file is fetched.
        stop: Ends all when set.
        console: Where it is told.
    """

    def __init__(
        self, dataset: Dataset, address: str, fetching: Fetching, stop: threading.Event, console: Console
    ) -> None:
        self._dataset, self._fetching, self._console = dataset, fetching, console
        self._out = fetching.place.out
        self._survey = Survey(dataset, address, fetching)
        self._manifest = Manifest(self._out)
        self._crew = Crew(fetching, self._manifest, stop)

    def run(self, choice: Choice, parallel: int, *, verify: bool, unpack: bool, dry_run: bool) -> None:
        """Runs it.

        Args:
            choice: What is wanted.
            parallel: How many files at once.
            verify: Whether what stands there is read again.
            unpack: Whether archives are unpacked.
            dry_run: Whether it is only said what would be done.

        Raises:
            DownloadError: Something was not fetched.
            AccessError: The server does not let us in.
        """
        items = self._survey.items(choice)
        lacking = self._crew.lacking(items, verify=verify)
        show_plan(self._console, self._dataset, items, lacking)
        if dry_run:
            return
        archives = {name: folder for name, folder in self._dataset.unpacks if unpack}
        require_room(self._out, lacking, self._dataset.guess, list(archives))
        self._crew.tally.lost.update(self._survey.lost)
        try:
            self._fetch(lacking, parallel)
        except NotLetInError as error:
            raise self._survey.refused(error) from error
        finally:
            show_tally(self._console, self._crew.tally, items)
        self._unpack(items, archives, verify=verify)
        self._settle()

    def _fetch(self, lacking: Sequence[Item], parallel: int) -> None:
        with watched(lacking, self._dataset.guess, self._console) as watch:
            self._crew.fetch(lacking, parallel, watch)

    def _unpack(self, items: Sequence[Item], archives: dict[str, str], *, verify: bool) -> None:
        for item in items:
            held = self._manifest.of(item.name)
            if item.name not in archives or held is None or item.name in self._crew.tally.lost:
                continue
            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
            with Progress(*columns, console=self._console, disable=not self._console.is_terminal) as progress:
                task = progress.add_task(f"unpacking {item.name}", total=held.bytes)
                shown = functools.partial(_show, progress, task)
                count = unpack_into(self._out, item.name, archives[item.name], held.sha256, shown, verify=verify)
            if count:
                self._console.print(f"{count:,} files of {item.name} stand in {self._out / archives[item.name]}")

    def _settle(self) -> None:
        """Ends well, or with the list of what was lost."""
        tally, listed = self._crew.tally, self._out / OWN / "lost.txt"
        if not tally.lost:
            listed.unlink(missing_ok=True)
            return
        durable.write_text(listed, "".join(f"{name}\t{why}\n" for name, why in tally.lost.items()))
        raise DownloadError(loss(tally, self._out, listed))


def _show(progress: Progress, task: TaskID, done: int) -> None:
    progress.update(task, completed=done)
