"""Tasks enter, answers leave: from processes with a model each, one a GPU, or from a server asked in parallel.

What stands in a batch never depends on the number of processes or ranks, so neither do the answers.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import queue
import re
import signal
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from typing import Any

from cxr_lightning.endpoint.ahead import ahead
from cxr_lightning.endpoint.reply import Reply
from cxr_lightning.endpoint.trouble import RefusedError
from cxr_lightning.evaluation.opening import Model, load
from cxr_lightning.evaluation.tasks import Answer, Task
from cxr_lightning.model.likelihood import NoLikelihoodError
from cxr_lightning.model.likely import Likelihood
from cxr_lightning.serve.dialogue import Dialogue, Responder
from cxr_lightning.serve.opening import open_responder

log = logging.getLogger(__name__)
_POLL_SECONDS = 2.0
_LONGEST = 16
"""Letters a token that an answer may have; what is longer came from a server that keeps no limit."""
_MOST_REFUSED = 0.05
"""Share of questions that a server may refuse; each is an empty answer. More, and something is wrong with all."""
_BLANK = 128
"""Of a server's films that say nothing: what its image processor calls zero is not known."""


class RefusesError(ValueError):
    """A server refuses too many questions."""


class WorkerError(ValueError):
    """A process that generated answers died; its own error is in the message."""


@dataclass(frozen=True)
class Manner:
    """How a model is asked.

    Attributes:
        max_new_tokens: Longest answer in tokens.
        likelihood: Whether the likelihood of references is asked too; a server cannot be asked.
        workers: Processes, one thread each on a CPU, one a GPU; None takes as many as fit.
        device: Where to compute; None takes the GPUs if there are any.
        parallel: Requests that a server gets at once.
        served_model: Which of a server's models; None takes the only one.
        api_key: What a server asks for; None takes CXR_API_KEY.
        image_size: Longest side of the images that a server is sent.
        direct: Whether a server is never asked by way of a proxy, which is elsewhere.
    """

    max_new_tokens: int = 160
    likelihood: bool = True
    workers: int | None = None
    device: str | None = None
    parallel: int = 8
    served_model: str | None = None
    api_key: str | None = None
    image_size: int | None = None
    direct: bool = True


def ask(model: Model, batches: Sequence[Sequence[Task]], manner: Manner) -> Iterator[list[Answer]]:
    """Answers batches of tasks, greedily.

    Args:
        model: Who answers.
        batches: What to answer.
        manner: How.

    Yields:
        The answers of a batch, or of a part of one, as they come.

    Raises:
        NotAnExportError: The folder holds no model that transformers can load whole.
        ServerError: The server is gone.
        WorkerError: A process failed.
    """
    if not batches:
        return
    if model.folder is None:
        yield from _ask_server(model, [task for batch in batches for task in batch], manner)
        return
    devices = _devices(manner, len(batches))
    if len(devices) == 1:
        answer = answerer(model, manner, devices[0])
        for batch in batches:
            yield answer(batch)
    else:
        yield from _ask_crew(model, batches, manner, devices)


def answerer(model: Model, manner: Manner, device: str | None) -> Callable[[Sequence[Task]], list[Answer]]:
    """Loads a model and returns what answers a batch with it.

    Args:
        model: One that lies in a folder.
        manner: How it is asked.
        device: Where it computes.
    """
    local = load(model, device)

    def answer(tasks: Sequence[Task]) -> list[Answer]:
        dialogues = [task.dialogue(local.blank) for task in tasks]
        replies = local.replies(dialogues, max_new_tokens=manner.max_new_tokens)
        likely = _likelihoods(local, dialogues, tasks) if manner.likelihood else [None] * len(tasks)
        return [_answer(*each) for each in zip(tasks, replies, likely, strict=True)]

    return answer


def _likelihoods(local: Any, dialogues: Sequence[Dialogue], tasks: Sequence[Task]) -> Sequence[Likelihood | None]:
    try:
        likely: Sequence[Likelihood] = local.likelihoods(dialogues, [task.reference for task in tasks])
    except NoLikelihoodError as error:
        warnings.warn(f"{error} It is scored by its answers alone.", stacklevel=2)  # once, however often it is asked
        return [None] * len(tasks)
    return likely


def _answer(task: Task, reply: Reply, likelihood: Likelihood | None = None) -> Answer:
    text = reply.text.encode("utf-8", "replace").decode()  # half a character reaches no file
    return Answer(task.key, task.condition, text, task.shown, reply.finish, reply.tokens, likelihood)


def _ask_server(model: Model, tasks: Sequence[Task], manner: Manner) -> Iterator[list[Answer]]:
    responder: Responder = open_responder(
        model.word, served_model=manner.served_model, api_key=manner.api_key, image_size=manner.image_size,
        direct=manner.direct,
    )  # fmt: skip
    most = manner.max_new_tokens * _LONGEST
    try:

        def one(task: Task) -> list[Answer]:
            try:
                [reply] = responder.replies([task.dialogue(_BLANK)], max_new_tokens=manner.max_new_tokens)
            except RefusedError as error:  # of this question; the others may be answered
                log.warning("%s: %s. It counts as an empty answer.", task.key, error)
                return [Answer(task.key, task.condition, "", task.shown, "refused")]
            if len(reply.text) > most:
                reply = replace(reply, text=reply.text[:most], finish="length")
            return [_answer(task, reply)]

        refused = 0
        for answers in ahead(one, tasks, workers=manner.parallel, window=2 * manner.parallel):
            refused += answers[0].finish == "refused"
            if refused > max(3, _MOST_REFUSED * len(tasks)):
                raise RefusesError(
                    f"{model.name} has refused {refused} of {len(tasks)} questions. What was answered is kept. "
                    "Remedy: see above what it said; a prompt too long for it needs a smaller --image_size."
                )
            yield answers
    finally:
        responder.close()


def _devices(manner: Manner, batches: int) -> list[str | None]:
    """Says where each process computes: as many as there are GPUs, else two on a CPU's cores."""
    import torch

    if manner.device is not None:
        return [manner.device] * min(manner.workers or 1, batches)
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    number, beside = _place_on_node()
    if cards and beside > 1:  # a launcher started a process a card
        return [f"cuda:{number % cards}"]
    if cards:
        return [f"cuda:{number % cards}" for number in range(min(manner.workers or cards, batches))]
    return ["cpu"] * max(1, min(manner.workers or min(2, len(os.sched_getaffinity(0))), batches))


def _place_on_node() -> tuple[int, int]:
    """Returns which of a node's processes this is, and of how many, as torchrun or srun say."""
    for number, count in (("LOCAL_RANK", "LOCAL_WORLD_SIZE"), ("SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE")):
        if number in os.environ and count in os.environ:
            return int(os.environ[number]), int(re.split(r"\D", os.environ[count])[0])  # such as 8(x2)
    return 0, 1


def _ask_crew(
    model: Model, batches: Sequence[Sequence[Task]], manner: Manner, devices: Sequence[str | None]
) -> Iterator[list[Answer]]:
    """Lets processes take batches off one queue, so that a slow one does not hold up the rest."""
    context = multiprocessing.get_context("spawn")
    todo: multiprocessing.Queue[Sequence[Task] | None] = context.Queue()
    done: multiprocessing.Queue[list[Answer] | Exception] = context.Queue()
    for chunk in (*batches, *([None] * len(devices))):
        todo.put(chunk)
    crew: list[BaseProcess] = [
        context.Process(target=_work, args=(model, manner, device, todo, done), daemon=True) for device in devices
    ]
    # OpenMP reads this once at import: threads of two processes on two cores would wait for each other.
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        for process in crew:
            process.start()
        for _ in batches:
            yield _next_result(done, crew)
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
                    "What was answered is kept. Remedy: the same again with fewer --workers or a smaller --batch."
                ) from None
            continue
        if isinstance(result, Exception):
            raise result
        return result


def _work(
    model: Model,
    manner: Manner,
    device: str | None,
    todo: multiprocessing.Queue[Sequence[Task] | None],
    done: multiprocessing.Queue[list[Answer] | Exception],
) -> None:
    """Answers batches until the queue says that all are taken; its error goes back to the caller."""
    from transformers.utils.logging import disable_progress_bar

    try:
        if device == "cpu":
            import torch

            torch.set_num_threads(1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, who ends the others
        disable_progress_bar()  # bars of several processes would overwrite each other, and ours
        logging.getLogger("transformers.generation.configuration_utils").setLevel(logging.ERROR)
        answer = answerer(model, manner, device)
        while (chunk := _next_task(todo)) is not None:
            done.put(answer(chunk))
    except ValueError as error:
        done.put(type(error)(str(error)) if type(error).__module__.startswith("cxr_lightning") else _failed())
    except Exception:
        done.put(_failed())


def _next_task(todo: multiprocessing.Queue[Sequence[Task] | None]) -> Sequence[Task] | None:
    """Waits for a batch; None when there is no more, or when nobody is left who would hear the answer."""
    parent = multiprocessing.parent_process()
    while parent is None or parent.is_alive():
        try:
            return todo.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            continue
    return None


def _failed() -> WorkerError:
    return WorkerError(f"A process that generated answers failed:\n{traceback.format_exc(limit=-4)}")
