"""What a model says about each study: greedy answers with its own image, another patient's, and a blank one.

Enters an exported folder and the studies of a split; leaves one answer per study and image condition. Plain
transformers, as whoever serves the model would load it. What stands in a batch never depends on the number of worker
processes, so neither do the answers.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from PIL import Image

from cxr_lightning.evaluation.cases import Case
from cxr_lightning.evaluation.swaps import swap_partners
from cxr_lightning.model.generation import generate as generate_texts
from cxr_lightning.model.templates import write_template
from cxr_lightning.shards.images import open_stored
from cxr_lightning.stream.conversation import as_messages

Condition = Literal["own", "swapped", "blank"]
"""Which image stands beside the question: the study's, another patient's, or none but grey."""

CONDITIONS: tuple[Condition, ...] = get_args(Condition)

_POLL_SECONDS = 2.0


class NotAModelError(ValueError):
    """The folder does not hold a model that transformers can load."""


class WorkerError(ValueError):
    """A process that generated answers died; its own error is in the message."""


@dataclass(frozen=True, slots=True)
class Task:
    """One answer to be generated.

    Attributes:
        key: The study's key.
        condition: Which image it is shown.
        prompt: The user's turn, `<image>` where each image goes.
        images: Encoded images in the order of the marks; for the blank condition only their size counts.
        shown: Key of the study whose images these are.
    """

    key: str
    condition: Condition
    prompt: str
    images: tuple[bytes, ...]
    shown: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said.

    Attributes:
        key: The study's key.
        condition: Which image it was shown.
        text: The answer, without special tokens.
        shown: Key of the study whose images were shown.
    """

    key: str
    condition: Condition
    text: str
    shown: str


def plan_tasks(cases: Sequence[Case], *, conditions: Sequence[Condition] = CONDITIONS, seed: int = 0) -> list[Task]:
    """Lists the answers to generate, condition by condition.

    Args:
        cases: The studies.
        conditions: Which images to show.
        seed: Seed of the swaps.

    Returns:
        One task per study and condition.

    Raises:
        NoOtherPatientError: If images are to be swapped and all studies are one patient's.
    """
    lenders = list(cases)
    tasks = []
    for condition in conditions:
        if condition == "swapped":
            partners = swap_partners([case.patient for case in cases], [case.views for case in cases], seed=seed)
            shown = [lenders[partner] for partner in partners]
        else:
            shown = lenders
        for case, lender in zip(cases, shown, strict=True):
            # A lender without a lateral film repeats what it has: the question asks for as many images as it marks.
            images = tuple(lender.images[min(n, len(lender.images) - 1)] for n in range(len(case.images)))
            tasks.append(Task(case.key, condition, case.prompt, images, lender.key))
    return tasks


def require_model(folder: Path) -> None:
    """Checks that a folder looks like a model, before hours are spent on it.

    Args:
        folder: Exported folder.

    Raises:
        NotAModelError: If it has no config.json.
    """
    if not (folder / "config.json").is_file():
        raise NotAModelError(f"{folder} holds no config.json. Name the folder that `cxr export` wrote.")


def generate(model: Path, tasks: Sequence[Task], *, batch: int, workers: int, max_tokens: int) -> Iterator[Answer]:
    """Answers tasks greedily, in one process or several.

    Args:
        model: Exported folder: weights, tokenizer, processor and chat template.
        tasks: What to answer.
        batch: Tasks that are answered at once.
        workers: Processes, one thread each; 1 answers in this process. Where a GPU is, one process uses it.
        max_tokens: Longest answer in tokens.

    Yields:
        Answers as they come; with several workers not in the order of the tasks.

    Raises:
        NotAModelError: If the folder holds no model that transformers can load whole.
        WorkerError: If a worker process fails.
    """
    require_model(model)
    batches = [tasks[start : start + batch] for start in range(0, len(tasks), batch)]
    workers = min(workers, len(batches))
    if workers <= 1 or torch.cuda.is_available():
        answer = load_answerer(model, max_tokens)
        for chunk in batches:
            yield from answer(chunk)
    else:
        yield from _generate_in_workers(model, batches, workers, max_tokens)


def load_answerer(folder: Path, max_tokens: int) -> Callable[[Sequence[Task]], list[Answer]]:
    """Loads a model and returns the function that answers a batch with it.

    Args:
        folder: Exported folder.
        max_tokens: Longest answer in tokens.

    Raises:
        NotAModelError: If transformers cannot load it.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor

    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    try:
        processor = AutoProcessor.from_pretrained(folder, local_files_only=True)
        write_template(processor)
        model, report = AutoModelForImageTextToText.from_pretrained(
            folder, local_files_only=True, dtype=dtype, output_loading_info=True
        )
    except (OSError, ValueError) as error:
        raise NotAModelError(
            f"transformers cannot load {folder}: {error} Name the folder that `cxr export` wrote, with its processor."
        ) from error
    _require_all_weights(folder, report)
    model = model.to(device).eval()
    _settle_end_tokens(model, processor.tokenizer)

    def answer(tasks: Sequence[Task]) -> list[Answer]:
        texts = _answer_batch(model, processor, tasks, max_tokens)
        return [Answer(task.key, task.condition, text, task.shown) for task, text in zip(tasks, texts, strict=True)]

    return answer


def mean_grey(processor: Any) -> tuple[int, int, int]:
    """Returns the colour that the processor normalises to zero: an image that says nothing.

    Args:
        processor: The model's processor.
    """
    mean = getattr(processor.image_processor, "image_mean", None) or (0.5, 0.5, 0.5)
    levels = [round(255 * float(level)) for level in mean]
    return (levels[0], levels[len(levels) // 2], levels[-1])


def _answer_batch(model: Any, processor: Any, tasks: Sequence[Task], max_tokens: int) -> list[str]:
    grey = mean_grey(processor)
    images = [[_decode(data, grey if task.condition == "blank" else None) for data in task.images] for task in tasks]
    conversations = [as_messages([{"role": "user", "content": task.prompt}]) for task in tasks]
    return generate_texts(model, processor, conversations, images, max_new_tokens=max_tokens)


def _decode(data: bytes, fill: tuple[int, int, int] | None) -> Image.Image:
    """Decodes an image, or makes a plain one of its size."""
    image = open_stored(data)
    return image if fill is None else Image.new("RGB", image.size, fill)


def _require_all_weights(folder: Path, report: dict[str, Any]) -> None:
    """Refuses a model whose missing weights transformers has filled with random ones: its scores would be noise."""
    wrong = {kind: sorted(map(str, report[kind])) for kind in ("missing_keys", "mismatched_keys", "unexpected_keys")}
    told = [f"{kind.removesuffix('_keys')} {', '.join(keys[:4])}" for kind, keys in wrong.items() if keys]
    if told:
        raise NotAModelError(
            f"The weights in {folder} are not those of its config.json: {'; '.join(told)}. Export the run again."
        )


def _settle_end_tokens(model: Any, tokenizer: Any) -> None:
    """Fills in what an export may leave unsaid about where an answer ends; sampling settings do not apply."""
    settings = model.generation_config
    if settings.eos_token_id is None:
        settings.eos_token_id = tokenizer.eos_token_id
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    settings.temperature = settings.top_p = settings.top_k = None


def _generate_in_workers(
    model: Path, batches: Sequence[Sequence[Task]], workers: int, max_tokens: int
) -> Iterator[Answer]:
    """Lets processes take batches off one queue, so that a slow one does not hold up the rest."""
    context = multiprocessing.get_context("spawn")
    todo: multiprocessing.Queue[Sequence[Task] | None] = context.Queue()
    done: multiprocessing.Queue[list[Answer] | Exception] = context.Queue()
    for chunk in (*batches, *([None] * workers)):
        todo.put(chunk)
    crew: list[BaseProcess] = [
        context.Process(target=_work, args=(model, max_tokens, todo, done), daemon=True) for _ in range(workers)
    ]
    # OpenMP reads this once at import: threads of two processes on two cores would wait for each other.
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        for process in crew:
            process.start()
        for _ in batches:
            yield from _next_result(done, crew)
    finally:
        os.environ.pop("OMP_NUM_THREADS") if before is None else os.environ.update(OMP_NUM_THREADS=before)
        todo.cancel_join_thread()
        for process in crew:
            process.terminate()
            process.join()


def _next_result(done: multiprocessing.Queue[list[Answer] | Exception], crew: Sequence[BaseProcess]) -> list[Answer]:
    """Waits for a batch, and notices when nobody is left to deliver it."""
    while True:
        try:
            result = done.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            if any(process.exitcode not in (None, 0) for process in crew):
                codes = [process.exitcode for process in crew]
                raise WorkerError(
                    f"A process that generated answers ended with exit codes {codes}, perhaps for want of memory. "
                    "Try fewer --workers or a smaller --batch."
                ) from None
            continue
        if isinstance(result, Exception):
            raise result
        return result


def _work(
    model: Path,
    max_tokens: int,
    todo: multiprocessing.Queue[Sequence[Task] | None],
    done: multiprocessing.Queue[list[Answer] | Exception],
) -> None:
    """Answers batches until the queue says that all are taken; its error goes back to the caller."""
    from transformers.utils.logging import disable_progress_bar

    try:
        torch.set_num_threads(1)
        disable_progress_bar()  # bars of several processes would overwrite each other, and ours
        answer = load_answerer(model, max_tokens)
        while (chunk := todo.get()) is not None:
            done.put(answer(chunk))
    except NotAModelError as error:
        done.put(NotAModelError(str(error)))
    except Exception:
        done.put(WorkerError(f"A process that generated answers failed:\n{traceback.format_exc(limit=-4)}"))
