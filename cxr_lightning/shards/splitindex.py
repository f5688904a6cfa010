"""One split of an index: a number enters, where that sample lies, what it is called and what it holds leave."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxr_lightning.shards import storage
from cxr_lightning.shards.contract import MembersRecord, ShardError
from cxr_lightning.shards.identity import hashed
from cxr_lightning.shards.members import assemble
from cxr_lightning.shards.rows import Rows
from cxr_lightning.shards.sample import RawSample, parse_sample
from cxr_lightning.site import shown
from cxr_lightning.study import Split


class ChecksumError(ShardError):
    """A sample's bytes are not those that the index was made of."""


@dataclass(frozen=True, slots=True)
class SplitIndex:
    """The samples of one split, by number, in the order of shards and offsets.

    Columns are views of the rows, one number a sample; take what you need of them, for a whole column is as long as the
    data set.

    Attributes:
        name: The split.
        locations: Path or URL of every shard of the index, those of other splits included.
        rows: One `Row` a sample, mapped from `index.npy`; `shard` counts in `locations`.
        shard_lengths: How many of these samples each of `locations` holds; they stand next to one another.
        members: How samples are read; None where their JSON member is a `SampleRecord`.
    """

    name: Split
    locations: tuple[str, ...]
    rows: Rows
    shard_lengths: NDArray[np.int64]
    members: MembersRecord | None = None

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.rows)

    @property
    def shard(self) -> NDArray[np.uint32]:
        """Which of `locations` holds the sample."""
        return self.rows["shard"]

    @property
    def offset(self) -> NDArray[np.int64]:
        """First byte of the sample in its shard."""
        return self.rows["offset"]

    @property
    def size(self) -> NDArray[np.uint32]:
        """Bytes of the sample."""
        return self.rows["size"]

    @property
    def characters(self) -> NDArray[np.uint32]:
        """Length of its summary; 0 where a source brought only questions and answers."""
        return self.rows["characters"]

    @property
    def images(self) -> NDArray[np.uint16]:
        """Number of its images."""
        return self.rows["images"]

    @property
    def crc32(self) -> NDArray[np.uint32]:
        """CRC-32 of its bytes."""
        return self.rows["crc32"]

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key; made anew each time, for as many as there are samples."""
        return tuple(key.decode() for key in self.rows["key"].tolist())

    @property
    def patients(self) -> tuple[str, ...]:
        """Every sample's hashed patient; made anew each time."""
        return tuple(patient.decode() for patient in self.rows["patient"].tolist())

    def key(self, number: int) -> str:
        """Returns one sample's key.

        Args:
            number: The sample.
        """
        return self.rows["key"][number].decode()

    def label(self, number: int) -> str:
        """Returns what a sample is called in logs: its key, hashed where others chose it, for it may name a patient.

        Args:
            number: The sample.
        """
        return self.key(number) if self.members is None else hashed(self.key(number), "study")

    def location(self, number: int) -> str:
        """Returns path or URL of the shard that holds a sample.

        Args:
            number: The sample.
        """
        return self.locations[int(self.rows["shard"][number])]

    def parse(self, number: int, block: bytes) -> RawSample:
        """Take a sample's bytes apart, having checked that they are its bytes.

        Args:
            number: The sample.
            block: What its shard holds from `offset`, `size` bytes.

        Raises:
            ChecksumError: They are not what the index lists.
            ShardError: They are no sample.
        """
        where = f"{shown(self.location(number))}, sample {self.label(number)}"
        if zlib.crc32(block) != int(self.crc32[number]):  # a flipped bit would otherwise train as a grey lung
            raise ChecksumError(
                f"{where}: not what the index lists (its checksum differs). Remedy: copy the shard again; if the tar "
                "was changed on purpose, make the index again: cxr index"
            )
        if self.members is None:
            return parse_sample(block, where)
        patient = self.rows["patient"][number].decode()
        return assemble(block, where, members=self.members, key=self.key(number), patient=patient, split=self.name)

    def read(self, number: int) -> RawSample:
        """Read one sample.

        Args:
            number: The sample.

        Raises:
            ShardError: The bytes are not what the index lists.
            StorageError: The shard cannot be read.
        """
        block = storage.read_range(self.location(number), int(self.offset[number]), int(self.size[number]))
        return self.parse(number, block)
