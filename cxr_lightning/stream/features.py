"""Kept features of a frozen vision tower: a sample's number and how many of its images enter, their features leave.

Beside `features.json`, which says of which tower, there is one file for each data shard and split: a plain `.npy` of
records of one size, images in the order of the samples' rows and views, so that a record's place is arithmetic. Files
are named by what they hold (the shard's digest and its rows): shards that come to a set, move, or are in two sets,
change nothing for the others. Each record brings its checksum.
"""

# Shapes: N records of a file, I images of a sample, F... the shape of one image's features.

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from cxr_lightning.shards import storage
from cxr_lightning.shards.contract import ShardError
from cxr_lightning.shards.splitindex import SplitIndex
from cxr_lightning.shards.storage import StorageError
from cxr_lightning.site import shown
from cxr_lightning.stream.records import FeaturesError, Form, RecordWriter, state, whole, writing
from cxr_lightning.stream.samples import Samples

SCHEMA = 1
NAME = "features.json"


class FeatureRecordError(ShardError):
    """The features of one sample are damaged, or could not be made."""


@dataclass(frozen=True, eq=False)
class ShardFeatures:
    """One file: the images of one split's samples in one shard.

    Attributes:
        split: The split, of one set.
        digest: The shard's.
        first: Row of its first sample.
        last: Row after its last.
        before: Samples of the sets before this one, by which numbers differ from rows.
    """

    split: SplitIndex
    digest: str
    first: int
    last: int
    before: int = 0

    @property
    def numbers(self) -> range:
        """The samples, as the split of all sets numbers them."""
        return range(self.before + self.first, self.before + self.last)

    @cached_property
    def records(self) -> int:
        """How many images it has."""
        return int(self._images.sum(dtype=np.int64))

    @cached_property
    def name(self) -> str:
        """What it is called: equal names, equal images in equal order."""
        rows = self.split.rows[self.first : self.last]
        cut = hashlib.sha256()
        for column in ("offset", "size", "images"):
            cut.update(np.ascontiguousarray(rows[column]).tobytes())
        return f"{self.split.name}-{self.digest[:32]}-{cut.hexdigest()[:16]}.npy"

    def place(self, row: int) -> int:
        """Returns which record is the first of a row's."""
        return int(self._images[: row - self.first].sum(dtype=np.int64))

    @property
    def _images(self) -> NDArray[np.uint16]:
        return self.split.images[self.first : self.last]


def files_of(samples: Samples, first: int | None = None) -> Iterator[ShardFeatures]:
    """Yields the files that hold a split's features; those without any image are left out.

    Args:
        samples: The split.
        first: Only those needed for so many samples, as `Samples.first` chooses them.
    """
    wanted, before = samples.first(len(samples) if first is None else first), 0
    for split, digests in zip(samples.splits, samples.digests, strict=True):
        ends = np.cumsum(split.shard_lengths)
        for digest, end, length in zip(digests, ends.tolist(), split.shard_lengths.tolist(), strict=True):
            file = ShardFeatures(split, digest, end - length, end, before)
            begin, stop = np.searchsorted(wanted, (file.numbers.start, file.numbers.stop))
            if begin < stop and file.records:
                yield file
        before += len(split)


class FeatureFolder:
    """A folder of features, by path or URL.

    Args:
        location: Where it is, or shall be.
    """

    def __init__(self, location: str) -> None:
        self.location = location
        self._form: Form | None = None

    @property
    def form(self) -> Form:
        """What an image's features look like.

        Raises:
            FeaturesError: If there is no such folder, or it is none of features.
        """
        if self._form is None:
            self._form = Form.from_json(self._described()["image"])
        return self._form

    @property
    def remote(self) -> bool:
        """Whether it lies elsewhere than in a file system, where nothing is written."""
        return storage.is_remote(self.location)

    @property
    def begun(self) -> bool:
        """Whether there is a `features.json`."""
        try:
            self._described()
        except FeaturesError as error:
            if isinstance(error.__cause__, StorageError):
                return False
            raise
        return True

    def describe(self, tower: dict[str, Any], form: Form, made_with: dict[str, str]) -> None:
        """Writes `features.json` into an empty or new folder."""
        folder = storage.local_path(self.location)
        folder.mkdir(parents=True, exist_ok=True)
        record = {"schema": SCHEMA, "tower": tower, "image": form.to_json(), "made_with": made_with}
        with whole(folder / NAME) as file:
            file.write((json.dumps(record, indent=1, sort_keys=True) + "\n").encode())
        self._form = form

    def require(self, tower: dict[str, Any]) -> None:
        """Refuses features of another tower, or of images that were prepared otherwise.

        Args:
            tower: All that decides what the features are.

        Raises:
            FeaturesError: If they are others.
        """
        there = self._described()["tower"]
        other = _differences(there, json.loads(json.dumps(tower)))
        if other:
            other.sort(key=lambda each: not each[0].endswith("model_type"))  # of another family, it says it all
            told = "".join(f"\n  {name}: {old} there, {new} now" for name, old, new in other[:8])
            raise FeaturesError(
                f"{self.shown}: these features are not what the tower of this training would compute:{told}\n"
                "Remedy: give the settings that they were made with, or name another folder by --data.features."
            )

    def complete(self, files: Iterable[ShardFeatures]) -> list[ShardFeatures]:
        """Returns the files that are there and as long as they should be; remote ones are taken to be there."""
        return [file for file in files if self.remote or self._complete(file)]

    def delete(self, file: ShardFeatures) -> None:
        """Deletes a file."""
        storage.local_path(self._path(file)).unlink(missing_ok=True)

    def writing(self, file: ShardFeatures) -> AbstractContextManager[RecordWriter]:
        """Opens a file to be written."""
        return writing(storage.local_path(self.location) / file.name, self.form, file.records)

    def damaged(self, file: ShardFeatures) -> bool:
        """Returns whether a file is not what was written; reads all of it."""
        header, kind = self.form.header(file.records), self.form.record
        with storage.local_path(self._path(file)).open("rb") as opened:
            if opened.read(len(header)) != header:
                return True
            records = (np.frombuffer(opened.read(kind.itemsize), kind)[0] for _ in range(file.records))
            return any(state(record) == "damaged" for record in records)

    def blanks(self, file: ShardFeatures) -> int:
        """Counts the images of a file that could not be used; reads their records alone."""
        records = np.load(storage.local_path(self._path(file)), mmap_mode="r", allow_pickle=False)
        return sum(state(records[place]) == "blank" for place in np.flatnonzero(records["crc32"] == 0))

    def reader(self, samples: Samples) -> FeatureReader:
        """Returns what reads a split's features by number."""
        return FeatureReader(self, samples)

    def read(self, file: ShardFeatures, first: int, count: int) -> NDArray[Any]:
        """Reads records.

        Raises:
            StorageError: If they cannot be read.
        """
        kind = self.form.record
        offset = len(self.form.header(file.records)) + first * kind.itemsize
        return np.frombuffer(storage.read_range(self._path(file), offset, count * kind.itemsize), kind)

    @property
    def shown(self) -> str:
        """The location as it may stand in messages."""
        return shown(self.location)

    def _path(self, file: ShardFeatures) -> str:
        return storage.join(self.location, file.name)

    def _complete(self, file: ShardFeatures) -> bool:
        try:
            return storage.local_path(self._path(file)).stat().st_size == self.form.size(file.records)
        except OSError:
            return False

    def _described(self) -> dict[str, Any]:
        path = storage.join(self.location, NAME)
        try:
            record: dict[str, Any] = json.loads(storage.read_bytes(path))
            found = record["schema"]
        except StorageError as error:
            if not error.missing:
                raise
            raise FeaturesError(
                f"{shown(path)}: no such file, so there are no features. Remedy: make them by `cxr features` "
                "with the options of this `cxr fit`."
            ) from error
        except (ValueError, TypeError, KeyError) as error:
            raise FeaturesError(
                f"{shown(path)}: not readable ({type(error).__name__}). Remedy: delete the folder, and make "
                "the features again by `cxr features`."
            ) from None
        if found != SCHEMA:
            raise FeaturesError(
                f"{shown(path)}: schema {found}, and this version reads {SCHEMA}. Remedy: make the features "
                "again by `cxr features` into another folder."
            )
        return record


class FeatureReader:
    """Reads the features of a split's samples, in any order, from any thread.

    Args:
        folder: Where they lie.
        samples: The split.
    """

    def __init__(self, folder: FeatureFolder, samples: Samples) -> None:
        self.folder, self.samples = folder, samples
        self._ends = [np.cumsum(split.shard_lengths) for split in samples.splits]
        self._file = lru_cache(maxsize=4096)(self._open)

    def __call__(self, number: int, images: int) -> Tensor:
        """Returns the features of a sample's first images, of shape (I, F...).

        Raises:
            FeatureRecordError: If they are damaged, or could not be made.
            StorageError: If they cannot be read.
        """
        which, row = self.samples.locate(number)
        split = self.samples.splits[which]
        file = self._file(which, int(split.shard[row]))
        where = f"{self.folder.shown}/{file.name}, sample {self.samples.label(number)}"
        if images > int(split.images[row]):
            raise FeatureRecordError(f"{where}: it shows {images} images, and the index lists {split.images[row]}.")
        try:
            records = self.folder.read(file, file.place(row), images)
        except StorageError as error:
            if not error.missing:
                raise
            raise FeatureRecordError(f"{where}: no such file of features. Remedy: run `cxr features`.") from error
        bad = [found for found in map(state, records) if found != "good"]
        if bad:
            raise FeatureRecordError(f"{where}: its features are {bad[0]}. Remedy: {_AGAIN}")
        return self.folder.form.tensor(records)

    def _open(self, which: int, shard: int) -> ShardFeatures:
        split, end = self.samples.splits[which], int(self._ends[which][shard])
        return ShardFeatures(split, self.samples.digests[which][shard], end - int(split.shard_lengths[shard]), end)


_AGAIN = "see that the shard is whole, delete the file of features, and run `cxr features`."


def _differences(there: Any, now: Any, name: str = "") -> list[tuple[str, Any, Any]]:
    """Lists what differs between two trees of plain values, by dotted name."""
    if not (isinstance(there, dict) and isinstance(now, dict)):
        return [] if there == now else [(name, there, now)]
    found = []
    for key in sorted(there.keys() | now.keys()):
        found += _differences(there.get(key), now.get(key), f"{name}.{key}" if name else key)
    return found
