"""`cxr pack`: studies of a source enter, a folder of shards with its index leaves, whole or not at all.

Three steps: plan (who goes where, from the source's texts alone), make (text and images, shard by shard, on all cores
or as parts on many nodes), join (one folder, its index last). A pack that was killed goes on where it was, and ends
with the bytes that it would have had. Bad studies are skipped, counted and listed; more of them than `--max_bad` allows
stop the run, for a set that lost a fifth of its studies is another set.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from cxr_lightning import __version__
from cxr_lightning.reports.conversations import Context, Style
from cxr_lightning.reports.policy import Rules
from cxr_lightning.reports.sources import Columns, Flaw, Found, Reading, source_named
from cxr_lightning.shards.belongings import MADE
from cxr_lightning.shards.contract import Format, ImageRecord, IndexRecord
from cxr_lightning.shards.flaws import Flaws, TooManyFlaws
from cxr_lightning.shards.identity import DEFAULT_KEY, hashed, secret_of
from cxr_lightning.shards.images import Fit
from cxr_lightning.shards.joining import Duplicates, join
from cxr_lightning.shards.making import make_shards
from cxr_lightning.shards.parts import Part
from cxr_lightning.shards.plan import Plan, PlannedShard
from cxr_lightning.shards.planning import write_plan
from cxr_lightning.shards.preparation import Dialogues, Named, Recipe
from cxr_lightning.shards.publishing import Asked
from cxr_lightning.shards.splits import Fractions
from cxr_lightning.shards.telling import course, tell_flaws, tell_identifiers, tell_index, tell_key, tell_views
from cxr_lightning.shards.workshop import Made, Workshop

__all__ = ["TooManyFlaws", "pack"]

TextOnly = Literal["refuse", "allow", "only"]
_STUDIES_A_WORKER = 64
"""Workers are forked of a process that first imports for half a second; with fewer studies each it does not pay."""


def pack(
    source: str,
    root: Path,
    *,
    out: Path,
    size: int = 512,
    fit: Fit = "keep",
    format: Format = "jpg",
    quality: int = 95,
    policy: Rules = Rules(),  # noqa: B008  (frozen)
    summaries: Path | None = None,
    conversation: Style = "describe",
    context: Context = Context(),  # noqa: B008  (frozen)
    columns: Columns = Columns(),  # noqa: B008  (frozen)
    split: Fractions = Fractions(),  # noqa: B008  (frozen)
    samples_per_shard: int = 1000,
    patient_key: str = DEFAULT_KEY,
    patient_key_file: Path | None = None,
    keep_study_ids: bool = False,
    text_only: TextOnly = "refuse",
    dialogues: Dialogues = "all",
    duplicates: Duplicates = "leave_out",
    identifiers: Named = "tell",
    limit: int | None = None,
    max_bad: float = 0.01,
    workers: int | None = None,
    part: str | None = None,
    overwrite: bool = False,
) -> None:
    """Turn studies into WebDataset shards with an index.

    Args:
        source: What kind of data lies under ROOT: mimic-cxr-jpg, mimic-cxr, openi, chexpert-plus, xraygpt, llava-json,
            vqa-jsonl, or table (a JSONL or CSV file with one row a study or an image).
        root: The archive's folder; for a table the file, or the folder that holds it.
        out: The folder to make. It appears when all is done, or not at all; until then OUT.partial holds what is made,
            and the same command goes on with it after a kill.
        size: Longest side of the stored images in pixels; smaller images stay as they are.
        fit: keep (the aspect as it is), pad (a square with black beside the image), or crop (the square in the middle).
        format: How images are stored: jpg, or png without loss at about four times the bytes.
        quality: JPEG quality, 1 to 100.
        policy: Which reports are good enough. If none of its options is given: XrayGPT's rules for archives of reports
            (both sections, findings of 10 words, impression of 2, none amended), and none for tables, captions and
            questions. If one is given, XrayGPT's rules hold for the others.
        summaries: What `cxr summarize` wrote, by study; where it has none, rules merge findings and impression.
        conversation: Instruction turns: describe (one request for the report), or mixed (several questions, each with
            the answer that fits).
        context: What prompts carry besides the image.
        columns: What the table's columns are called.
        split: Shares of patients, where the source prescribes no split.
        samples_per_shard: Studies of a full shard.
        patient_key: Key of the hashes that replace patients and studies; give a secret one for patients of yours.
        patient_key_file: File whose first line is that key, which then stands on no command line.
        keep_study_ids: Write each study's own name into its record, where else its hash stands.
        text_only: Studies without an image: refuse, or allow (their cell is empty, or the table has no such column; a
            path that is given and leads nowhere is an error all the same). only: leave all images out, which then need
            not be there. What has none teaches what text alone can.
        dialogues: Which questions and answers without an image to keep: all, or radiology (those about images of the
            body, out of a general medical set).
        duplicates: Studies whose image has the same pixels as another study's: leave_out, or keep.
        identifiers: Studies whose text seems to name someone (dates, names, numbers, addresses): tell (count them),
            or leave_out.
        limit: Only so many of the source's first studies, to try what follows.
        max_bad: Share of studies that may be bad; they are skipped and listed. 0.01 of fewer than 100 studies is none.
        workers: Processes that prepare studies; as many as there are cores and work for if not given.
        part: Make a part of the shards: 0/16 is the first of sixteen. Whichever part is the last to be done makes the
            index of all; `slurm/pack.sh` runs them as an array.
        overwrite: Replace OUT where it is there.
    """
    console = Console(stderr=True)
    reading = Reading(columns, text_only != "refuse", images=text_only != "only")
    kind, root = source_named(source), root.absolute()
    kept = policy.settled(kind.reports)
    recipe = Recipe(size, format, quality, conversation, keep_study_ids, fit, kept, context, identifiers, dialogues)
    share = Part.read(part)
    secret = secret_of(patient_key, patient_key_file)
    _check(max_bad, workers, samples_per_shard, limit)
    command = _command(
        [
            source,
            str(root),
            asdict(recipe),
            asdict(reading),
            asdict(split),
            samples_per_shard,
            duplicates,
            summaries,
            limit,
        ],
        secret,
    )
    stamp = _stamp([*kind.tables(root), *([] if summaries is None or not summaries.exists() else [summaries])])
    together = share.of > 1
    asked = Asked(command, stamp, overwrite, together, os.environ.get("SLURM_ARRAY_JOB_ID", ""))
    workshop = Workshop(out, asked)

    def planned() -> Plan:
        with course(console, "reading reports", None) as told, workshop.planning() as folder:
            return write_plan(
                folder, _first(kind.read(root, reading), limit), command=command, stamp=stamp, fractions=split,
                secret=secret, samples_per_shard=samples_per_shard, summaries=summaries, priors=context.prior,
                balanced=conversation == "mixed", told=told.reach,
            )  # fmt: skip

    with workshop.entered() as lacking:
        if not lacking:
            console.print(f"{workshop.out}: was finished already.", markup=False)
            return
        try:
            # A plan costs minutes where shards cost hours: made anew, it knows of every text that has changed.
            plan = (workshop.plan_of() if together else None) or planned()
            if secret == DEFAULT_KEY and not (kind.public or plan.drawn):
                tell_key(console)
            recipe = replace(recipe, shares=plan.shares)
            mine = _make(plan, workshop, recipe, share, max_bad, workers, console)
            _join(plan, mine, workshop, recipe, duplicates, max_bad, console)
        except ValueError as error:
            # Others of an array may be working; a shard that is half full is not thrown away for a table's fault.
            if not together and workshop.forget(least=-(-samples_per_shard // 2)):
                raise
            workshop.refuse()
            raise type(error)(f"{error}\n{_goes_on(workshop)}") from None
        except FileNotFoundError:
            if not workshop.is_gone():
                raise
            console.print(f"{workshop.out}: joined by another part.", markup=False)
        except KeyboardInterrupt:
            console.print(_goes_on(workshop), markup=False)
            raise


def _goes_on(workshop: Workshop) -> str:
    return f"{workshop.folder} keeps what is made; the same command goes on with it."


def _first(items: Iterable[Found | Flaw], limit: int | None) -> Iterator[Found | Flaw]:
    """Yields what a source says until so many studies were found, those that cannot be used among them."""
    found = 0
    for item in items:
        if limit is not None and found == limit:
            return
        found += isinstance(item, Found) or item.bad
        yield item


def _check(max_bad: float, workers: int | None, samples_per_shard: int, limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise ValueError(f"--limit {limit}: must be at least 1")
    if not 0 <= max_bad <= 1:
        raise ValueError(f"--max_bad {max_bad}: a share, 0 to 1")
    if workers is not None and workers < 1:
        raise ValueError(f"--workers {workers}: must be at least 1")
    if samples_per_shard < 1:
        raise ValueError(f"--samples_per_shard {samples_per_shard}: must be at least 1")


def _command(options: Sequence[Any], secret: str) -> str:
    """Digests all that decides what is made: a workshop with another digest is another set's."""
    return hashed(repr((__version__, options)), "command", secret)


def _stamp(tables: Sequence[Path]) -> str:
    """Says which tables and archives a plan was made from."""
    return repr([(str(path), seen.st_size, seen.st_mtime_ns) for path in tables if (seen := path.stat())])


def _make(
    plan: Plan, workshop: Workshop, recipe: Recipe, part: Part, max_bad: float, workers: int | None, console: Console
) -> dict[PlannedShard, Made]:
    """Makes what lacks of a part's shards, and returns all of them."""
    flaws = Flaws(plan.studies, max_bad)
    flaws.extend(plan.flaws)
    mine = [shard for number, shard in enumerate(plan.shards) if number % part.of == part.number]
    found = {shard: made for shard in mine if (made := workshop.made(shard, plan.inputs_of(shard))) is not None}
    lacking = [shard for shard in mine if shard not in found]
    for made in found.values():
        flaws.extend(made.flaws)
    if len(lacking) < len(mine):
        console.print(f"Going on: {len(mine) - len(lacking)} of {len(mine)} shards are made already.")
    studies = sum(shard.stop - shard.start for shard in lacking)
    with course(console, "packing", studies) as told:
        return found | make_shards(
            plan, lacking, recipe, workshop, flaws=flaws, workers=_workers(workers, studies), told=told.advance
        )


def _workers(wanted: int | None, studies: int) -> int:
    return wanted or max(1, min(len(os.sched_getaffinity(0)), studies // _STUDIES_A_WORKER))


def _join(
    plan: Plan,
    mine: dict[PlannedShard, Made],
    workshop: Workshop,
    recipe: Recipe,
    duplicates: Duplicates,
    max_bad: float,
    console: Console,
) -> None:
    """Makes the index, if this is the last part to be done."""
    count, number = workshop.made_of(plan), len(plan.shards)
    if count < number and workshop.is_open():
        console.print(f"{count} of {number} shards are made; the last part to be done joins them.")
        return
    with workshop.joining() as folder:
        if folder is None:
            console.print(f"{workshop.out}: joined by another part.", markup=False)
            return
        # Of all parts, only what was made from the files as they are: a set is not mixed of old and new.
        found = (workshop.made(shard, mine[shard].inputs if shard in mine else plan.inputs_of(shard))
                 for shard in plan.shards)  # fmt: skip
        made = [each for each in found if each is not None]
        if len(made) < number:
            console.print(
                f"{len(made)} of {number} shards are made from what is there now; the last part to be done joins them."
            )
            return
        flaws = Flaws(plan.studies, max_bad)
        flaws.extend(plan.flaws)
        for each in made:
            flaws.extend(each.flaws)
        image = ImageRecord(size=recipe.size, format=recipe.format)
        joined = join(
            plan, made, workshop.folder / MADE, folder, image, duplicates,
            lambda twins: _settle(flaws, twins, duplicates, made),
        )  # fmt: skip
        left_out = [*flaws.seen, *(joined.twins if duplicates == "keep" else ())]
        listed = workshop.publish(folder, joined.index["fingerprint"], left_out)
    tell_index(console, workshop.out, joined.index)
    tell_flaws(console, left_out, listed)
    _tell_more(console, plan, made, joined.index)


def _settle(flaws: Flaws, twins: Sequence[Flaw], duplicates: Duplicates, made: Sequence[Made]) -> None:
    left = sum(len(each.numbers) for each in made)
    if duplicates == "leave_out":
        flaws.extend(twins)
        left -= len(twins)
    flaws.settle(left)


def _tell_more(console: Console, plan: Plan, made: Sequence[Made], index: IndexRecord) -> None:
    samples = sum(len(each.numbers) for each in made)
    if plan.unseen:
        console.print(f"{plan.unseen} of {len(plan.order)} studies have no image: they teach what text alone can.")
    if plan.unused:
        console.print(
            f"{plan.unused} further images of these studies are not stored: a sample has one image and one lateral."
        )
    tell_views(console, sum(each.unknown for each in made), samples)
    if plan.summarised:
        by_rule = sum(each.by_rule for each in made)
        told = f"{samples - by_rule} of {samples} summaries are from --summaries; rules wrote the others."
        few = samples - by_rule < 0.9 * samples
        console.print(f"{told} Was the file made with --sample or --limit?" if few else told)
    packed = sum(counts["samples"] for counts in index["splits"].values())
    if packed == sum(counts["patients"] for counts in index["splits"].values()):
        console.print(
            "Each sample is of a patient of its own. Where an archive does not name patients, films of one may then be "
            "in training and in test."
        )
    identifiers: Counter[str] = Counter()
    for each in made:
        identifiers.update(each.identifiers)
    tell_identifiers(console, identifiers, samples)
