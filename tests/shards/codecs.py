"""Encoders for test data, where no package of ours has one: slow, small, and written from the standards.

JPEG without loss (ITU-T T.81, annex H), JPEG of 12 bits (T.81, extended sequential) and JPEG-LS (T.87), each of one
component. Huffman codes are all of one length: legal, and no longer a program than needed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np


class Bits:
    """Bits one after the other, stuffed behind each FF: with a byte 00 in JPEG, with a bit 0 in JPEG-LS."""

    def __init__(self, *, bitwise: bool) -> None:
        self.data = bytearray()
        self.bitwise, self.byte, self.free = bitwise, 0, 8

    def put(self, value: int, count: int) -> None:
        for place in range(count - 1, -1, -1):
            self.byte = self.byte << 1 | (value >> place & 1)
            self.free -= 1
            if not self.free:
                self.data.append(self.byte)
                full = self.byte == 0xFF
                if full and not self.bitwise:
                    self.data.append(0)
                self.byte, self.free = 0, 7 if full and self.bitwise else 8

    def done(self) -> bytes:
        while self.free not in (8, 7 if self.data[-1:] == b"\xff" and self.bitwise else 8):
            self.put(int(not self.bitwise), 1)
        stuffed = self.data[-1:] == b"\xff" and self.bitwise  # else a decoder would see a marker begin
        return bytes(self.data) + b"\0" * stuffed


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def frame(marker: int, values: np.ndarray, bits: int) -> bytes:
    return segment(marker, struct.pack(">BHHB3B", bits, *values.shape, 1, 1, 0x11, 0))


def huffman(place: int, length: int, symbols: list[int]) -> bytes:
    counts = [len(symbols) if each == length else 0 for each in range(1, 17)]
    return segment(0xC4, bytes([place, *counts, *symbols]))


def size_of(number: int) -> int:
    return abs(number).bit_length()


def put_number(out: Bits, number: int, size: int) -> None:
    out.put((number if number >= 0 else number - 1) & ((1 << size) - 1), size)


def jpeg_lossless(values: np.ndarray, bits: int, predictor: int = 1) -> bytes:
    """Encodes by differences from what the neighbours predict (T.81, H.1.2.1)."""
    of = [
        lambda a, b, c: a, lambda a, b, c: b, lambda a, b, c: c, lambda a, b, c: a + b - c,
        lambda a, b, c: a + (b - c >> 1), lambda a, b, c: b + (a - c >> 1), lambda a, b, c: a + b >> 1,
    ][predictor - 1]  # fmt: skip
    rows, out = values.astype(int).tolist(), Bits(bitwise=False)
    for y, row in enumerate(rows):
        for x, value in enumerate(row):
            if y == 0:
                guess = row[x - 1] if x else 1 << (bits - 1)
            elif x == 0:
                guess = rows[y - 1][0]
            else:
                guess = of(row[x - 1], rows[y - 1][x], rows[y - 1][x - 1])
            difference = (value - guess + 32768) % 65536 - 32768
            size = size_of(difference)
            out.put(size, 5)
            if size < 16:
                put_number(out, difference, size)
    head = frame(0xC3, values, bits) + huffman(0, 5, list(range(17)))
    return b"\xff\xd8" + head + segment(0xDA, bytes([1, 1, 0, predictor, 0, 0])) + out.done() + b"\xff\xd9"


WAVES = np.array(
    [[np.sqrt((1 if k else 0.5) / 4) * np.cos((2 * n + 1) * k * np.pi / 16) for n in range(8)] for k in range(8)]
)
ZIGZAG = sorted(np.ndindex(8, 8), key=lambda p: (sum(p), p[0] if sum(p) % 2 else p[1]))


def jpeg_12_bits(values: np.ndarray, step: int = 4) -> bytes:
    """Encodes by the cosine transform of 8 x 8 blocks, all waves in equal steps; sides are multiples of 8."""
    out, before = Bits(bitwise=False), 0
    symbols = [0x00, 0xF0, *(run << 4 | size for run in range(16) for size in range(1, 15))]
    codes = {symbol: number for number, symbol in enumerate(symbols)}
    for top, left in np.ndindex(values.shape[0] // 8, values.shape[1] // 8):
        block = values[8 * top : 8 * top + 8, 8 * left : 8 * left + 8].astype(float) - 2048
        waves = np.rint(WAVES @ block @ WAVES.T / step).astype(int)
        first, *others = (int(waves[place]) for place in ZIGZAG)
        size = size_of(first - before)
        out.put(size, 5)
        put_number(out, first - before, size)
        before, run = first, 0
        last = max((n for n, wave in enumerate(others) if wave), default=-1)
        for wave in others[: last + 1]:
            if not wave:
                run += 1
                continue
            for _ in range(run // 16):
                out.put(codes[0xF0], 8)
            out.put(codes[run % 16 << 4 | size_of(wave)], 8)
            put_number(out, wave, size_of(wave))
            run = 0
        if last < 62:
            out.put(codes[0], 8)
    head = segment(0xDB, bytes([0] + [step] * 64)) + frame(0xC1, values, 12)
    head += huffman(0, 5, list(range(16))) + huffman(0x10, 8, symbols)
    return b"\xff\xd8" + head + segment(0xDA, bytes([1, 1, 0, 0, 63, 0])) + out.done() + b"\xff\xd9"


RUNS = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, *range(8, 16)]


class JpegLs:
    """One scan of JPEG-LS (T.87, annex A); names as there."""

    def __init__(self, bits: int, near: int) -> None:
        self.top, self.near, self.step = (1 << bits) - 1, near, 2 * near + 1
        self.range = (self.top + 2 * near) // self.step + 1
        self.qbpp, self.limit = (self.range - 1).bit_length(), 2 * (bits + max(8, bits))
        factor = (min(self.top, 4095) + 128) >> 8
        self.t1 = self.clamp(factor + 2 + 3 * near, near + 1)
        self.t2 = self.clamp(4 * factor + 3 + 5 * near, self.t1)
        self.t3 = self.clamp(17 * factor + 4 + 7 * near, self.t2)
        start = max(2, (self.range + 32) >> 6)
        self.A, self.B, self.C, self.N = [start] * 367, [0] * 367, [0] * 367, [1] * 367
        self.negative, self.index, self.out = [0, 0], 0, Bits(bitwise=True)

    def clamp(self, value: int, least: int) -> int:
        return value if least <= value <= self.top else least

    def gradient(self, d: int) -> int:
        size = (abs(d) > self.near) + (abs(d) >= self.t1) + (abs(d) >= self.t2) + (abs(d) >= self.t3)
        return size if d > 0 else -size

    def error(self, value: int, guess: int, sign: int) -> tuple[int, int]:
        e = (value - guess) * sign
        e = (e + self.near) // self.step if e > 0 else -((self.near - e) // self.step)
        seen = min(max(guess + sign * e * self.step, 0), self.top)
        e += self.range if e < 0 else 0
        return (e - self.range if e >= (self.range + 1) // 2 else e), seen

    def golomb(self, value: int, k: int, limit: int) -> None:
        high = value >> k
        if high < limit - self.qbpp - 1:
            self.out.put(1, high + 1)
            self.out.put(value & ((1 << k) - 1), k)
        else:
            self.out.put(1, limit - self.qbpp)
            self.out.put(value - 1, self.qbpp)

    def k(self, q: int, sum_: int) -> int:
        return next(k for k in range(32) if self.N[q] << k >= sum_)

    def regular(self, value: int, a: int, b: int, c: int, d: int) -> int:
        q1, q2, q3 = self.gradient(d - b), self.gradient(b - c), self.gradient(c - a)
        q = 81 * q1 + 9 * q2 + q3
        sign, q = (-1, -q) if q < 0 else (1, q)
        guess = min(a, b) if c >= max(a, b) else max(a, b) if c <= min(a, b) else a + b - c
        e, seen = self.error(value, min(max(guess + sign * self.C[q], 0), self.top), sign)
        k = self.k(q, self.A[q])
        if k == 0 and self.near == 0 and 2 * self.B[q] <= -self.N[q]:
            self.golomb(2 * e + 1 if e >= 0 else -2 * (e + 1), k, self.limit)
        else:
            self.golomb(2 * e if e >= 0 else -2 * e - 1, k, self.limit)
        self.B[q] += e * self.step
        self.A[q] += abs(e)
        if self.N[q] == 64:
            self.A[q], self.B[q], self.N[q] = self.A[q] >> 1, self.B[q] >> 1, 32
        self.N[q] += 1
        if self.B[q] <= -self.N[q]:
            self.B[q] = max(self.B[q] + self.N[q], 1 - self.N[q])
            self.C[q] = max(self.C[q] - 1, -128)
        elif self.B[q] > 0:
            self.B[q] = min(self.B[q] - self.N[q], 0)
            self.C[q] = min(self.C[q] + 1, 127)
        return seen

    def run(self, length: int, *, to_the_end: bool) -> None:
        while length >= 1 << RUNS[self.index]:
            self.out.put(1, 1)
            length -= 1 << RUNS[self.index]
            self.index = min(self.index + 1, 31)
        if not to_the_end:
            self.out.put(0, 1)
            self.out.put(length, RUNS[self.index])
        elif length:
            self.out.put(1, 1)

    def interruption(self, value: int, a: int, b: int) -> int:
        kind = int(abs(a - b) <= self.near)
        q, sign = 365 + kind, -1 if not kind and a > b else 1
        e, seen = self.error(value, a if kind else b, sign)
        k = self.k(q, self.A[q] + (self.N[q] >> 1) * kind)
        often = 2 * self.negative[kind] >= self.N[q]
        mapped = int((k == 0 and e > 0 and not often) or (e < 0 and (often or k != 0)))
        code = 2 * abs(e) - kind - mapped
        self.golomb(code, k, self.limit - RUNS[self.index] - 1)
        self.negative[kind] += e < 0
        self.A[q] += (code + 1 - kind) >> 1
        if self.N[q] == 64:
            self.A[q], self.N[q], self.negative[kind] = self.A[q] >> 1, 32, self.negative[kind] >> 1
        self.N[q] += 1
        self.index = max(self.index - 1, 0)
        return seen

    def rows(self, values: np.ndarray) -> Iterator[list[int]]:
        above, corner = [0] * values.shape[1], 0
        for row in values.astype(int).tolist():
            seen: list[int] = []
            x = 0
            while x < len(row):
                a, b = seen[-1] if seen else above[0], above[x]
                c, d = above[x - 1] if x else corner, above[min(x + 1, len(row) - 1)]
                if any(abs(each) > self.near for each in (d - b, b - c, c - a)):
                    seen.append(self.regular(row[x], a, b, c, d))
                    x += 1
                    continue
                start = x
                while x < len(row) and abs(row[x] - a) <= self.near:
                    seen.append(a)
                    x += 1
                self.run(x - start, to_the_end=x == len(row))
                if x < len(row):
                    seen.append(self.interruption(row[x], a, above[x]))
                    x += 1
            yield seen
            above, corner = seen, above[0]


def jpeg_ls(values: np.ndarray, bits: int, near: int = 0) -> bytes:
    """Encodes without loss, or with values off by at most `near`."""
    coder = JpegLs(bits, near)
    for _ in coder.rows(values):
        pass
    head = frame(0xF7, values, bits) + segment(0xDA, bytes([1, 1, 0, near, 0, 0]))
    return b"\xff\xd8" + head + coder.out.done() + b"\xff\xd9"
