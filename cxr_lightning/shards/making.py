"""A plan enters, its shards leave, made by all cores: a few studies at a time, laid end to end by one process.

What is made is noted shard by shard, so that a run that was killed goes on behind the last one; a part of a Slurm array
makes every so-many-th shard.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from cxr_lightning.parallel import in_order
from cxr_lightning.reports.sources import Flaw
from cxr_lightning.shards.belongings import MADE
from cxr_lightning.shards.flaws import Flaws
from cxr_lightning.shards.plan import Inputs, Plan, PlannedShard, read_plan
from cxr_lightning.shards.preparation import Recipe, prepare
from cxr_lightning.shards.workshop import Made, Workshop
from cxr_lightning.shards.writer import Packed, write_shard

_AT_ONCE = 4
"""Studies handed to a process at a time: enough to make handing over cheap, few enough to share a small shard."""


def make_shards(
    plan: Plan,
    wanted: Sequence[PlannedShard],
    recipe: Recipe,
    workshop: Workshop,
    *,
    flaws: Flaws,
    workers: int,
    told: Callable[[int], object],
) -> dict[PlannedShard, Made]:
    """Makes shards.

    Args:
        plan: The studies.
        wanted: Which shards to make.
        recipe: What is done to every study alike.
        workshop: Where they go.
        flaws: Counts what is left out.
        workers: Processes that prepare studies.
        told: Called with how many studies are done, now and then.

    Returns:
        What is known of each.

    Raises:
        TooManyFlaws: More studies are bad than allowed.
        OSError: A shard cannot be written.
    """
    stretches = [
        (shard, range(start, min(start + _AT_ONCE, shard.stop)))
        for shard in wanted
        for start in range(shard.start, shard.stop, _AT_ONCE)
    ]
    inputs: dict[PlannedShard, Inputs] = {}

    def handed_out() -> Iterator[range]:
        for shard, numbers in stretches:
            if shard not in inputs:  # before anybody reads its files: what changes from here on is noticed
                inputs[shard] = plan.inputs_of(shard)
            yield numbers

    work = functools.partial(_prepared, folder=plan.folder, recipe=recipe)
    pairs = zip(stretches, in_order(work, handed_out(), workers), strict=True)
    made = {}
    for shard, group in groupby(pairs, key=lambda pair: pair[0][0]):
        seen = _Collected(flaws, told)
        path = workshop.folder / MADE / shard.name
        written = write_shard(path, shard.split, seen.packed(items for _, items in group))
        made[shard] = Made(
            shard=written,
            numbers=tuple(seen.numbers),
            films=tuple(seen.films),
            flaws=tuple(seen.flaws),
            identifiers=seen.identifiers,
            by_rule=seen.by_rule,
            unknown=seen.unknown,
            inputs=inputs[shard],
        )
        workshop.keep(made[shard])
    return made


def _prepared(numbers: range, folder: Path, recipe: Recipe) -> list[Packed | Flaw]:
    plan = read_plan(folder)
    return [prepare(job, recipe) for job in plan.jobs(numbers.start, numbers.stop)]


class _Collected:
    """What is known of a shard's samples as they pass by."""

    def __init__(self, counted: Flaws, told: Callable[[int], object]) -> None:
        self._counted, self._told = counted, told
        self.numbers: list[int] = []
        self.films: list[tuple[str, ...]] = []
        self.by_rule = self.unknown = 0
        self.flaws: list[Flaw] = []
        self.identifiers: Counter[str] = Counter()

    def packed(self, stretches: Iterator[list[Packed | Flaw]]) -> Iterator[Packed]:
        """Yields the samples among what was prepared."""
        for items in stretches:
            for item in items:
                if isinstance(item, Flaw):
                    self.flaws.append(item)
                    self._counted.extend([item])
                    continue
                self.numbers.append(item.number)
                self.films.append(item.films)
                self.by_rule += item.by_rule
                self.unknown += item.unknown
                self.identifiers.update(item.identifiers)
                yield item
            self._told(len(items))
