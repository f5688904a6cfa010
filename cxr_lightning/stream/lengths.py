"""Tokens of every sample from the index alone, so that rows are planned before anything is read.

The index knows how many characters a sample's summary has and how many images it shows. How many tokens that makes
depends on the tokenizer, the family and the kind of text; so some samples of each set are encoded once, and tokens =
a + b x characters + c x images is fitted to them. The numbers are kept as whole 1024ths: every rank and machine then
plans the same rows.
"""

# Shapes: N samples, P parameters of the fit.

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from cxr_lightning.shards.contract import ShardError
from cxr_lightning.shards.storage import StorageError
from cxr_lightning.stream.conversation import UnstableTemplateError
from cxr_lightning.stream.order import Numbers
from cxr_lightning.stream.samples import Samples
from cxr_lightning.stream.skipped import UNUSABLE, reason

_TRIED = 64
"""Samples of each set that are encoded to fit its line; reports of one archive are alike."""
_AT_ONCE = 8
_UNIT = 1024


@dataclass(frozen=True)
class Line:
    """The fit of one set.

    Attributes:
        base: Tokens of every sample, in 1024ths.
        per_character: Tokens of a character, in 1024ths.
        per_image: Tokens of an image, in 1024ths.
        spread: Standard deviation of what the fit leaves, in tokens.
        shown: Most images that a sample's turns show, of however many are stored.
    """

    base: int = _UNIT
    per_character: int = 0
    per_image: int = 0
    spread: float = 0.0
    shown: int = 1


@dataclass(frozen=True)
class Lengths:
    """Estimated tokens and images of samples by number.

    Attributes:
        samples: The samples of a split.
        lines: The fit of each set.
        longest: No sample has more tokens; longer ones are cut.
    """

    samples: Samples
    lines: tuple[Line, ...]
    longest: int

    @property
    def spread(self) -> float:
        """Largest standard deviation of an estimate, in tokens."""
        return max(line.spread for line in self.lines)

    def of(self, numbers_N: Numbers) -> tuple[Numbers, Numbers]:
        """Returns tokens and images of samples.

        Args:
            numbers_N: Their numbers.

        Returns:
            Estimated tokens and images, of shape (N,) each.
        """
        tokens_N, images_N = np.empty(len(numbers_N), np.int64), np.empty(len(numbers_N), np.int64)
        for line, here_N, rows in self.samples.by_set(numbers_N):
            split = self.samples.splits[line]
            fit, characters = self.lines[line], split.characters[rows].astype(np.int64)
            stored = split.images[rows].astype(np.int64)
            images_N[here_N] = np.minimum(stored, fit.shown)
            parts = fit.base + fit.per_character * characters + fit.per_image * stored
            tokens_N[here_N] = parts // _UNIT
        return np.clip(tokens_N, 1, self.longest), images_N


def fit_lines(samples: Samples, length: Callable[[int], tuple[int, int]]) -> tuple[Line, ...]:
    """Fits a line to some samples of each set.

    Args:
        samples: The samples of a split.
        length: Returns tokens of a sample, and images that its turns show, by its number; may raise for one that cannot
            be used.

    Raises:
        ShardError: If none of the samples tried can be used: then training on the set would only skip.
    """
    lines, first = [], 0
    with ThreadPoolExecutor(_AT_ONCE) as pool:  # from storage each takes a journey
        for split in samples.splits:
            rows = np.unique(np.linspace(0, len(split) - 1, min(_TRIED, len(split)), dtype=np.int64)).tolist()
            found = list(pool.map(partial(_tried, length), [first + row for row in rows]))
            first += len(split)
            usable = [(row, each) for row, each in zip(rows, found, strict=True) if not isinstance(each, Exception)]
            if found and isinstance(found[0], Exception) and not usable:
                if isinstance(found[0], StorageError) and not found[0].missing:
                    raise found[0]  # which says why, and what helps
                raise ShardError(
                    f"{split.name}: none of {len(found)} samples tried can be used; the first: {reason(found[0])}. "
                    "Remedy: raise --data.max_tokens if it is that; else look at shards and settings, `cxr index` says "
                    "what is wrong with a tar."
                )
            characters, images = split.characters, split.images
            lines.append(_fit([(int(characters[row]), int(images[row]), *each) for row, each in usable]))
    return tuple(lines)


def _tried(length: Callable[[int], tuple[int, int]], number: int) -> tuple[int, int] | Exception:
    """Returns a sample's tokens and images, or why it cannot be used; training counts and names it."""
    try:
        return length(number)
    except UnstableTemplateError:  # the configuration's fault, not the sample's
        raise
    except UNUSABLE as error:
        return error


def _fit(found: Sequence[tuple[int, int, int, int]]) -> Line:
    """Fits tokens to characters and images, by least squares."""
    if not found:  # a set without samples of this split
        return Line()
    characters, images, tokens, shown = np.asarray(found, dtype=np.float64).T
    inputs_NP = np.stack([np.ones_like(tokens), characters, images], 1)
    fit_P = np.linalg.lstsq(inputs_NP, tokens, rcond=None)[0]
    left = tokens - inputs_NP @ fit_P
    base, per_character, per_image = (round(float(value) * _UNIT) for value in fit_P)
    return Line(base, per_character, per_image, float(left.std()), int(shown.max()))
