"""`cxr evaluate`: from a model and shards to scores that doubt themselves, and a page to look at.

Every study is answered three times (own image, another patient's, blank), because a score that survives a wrong image
is no sign of sight. Nothing is loaded before all that can be wrong with the command was looked at; answers reach the
disk as they come, so that what is stopped goes on.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cxr_lightning.durable import write_text
from cxr_lightning.evaluation.cases import Case, commonest, read_cases, training_references
from cxr_lightning.evaluation.counts import require_positive
from cxr_lightning.evaluation.curves import read_curves
from cxr_lightning.evaluation.extra import Radeval, extra_scorers
from cxr_lightning.evaluation.journal import Journal, Rank, digest_of
from cxr_lightning.evaluation.refusal import Memory, Seen, settle
from cxr_lightning.serve.opening import is_url
from cxr_lightning.shards.index import ShardIndex, read_index
from cxr_lightning.site import require_on_site
from cxr_lightning.study import Split

if TYPE_CHECKING:
    from cxr_lightning.evaluation.asking import Manner
    from cxr_lightning.evaluation.opening import Model
    from cxr_lightning.evaluation.tasks import Answer, Task, TaskId
    from cxr_lightning.scoring.scorer import Scorer

log = logging.getLogger(__name__)


def evaluate(
    model: str,
    shards: str | Path,
    *,
    out: Path,
    split: Split = "test",
    limit: int | None = None,
    batch: int = 16,
    workers: int | None = None,
    device: str | None = None,
    seed: int = 0,
    max_new_tokens: int = 160,
    likelihood: bool = True,
    seen: Seen = "refuse",
    learned_by: Path | None = None,
    bertscore: Path | None = None,
    radeval: Radeval | None = None,
    draws: int = 1000,
    runs: list[Path] | None = None,
    parallel: int = 8,
    served_model: str | None = None,
    api_key: str | None = None,
    image_size: int | None = None,
    may_leave_site: bool = False,
    overwrite: bool = False,
) -> None:
    """Score a model on studies it has not seen, with their images, with others and with none.

    Stopped, the same command goes on; started as several ranks (torchrun, srun), they share the work. OUT then holds
    predictions.jsonl, metrics.json, rexrank.json and index.html. `cxr compare`, `cxr evaluate judge` and
    `cxr evaluate reading` go on from there.

    Args:
        model: Folder that `cxr export` wrote, a run or one of its checkpoints, the folder or hub name of any
            vision-language model as a baseline, or URL of a server such as `cxr serve` starts.
        shards: Folder or URL that holds the shards' index.
        out: Folder to write to.
        split: Which studies to ask about.
        limit: At most so many studies, the same ones every time; all if not given.
        batch: Questions answered at once. It does not change the scores beyond rounding.
        workers: Processes that generate: by default one a GPU, else two, one thread each.
        device: Where to compute, such as cpu or cuda:1; by default the GPUs if there are any.
        seed: Seed of the swapped images and of the bootstrap.
        max_new_tokens: Longest answer in tokens.
        likelihood: Also ask how likely the model finds the references, by image; a server cannot be asked.
        seen: What becomes of studies that the model learned from, by their keys or films: refuse, leave_out, or score.
        learned_by: Export or run whose list of learned studies counts, too, such as the one behind a URL.
        bertscore: Folder of a text encoder, to add BERTScore by it.
        radeval: Scores of the radeval package to add, with weights that lie on this machine.
        draws: Draws of the bootstrap.
        runs: Run directories whose loss curves the page shows.
        parallel: Requests that a server gets at once.
        served_model: Which of a server's models; by default the only one.
        api_key: What a server asks for, if it does; by default CXR_API_KEY of the environment.
        image_size: Longest side of the images that a server is sent. A folder knows what its model learned from.
        may_leave_site: Send films and questions to a server that is neither on this machine nor in a private network.
        overwrite: Forget what OUT holds.
    """
    # Here, not above: asking for --help must not wait for torch.
    from cxr_lightning.evaluation.asking import Manner
    from cxr_lightning.evaluation.opening import find_model
    from cxr_lightning.evaluation.tasks import plan_tasks

    _require_possible(seed, device)
    require_positive(
        limit=limit, batch=batch, workers=workers, max_new_tokens=max_new_tokens, draws=draws, parallel=parallel
    )
    if is_url(model):
        require_on_site(model, allowed=may_leave_site, what="films and the clinicians' questions about them")
    found = find_model(model, served_model=served_model, api_key=api_key, direct=not may_leave_site)
    index, curves = read_index(shards), read_curves(runs or [])
    extra = extra_scorers(bertscore, radeval)
    cases, memory = settle(read_cases(index, split, limit=limit), found.folder, seen, learned_by)
    tasks = plan_tasks(cases, seed=seed)
    manner = Manner(
        max_new_tokens, likelihood and found.folder is not None, workers, device, parallel, served_model, api_key,
        image_size, not may_leave_site,
    )  # fmt: skip
    settings = _settings(found, manner, index, tasks, seed)
    with Journal(out, settings, Rank.here(), overwrite=overwrite) as journal:
        answers = _answered(found, cases, tasks, manner, journal, batch)
        if answers is not None:
            told = {"model": found.name, "split": split, "shards": index.fingerprint, "shards_root": index.root}
            evaluation = Evaluation(out, told, cases, memory, answers, training_references(index, split), extra)
            evaluation.finish(found.folder if found.checkpoint is None else None, curves, draws=draws, seed=seed)


@dataclass(frozen=True)
class Evaluation:
    """All answers of a model, to be scored.

    Attributes:
        out: The folder.
        told: What was evaluated on what.
        cases: The studies.
        memory: What is known of the model's having seen them.
        answers: An answer to each under each condition.
        learned: Texts of the training studies.
        extra: Scores beside the usual ones.
    """

    out: Path
    told: Mapping[str, Any]
    cases: Sequence[Case]
    memory: Memory
    answers: Mapping[TaskId, Answer]
    learned: Sequence[str]
    extra: Sequence[Scorer]

    def finish(self, folder: Path | None, curves: Any, *, draws: int, seed: int) -> None:
        """Scores, and writes all that is to be read.

        Args:
            folder: The model's folder, into whose card the scores go, if it has one.
            curves: Losses of the runs that made it.
            draws: Draws of the bootstrap.
            seed: Seed of the draws.
        """
        from cxr_lightning.evaluation.card import note_in_card
        from cxr_lightning.evaluation.page import write_page
        from cxr_lightning.evaluation.rexrank import write_rexrank
        from cxr_lightning.evaluation.summary import print_summary

        metrics = self._measured(draws, seed)
        write_text(self.out / "metrics.json", json.dumps(metrics, indent=2, allow_nan=False) + "\n")
        write_rexrank(self.out, self.cases, self.answers)
        write_page(self.out, self._cards(), metrics, curves)
        carded = folder is not None and not self.memory.scored and note_in_card(folder, metrics)
        print_summary(metrics, self.out, carded=carded)

    def _measured(self, draws: int, seed: int) -> dict[str, Any]:
        from cxr_lightning.evaluation.grounding import measure_grounding
        from cxr_lightning.evaluation.metrics import measure
        from cxr_lightning.evaluation.verdict import verdict
        from cxr_lightning.scoring.health import health
        from cxr_lightning.scoring.registry import SCORERS

        texts = {name: [self.answers[case.key, name].text for case in self.cases] for name in self._conditions()}
        texts["commonest"] = [commonest(self.learned)] * len(self.cases)
        scorers = [*SCORERS, *self.extra]
        with _bar("Scoring", len(scorers)) as advance:
            measured = measure(self.cases, texts, scorers=scorers, draws=draws, seed=seed, advance=advance)
        finishes = [self.answers[case.key, "own"].finish for case in self.cases]
        refused = sum(answer.finish == "refused" for answer in self.answers.values())
        looked = health(texts["own"], [case.reference for case in self.cases], self.learned, finishes, seed=seed)
        metrics = {
            "schema": 2,
            **self.told,
            **measured,
            "grounding": measure_grounding(self.cases, self.answers, draws=draws, seed=seed),
            "health": {**looked, "refused": refused, "remarks": _remarks(looked, refused)},
            "seen": self.memory.to_json(),
        }
        return {**metrics, "verdict": f"{self.memory.told} {verdict(metrics)}".strip()}

    def _conditions(self) -> list[Any]:
        return sorted({condition for _, condition in self.answers})

    def _cards(self) -> list[Any]:
        from cxr_lightning.evaluation.page import StudyCard

        images = {case.key: case.images[0] for case in self.cases}
        cards = []
        for case in self.cases:
            said = {name: self.answers[case.key, name] for name in self._conditions()}
            other, blank = said.get("swapped"), said.get("blank")
            cards.append(
                StudyCard(
                    key=case.key,
                    image=images[case.key],
                    reference=case.reference,
                    answer=said["own"].text,
                    truth=case.truth,
                    swapped="" if other is None else other.text,
                    other=None if other is None else images.get(other.shown),
                    blank="" if blank is None else blank.text,
                    views=case.views,
                    prompt=case.prompt,
                    cut=said["own"].finish == "length",
                )
            )
        return cards


def _answered(
    model: Model, cases: Sequence[Case], tasks: Sequence[Task], manner: Manner, journal: Journal, batch: int
) -> dict[TaskId, Answer] | None:
    """Asks what is not answered yet; None for a rank that leaves the scores to the first."""
    from cxr_lightning.evaluation.asking import ask
    from cxr_lightning.evaluation.predictions import write_predictions

    todo = journal.mine(tasks, batch)
    asked = sum(map(len, todo))
    if asked < len(tasks) // journal.rank.count:
        log.info("%s answers are there already; going on.", len(journal.answered()))
    try:
        with _bar("Answering", asked) as advance:
            for answers in ask(model, todo, manner):
                journal.add(answers)
                advance(len(answers))
    except KeyboardInterrupt:
        log.info("Stopped; %s answers are kept. The same command goes on.", len(journal.answered()))
        raise
    if journal.rank.number:
        return None
    known = journal.wait(tasks)
    write_predictions(journal.out, cases, known)
    journal.finish()
    return known


def _remarks(health: Mapping[str, Any], refused: int) -> list[str]:
    from cxr_lightning.scoring.health import remarks

    told = [f"The server refused {refused} questions; they count as empty answers."] if refused else []
    return [*told, *remarks(health)]


def _settings(
    model: Model, manner: Manner, index: ShardIndex, tasks: Sequence[Task], seed: int
) -> dict[str, str | int | bool]:
    """Says whose answers to what: what changes an answer, and nothing else."""
    import torch

    cuda = torch.cuda.is_available() if manner.device is None else manner.device.startswith("cuda")
    return {
        "model": model.name,
        "model_fingerprint": model.fingerprint,
        "shards": index.fingerprint,
        "studies": len({task.key for task in tasks}),
        "questions": digest_of(tasks),
        "max_new_tokens": manner.max_new_tokens,
        "likelihood": manner.likelihood,
        "image_size": manner.image_size or 0,
        "computed_on": "a server" if model.folder is None else "GPU" if cuda else "CPU",
        "seed": seed,
    }


def _require_possible(seed: int, device: str | None) -> None:
    """Looks at options that would else be found wanting when all is answered."""
    if seed < 0:
        raise ValueError(f"--seed {seed}: must be 0 or more.")
    if device is None:
        return
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        told = str(error).splitlines()[0]
        raise ValueError(f"--device {device}: torch cannot compute there ({told}). Remedy: name another.") from error


@contextmanager
def _bar(what: str, total: int) -> Iterator[Callable[..., object]]:
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=total)
        yield lambda count=1: progress.advance(task, count)
