"""`cxr VERB`: one table of verbs, each a typed function whose signature is its command line.

Nothing heavy is imported before a verb is chosen, so that `cxr --help` answers at once.
"""

from __future__ import annotations

import difflib
import importlib
import logging
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cxr_lightning import __version__

READER_GONE = 141
"""The exit status where nobody reads our output any more: what a shell says of a process that SIGPIPE ended."""


@dataclass(frozen=True)
class Verb:
    """One row of the table.

    Attributes:
        does: What it does, in a line of help.
        module: Where its function lives.
        function: The function's name.
        parses: Whether the function parses its own arguments (`fit` is a LightningCLI).
    """

    does: str
    module: str
    function: str
    parses: bool = False


VERBS: dict[str, Verb] = {
    "demo": Verb("the whole journey on drawn radiographs, on this machine's CPU", "cxr_lightning.demo.journey", "demo"),
    "phantoms": Verb(
        "draw chest radiographs with reports and known findings", "cxr_lightning.phantoms.archive", "draw"
    ),
    "download": Verb(
        "fetch a public or credentialed data set, every byte checked", "cxr_lightning.download.verb", "download"
    ),
    "summarize": Verb(
        "merge a report's findings and impression into one fluent text, by a language model or by rule",
        "cxr_lightning.reports.summaries.verb",
        "summarize",
    ),
    "reports": Verb(
        "take an archive's reports apart: sections, cleaned text, kept or why not",
        "cxr_lightning.reports.extraction",
        "reports",
    ),
    "pack": Verb("pack studies into indexed WebDataset shards", "cxr_lightning.shards.packing", "pack"),
    "index": Verb(
        "make the index of tars that others wrote, local or remote", "cxr_lightning.shards.indexing", "index"
    ),
    "inspect": Verb(
        "look for all that is wrong with shards, and show what they hold",
        "cxr_lightning.shards.inspection.verb",
        "inspect",
    ),
    "fit": Verb(
        "train a stage: language, projector alignment or instruction tuning",
        "cxr_lightning.training.fit",
        "fit",
        parses=True,
    ),
    "sweep": Verb(
        "try several learning rates or other options, on Slurm or here, and say which is best",
        "cxr_lightning.cluster.sweeps.verb",
        "sweep",
        parses=True,
    ),
    "requeue": Verb(
        "put this Slurm job back into the queue, if its run gained steps",
        "cxr_lightning.cluster.requeue",
        "requeue",
        parses=True,
    ),
    "preflight": Verb(
        "look at everything a training needs, on all its nodes, before it begins",
        "cxr_lightning.cluster.preflight.verb",
        "preflight",
        parses=True,
    ),
    "plan": Verb(
        "say what a training will need of GPUs, network, disk and time, before a GPU is there",
        "cxr_lightning.cluster.planning.verb",
        "plan",
        parses=True,
    ),
    "features": Verb(
        "compute a frozen vision tower's features once, for fits that read them",
        "cxr_lightning.training.features",
        "features",
        parses=True,
    ),
    "export": Verb("merge what was learned into a folder that serves", "cxr_lightning.export.package", "export"),
    "servable": Verb(
        "check that a folder can be served, and say by what", "cxr_lightning.export.servable.verb", "servable"
    ),
    "describe": Verb(
        "answer about radiographs, one or thousands: PNG, JPEG or DICOM", "cxr_lightning.serve.describe", "describe"
    ),
    "serve": Verb("serve an exported model in OpenAI's protocol", "cxr_lightning.serve.server", "serve"),
    "web": Verb("open a page to look at radiographs and ask a model about them", "cxr_lightning.serve.web.verb", "web"),
    "evaluate": Verb(
        "score generated reports, and whether they needed the image", "cxr_lightning.evaluation.evaluate", "evaluate"
    ),
    "evaluate reading": Verb(
        "make a page on which radiologists judge reports blinded",
        "cxr_lightning.evaluation.experts.reading",
        "reading",
    ),
    "evaluate judge": Verb(
        "have a language model judge reports, and try the judge", "cxr_lightning.evaluation.judge.verb", "judge_reports"
    ),
    "evaluate experts": Verb(
        "read back what radiologists judged, and how far they agree",
        "cxr_lightning.evaluation.experts.experts",
        "experts",
    ),
    "compare": Verb(
        "compare evaluations: which model is better, by how much, how surely, and where",
        "cxr_lightning.evaluation.compare.verb",
        "compare",
    ),
}


def run(args: Sequence[str]) -> int:
    """Runs one verb.

    Args:
        args: The command line after `cxr`.

    Returns:
        The exit status: 0 done, 1 the input is at fault and the message says how to mend it, 2 no such verb; an error
        may have another one as its `exit_status`.
    """
    if not args or args[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if args[0] in ("-V", "--version"):
        print(__version__)
        return 0
    near = _near_two(args)
    name, args = verb_of(args)
    if near or name not in VERBS:
        print(f"{_help()}\n\ncxr: {near or f'there is no verb {name!r}.{_near(name, VERBS)}'}", file=sys.stderr)
        return 2
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for noisy in ("httpx", "httpx2", "transformers", "DeepSpeed"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # An export says temperature 0 for vLLM's sake; transformers, which needs no telling, remarks on it at every load.
    logging.getLogger("transformers.generation.configuration_utils").setLevel(logging.ERROR)
    if not sys.stderr.isatty():  # loading bars are for eyes; in a log they are noise
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("TQDM_DISABLE", "1")
    try:
        _hear_signals(name)
        _call(name, VERBS[name], _underscored(args))
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if isinstance(error, BrokenPipeError) and reader_gone():
            return READER_GONE
        ours = isinstance(error, (ValueError, OSError)) and not os.environ.get("CXR_TRACEBACK")
        if not ours and not _among_ranks(name):
            raise
        told = f"{error}\n(CXR_TRACEBACK=1 shows where it was raised.)" if ours else traceback.format_exc()
        _tell(name, f"cxr {name}: {told}")
        return int(getattr(error, "exit_status", 1))
    return 0


def reader_gone() -> bool:
    """Tells whether standard output is a pipe that nobody reads any more, as in `cxr ... | head`: no error of ours."""
    try:
        look = select.poll()
        look.register(sys.stdout, select.POLLOUT)
        return any(state & select.POLLERR for _, state in look.poll(0))
    except (OSError, TypeError, ValueError):  # closed, or no file at all
        return False


def verb_of(args: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Divides a command line into its verb and the rest.

    Args:
        args: The command line after `cxr`; a verb may be two words (`evaluate judge`).
    """
    two = " ".join(args[:2])
    return (two, args[2:]) if two in VERBS else (args[0], args[1:])


def _near_two(args: Sequence[str]) -> str:
    """Says what a second word was probably meant to be, where it is nothing else: `evaluate judgee`."""
    seconds = {name.split()[1] for name in VERBS if name.startswith(f"{args[0]} ")}
    if len(args) < 2 or not seconds or args[1] in seconds or os.path.exists(args[1]):
        return ""
    if args[1] in VERBS:
        return f"there is no verb '{args[0]} {args[1]}'. Did you mean {args[1]}?"
    found = difflib.get_close_matches(args[1], seconds, n=1)
    return f"there is no verb '{args[0]} {args[1]}'. Did you mean {args[0]} {found[0]}?" if found else ""


def _underscored(args: Sequence[str]) -> list[str]:
    """Takes `--max-shard-size` for `--max_shard_size`, up to a bare `--`, behind which words are someone else's."""
    own = list(args).index("--") if "--" in args else len(args)
    names = [word.partition("=") for word in args[:own]]
    spelled = [
        "--" + name[2:].replace("-", "_") + sep + value if name.startswith("--") else name + sep + value
        for name, sep, value in names
    ]
    return [*spelled, *args[own:]]


def _near(word: str, known: Iterable[str]) -> str:
    begun = sorted(name for name in known if name.startswith(word) and len(word) > 2)
    found = begun[:1] or difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {found[0]}?" if found else ""


def _tell(verb: str, message: str) -> None:
    """Prints an error; where ranks train together, what all of them raise is printed by one."""
    if not _among_ranks(verb):
        print(message, file=sys.stderr)
        return
    from cxr_lightning.training.voices import tell

    tell(message)


def _among_ranks(verb: str) -> bool:
    if verb not in ("fit", "features"):
        return False
    group = sys.modules.get("torch.distributed")  # else nothing is loaded that could know better
    if group is not None and group.is_available() and group.is_initialized():
        return bool(group.get_world_size() > 1)
    return int(os.environ.get("WORLD_SIZE", os.environ.get("SLURM_NTASKS", "1"))) > 1


def _hear_signals(verb: str) -> None:
    """Has a training note signals, before anything heavy is loaded: Slurm may signal a job that is still importing.

    What else runs in a job has nothing to save, and USR1 or USR2 would end it for no gain.
    """
    if verb == "fit":
        from cxr_lightning.training.signals import listener

        listener.listen()
    elif "SLURM_JOB_ID" in os.environ:
        for number in (signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)


def _call(name: str, verb: Verb, args: list[str]) -> None:
    function: Callable[..., Any] = getattr(importlib.import_module(verb.module), verb.function)
    if verb.parses:
        function(args)
        return
    from cxr_lightning.options import call

    call(name, function, args)


def _help() -> str:
    width = max(map(len, VERBS)) + 2
    rows = "\n".join(f"  {name:<{width}}{verb.does}" for name, verb in VERBS.items())
    return (
        f"cxr {__version__}: train chest X-ray vision-language models, from reports to weights that serve.\n\n"
        f"usage: cxr VERB [options]\n\n{rows}\n\n`cxr VERB --help` explains a verb; `cxr demo` shows them all at work."
    )
