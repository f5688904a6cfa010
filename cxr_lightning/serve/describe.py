"""`cxr describe`: a model and radiographs enter, one or thousands; answers leave, to the screen or to a file.

Nothing is loaded before all that can be wrong with the command was looked at. Rows reach the file as they are made, so
a run that is killed is gone on with by saying the same again.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from rich.console import Console

from cxr_lightning.serve.asking import Answered, Pace, ask_all, chunks
from cxr_lightning.serve.book import Book, require_book
from cxr_lightning.serve.cases import Case, InputError, Wishes, cases
from cxr_lightning.serve.dialogue import QUESTION, Dialogue, Responder
from cxr_lightning.serve.folder import fingerprint_of, require_export
from cxr_lightning.serve.opening import is_url, open_responder
from cxr_lightning.serve.rows import is_csv, write_csv
from cxr_lightning.serve.tally import Tally
from cxr_lightning.study import Split

log = logging.getLogger(__name__)


def describe(
    model: str,
    *inputs: str,
    question: str = QUESTION,
    out: Path | None = None,
    csv: bool = False,
    overwrite: bool = False,
    root: Path | None = None,
    split: Split = "test",
    batch: int = 8,
    parallel: int = 8,
    max_new_tokens: int = 256,
    max_bad: float = 0.01,
    any_body_part: bool = False,
    lateral: bool = False,
    device: str | None = None,
    served_model: str | None = None,
    api_key: str | None = None,
    image_size: int | None = None,
) -> None:
    """Ask a model about radiographs: one, whose answer is printed, or thousands, whose answers go to a file.

    The answer is a language model's, not a radiologist's: for research, not for care.

    Args:
        model: Folder that `cxr export` wrote, or URL of a server such as `cxr serve` starts.
        *inputs: What to ask about: PNG, JPEG or DICOM files, folders of them, JSONL tables with a row a question
            (image, and if wanted lateral, question, id), or a folder of shards.
        question: What to ask, where a table does not say.
        out: File of answers, .jsonl or .csv. It grows as answers come; the same command goes on where it stopped.
        csv: Beside answers in JSONL, write them as CSV in the end.
        overwrite: Begin --out anew.
        root: Folder that a table's paths are relative to; the table's own if not given.
        split: Which split of shards.
        batch: Images that a folder's model answers at once. It does not change the answers beyond rounding.
        parallel: Requests that a server gets at once.
        max_new_tokens: Longest answer in tokens.
        max_bad: Share of images that may be unreadable; each is a row with its error, and tried again next time.
        any_body_part: Also ask about DICOM files that say they show something else than a chest.
        lateral: Show a table's lateral films too, to a model that was taught pairs. One that was taught a single film
            an answer, as `cxr pack` teaches, is misled by a second.
        device: Where to compute, such as cpu or cuda; by default a GPU if there is one.
        served_model: Which of a server's models; by default the only one.
        api_key: What a server asks for, if it does; by default CXR_API_KEY of the environment.
        image_size: Longest side of the images that a server is sent. A folder knows what its model learned from.
    """
    _require(batch=batch, parallel=parallel, max_new_tokens=max_new_tokens, max_bad=max_bad)
    wishes = Wishes(question, root, split, any_body_part, lateral)
    pace = Pace(batch, parallel, max_new_tokens)
    first = list(islice(cases(inputs, wishes), 2))
    _require_place(out, csv=csv, several=len(first) > 1)
    if not is_url(model):
        require_export(Path(model))
    with closing(
        open_responder(model, device=device, served_model=served_model, api_key=api_key, image_size=image_size)
    ) as responder:
        if out is None:
            _print(first[0], responder, max_new_tokens)
            return
        name = responder.name if is_url(model) else f"{responder.name}@{fingerprint_of(Path(model))}"
        size = responder.image_size
        with Book(out, model=name, max_new_tokens=max_new_tokens, image_size=size, overwrite=overwrite) as book:
            _fill(book, inputs, wishes, responder, pace, max_bad)
    if csv and not is_csv(out):
        write_csv(out, out.with_suffix(".csv"))


def _require_place(out: Path | None, *, csv: bool, several: bool) -> None:
    """Refuses answers that have no place to go, or would take the place of something else."""
    if out is None:
        if several:
            raise InputError(
                "several images to describe. Remedy: say where the answers go, by --out answers.jsonl or .csv"
            )
        return
    require_book(out)
    if csv and not is_csv(out):
        require_book(out.with_suffix(".csv"))


def _print(case: Case, responder: Responder, max_new_tokens: int) -> None:
    asked = Dialogue.ask(*case.open().grays, question=case.question)
    reply = responder.replies([asked], max_new_tokens=max_new_tokens)[0]
    if reply.text:
        print(reply.text.encode("utf-8", "backslashreplace").decode())
    else:
        print("The model's answer is empty: it ended at once, as models of few steps do.", file=sys.stderr)
    if reply.finish == "length":  # it looks like a whole one
        print(f"cut off at {max_new_tokens} tokens (--max_new_tokens)", file=sys.stderr)


def _fill(
    book: Book, inputs: tuple[str, ...], wishes: Wishes, responder: Responder, pace: Pace, max_bad: float
) -> None:
    """Asks what the book does not hold yet, and writes it there."""
    console, total, before = Console(stderr=True), 0, 0
    for case in cases(inputs, wishes):  # through all of them: what is wrong with a table is said at the beginning
        total, before = total + 1, before + book.has(case)
    if changed := book.forget_stale():
        log.warning("%s films are not what they were, or shown at another size: asked again.", changed)
    if before:
        log.info("%s of %s were answered before; going on.", before, total)
    tally = Tally(total, before, max_bad, book.out)
    rest = (case for case in cases(inputs, wishes) if not book.has(case))
    try:
        for rows in _as_they_come(tally.shown(ask_all(rest, responder, pace), console), responder, pace):
            book.add(rows)
            tally.require_few_bad()
    except KeyboardInterrupt:
        log.info("Stopped after %s of %s. The same command goes on.", tally.done, total)
        raise
    console.print(tally.table())
    tally.require_few_bad(ended=True)


def _as_they_come(rows: Iterator[Answered], responder: Responder, pace: Pace) -> Iterator[list[Answered]]:
    """Gathers what came together: a batch, or one answer of a server."""
    return chunks(rows, 1 if responder.serves_many else pace.batch)


def _require(*, max_bad: float, **counts: int) -> None:
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"--{name} {value}: at least 1")
    if not 0 <= max_bad <= 1:
        raise ValueError(f"--max_bad {max_bad}: a share, 0 to 1")
