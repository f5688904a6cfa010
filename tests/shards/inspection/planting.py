"""A good set of shards is taken apart, one thing is put wrong, and all the rest is made to agree with it again.

So that what an inspection finds is the thing that was planted, and not that a checksum differs.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zlib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cxr_lightning.shards.contract import IndexRecord, RowsRecord, ShardRecord, SplitRecord
from cxr_lightning.shards.index import fingerprint_of, read_index
from cxr_lightning.shards.looks import NOTHING, look_of
from cxr_lightning.shards.rows import Row, ShardRows, digest_of, laid_out, patients_of, rows_of, write_rows
from cxr_lightning.study import SPLITS

BLOCK = 512
_look_of = lru_cache(maxsize=None)(look_of)  # the same films are written by every test


@dataclass
class Sample:
    """A sample as it will lie in its tar."""

    split: str
    key: str
    record: Any
    images: dict[str, bytes]
    json: bytes | None = None  # instead of the record
    members: list[tuple[tarfile.TarInfo, bytes]] = field(default_factory=list)  # behind its own

    def block(self) -> bytes:
        text = self.json
        if text is None:
            text = json.dumps(self.record, ensure_ascii=False, separators=(",", ":")).encode()
        named = {"json": text, **self.images}
        own = [(tarfile.TarInfo(f"{self.key}.{suffix}"), data) for suffix, data in named.items()]
        return b"".join(member(info, data) for info, data in [*own, *self.members])

    def row(self, offset: int) -> Row:
        record = self.record if isinstance(self.record, dict) else {}
        block, summary = self.block(), record.get("summary", "")
        image = next(iter(self.images.values()), None)
        look = NOTHING if image is None else _look_of(image)
        length = len(summary) if isinstance(summary, str) else 0
        patient = str(record.get("patient", ""))[:24].encode()
        images = sum(view["member"] in self.images for view in record.get("views", ()))
        counts = (len(block), length, images, zlib.crc32(block), look)
        return Row(self.key.encode(), patient, 0, offset, *counts)


@dataclass
class Set:
    """A set of shards in memory: samples by the name of their tar."""

    shards: dict[str, list[Sample]]
    record: Any
    end: bytes = bytes(2 * BLOCK)

    @property
    def samples(self) -> list[Sample]:
        return [sample for samples in self.shards.values() for sample in samples]

    def of(self, split: str) -> list[Sample]:
        return [sample for sample in self.samples if sample.split == split]

    def shard_of(self, sample: Sample) -> str:
        return next(name for name, samples in self.shards.items() if any(each is sample for each in samples))

    def write(self, folder: Path) -> Path:
        folder.mkdir(parents=True)
        listed = []
        for name, samples in self.shards.items():
            rows: dict[str, list[Row]] = {}
            data = b""
            for sample in samples:
                rows.setdefault(sample.split, []).append(sample.row(len(data)))
                data += sample.block()
            data += self.end
            (folder / name).write_bytes(data)
            sha256 = hashlib.sha256(data).hexdigest()
            listed.append(ShardRows(name, len(data), sha256, {split: rows_of(mine) for split, mine in rows.items()}))
        write_index(folder, listed, self.record)
        return folder


def read_set(folder: Path) -> Set:
    """Take a packed set apart."""
    index = read_index(folder)
    shards: dict[str, list[Sample]] = {shard["name"]: [] for shard in index.shards}
    for split in SPLITS:
        part = index.split(split)
        for number in range(len(part)):
            raw = part.read(number)
            name = Path(part.location(number)).name
            shards[name].append(Sample(split, raw.key, dict(raw.record), dict(raw.images)))
    return Set(shards, json.loads((folder / "index.json").read_text()))


def write_index(folder: Path, shards: list[ShardRows], record: Any) -> None:
    """Write an index that agrees with itself, whatever it says."""
    rows = laid_out(shards)
    with (folder / "index.npy").open("wb") as file:
        write_rows(rows, file)
    counts = {split: sum(len(shard.rows.get(split, ())) for shard in shards) for split in SPLITS}
    parts = np.split(rows, np.cumsum(list(counts.values()))[:-1])
    digest = digest_of(folder / "index.npy")
    listed = [
        ShardRecord(
            name=shard.name,
            bytes=shard.bytes,
            sha256=shard.sha256,
            samples={split: len(mine) for split, mine in shard.rows.items()},
        )
        for shard in shards
    ]
    mine: IndexRecord = {
        **record,
        "splits": {
            split: SplitRecord(samples=counts[split], patients=len(patients_of(part)))
            for split, part in zip(SPLITS, parts, strict=True)
        },
        "rows": RowsRecord(name="index.npy", sha256=digest),
        "shards": listed,
        "fingerprint": fingerprint_of(listed, digest, record["members"]),
    }
    (folder / "index.json").write_text(json.dumps(mine))


def member(info: tarfile.TarInfo, data: bytes = b"", format: int = tarfile.USTAR_FORMAT) -> bytes:
    """Lay one member out."""
    info.size = info.size or len(data)
    return info.tobuf(format, errors="surrogateescape") + data + bytes(-len(data) % BLOCK)


def png(width: int, height: int, number: int = 0) -> bytes:
    """Draw noise."""
    buffer = io.BytesIO()
    noise = np.random.default_rng(number).integers(0, 255, (height, width), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


def bomb(side: int) -> bytes:
    """Write a PNG of a few bytes that announces a wall of pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = side.to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )
