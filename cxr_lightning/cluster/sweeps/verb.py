"""`cxr sweep FILE` starts a sweep or goes on with it; `cxr sweep status SWEEP` and `report SWEEP` look at it."""

from __future__ import annotations

import argparse
import logging
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live

from cxr_lightning.cluster.sweeps.folder import SweepFolder
from cxr_lightning.cluster.sweeps.halving import Halving
from cxr_lightning.cluster.sweeps.liveness import QueueError
from cxr_lightning.cluster.sweeps.space import Trial
from cxr_lightning.cluster.sweeps.standing import Standing, look
from cxr_lightning.cluster.sweeps.sweep import Sweep, SweepError, read_sweep
from cxr_lightning.cluster.sweeps.table import by_loss, counts, failures, heading, standing_table, trial_table

log = logging.getLogger(__name__)

_DESCRIPTION = """Start the trials of a sweep, at most so many at once, and follow them to their end.
The same command goes on with a sweep that was begun: what is done stays, what runs is taken over."""
_MORE = """other options go to `cxr fit`, for all trials, as in --data.shards SHARDS.

  cxr sweep status SWEEP    where its trials stand
  cxr sweep report SWEEP    what came of it: table, report.png, report.json, best.yaml"""


def sweep(args: Sequence[str]) -> None:
    """Start the trials of a sweep, at most so many at once, and follow them to their end.

    Args:
        args: Command line after `cxr sweep`.
    """
    if args and args[0] in ("status", "report"):
        _look_at(args[0], args[1:])
    else:
        _start(*arguments(args))


def arguments(args: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Returns the options of a sweep, and those that go on to `cxr fit`.

    Args:
        args: Command line after `cxr sweep`, beginning with the file.
    """
    parser = argparse.ArgumentParser(
        prog="cxr sweep",
        usage="cxr sweep FILE [options] [--OPTION VALUE ...]",
        description=_DESCRIPTION,
        epilog=_MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    flag: dict[str, Any] = {"nargs": "?", "const": True, "type": _true, "metavar": "true|false"}
    parser.add_argument("file", type=Path, metavar="FILE", help="What to try, as in configs/sweep.yaml.")
    parser.add_argument("--folder", help="Where everything goes, if not where the file says.")
    parser.add_argument("--parallel", type=int, help="How many jobs may run at once, if not as many as the file says.")
    parser.add_argument("--dry_run", default=False, help="Check all trials and print them; submit none.", **flag)
    parser.add_argument("--retry_failed", default=False, help="Try those once more that failed before.", **flag)
    parser.add_argument("--wait", default=True, help="Follow the trials to their end (default true).", **flag)
    parser.add_argument("--poll", type=float, help="Seconds between looks (default 10 with Slurm, 2 without).")
    return parser.parse_known_args(list(args))


def _start(options: argparse.Namespace, more: list[str]) -> None:
    changes = {name: value for name in ("folder", "parallel") if (value := getattr(options, name)) is not None}
    asked = read_sweep(options.file, changes)
    trials = asked.trials()
    asked.jobs.require_possible()
    from cxr_lightning.cluster.sweeps.check import check, keep  # imports all that a fit does

    configs = check(asked, trials, more)
    folder = SweepFolder(asked.folder.absolute())
    if options.dry_run:
        console = Console()
        console.print(f"{len(trials)} trials, {_given(asked)}", soft_wrap=True)
        console.print(trial_table(trials))
        return
    with folder.held():
        _require_same_halving(folder, asked)
        keep(folder, configs)
        folder.write(
            {
                "command": shlex.join(["cxr", "sweep", str(options.file), *more]),
                "sweep": asked.to_json(),
                "trials": [{"name": trial.name, "values": trial.values} for trial in trials],
            }
        )
        _follow(folder, asked, trials, options)


def _given(asked: Sweep) -> str:
    """Returns what each job is given, in a few words."""
    jobs = asked.jobs
    where = f"Slurm, {jobs.time} each" if jobs.on_slurm else "this machine"
    gpus = f" x {jobs.gpus_per_node} GPUs" if jobs.gpus_per_node else ""
    return (
        f"{asked.parallel} at once on {where}: {jobs.nodes} nodes x {jobs.tasks_per_node} ranks{gpus}; {asked.folder}"
    )


def _require_same_halving(folder: SweepFolder, asked: Sweep) -> None:
    """Refuses other rungs for trials that stand on the old ones.

    Raises:
        SweepError: If the sweep was begun with them.
    """
    if folder.record.exists() and folder.read()["sweep"]["halving"] != asked.to_json()["halving"]:
        raise SweepError(
            f"{folder.path} was begun with other settings of halving: {folder.read()['sweep']['halving']}. "
            "Remedy: set them back, or name another folder."
        )


def _follow(folder: SweepFolder, asked: Sweep, trials: list[Trial], options: argparse.Namespace) -> None:
    from cxr_lightning.cluster.sweeps.course import Course
    from cxr_lightning.cluster.sweeps.report import write_report

    course = Course(folder, asked, trials, options.retry_failed)
    console = Console(stderr=True)
    pause = options.poll or (10.0 if asked.jobs.on_slurm else 2.0)
    standings: list[Standing] = []
    try:
        with Progress(console, folder) as progress:
            while True:
                try:
                    standings, submitted = course.turn()
                except QueueError as error:  # a controller may be away for a while
                    progress.say(str(error))
                    submitted = 1
                progress.show(standings)
                if not options.wait or not (submitted or any(each.live for each in standings)):
                    break
                time.sleep(pause)
    except KeyboardInterrupt:
        course.end_processes()
        _say_how_it_goes_on(console, folder, standings)
        raise
    if not options.wait:
        _say_how_it_goes_on(console, folder, look(folder, trials))
        return
    write_report(folder, folder.read(), standings, Console())
    if not any(each.state == "done" for each in standings):
        raise SweepError(
            f"{folder.path}: no trial came to its end. Remedy: the reasons stand above, beside each trial."
        )


def _say_how_it_goes_on(console: Console, folder: SweepFolder, standings: Sequence[Standing]) -> None:
    jobs = sorted({each.job.partition("_")[0] for each in standings if each.live and each.job})
    slurm = f" Jobs {', '.join(jobs)} go on without it (scancel ends them)." if jobs else ""
    console.print(
        f"{folder.path}: {counts(standings)}.{slurm} The same command goes on; `cxr sweep status {folder.path}` looks.",
        soft_wrap=True,
    )


def _look_at(what: str, args: Sequence[str]) -> None:
    told = {"status": "Show where the trials stand.", "report": "Show what came of it, and write it into the folder."}
    parser = argparse.ArgumentParser(prog=f"cxr sweep {what}", description=told[what], allow_abbrev=False)
    parser.add_argument("sweep", type=Path, metavar="SWEEP", help="The sweep's folder, or its file.")
    chosen: Path = parser.parse_args(list(args)).sweep
    folder = SweepFolder((read_sweep(chosen, {}).folder if chosen.is_file() else chosen).absolute())
    record = folder.read()
    from cxr_lightning.cluster.sweeps.course import judge
    from cxr_lightning.cluster.sweeps.report import write_report

    halving = record["sweep"]["halving"]
    trials = [Trial(each["name"], each["values"]) for each in record["trials"]]
    standings, _ = judge(look(folder, trials), None if halving is None else Halving(**halving))
    if what == "report":
        write_report(folder, record, standings, Console())
        return
    console = Console()
    console.print(heading(folder, standings), soft_wrap=True)
    console.print(standing_table(standings))
    console.print(failures(standings), soft_wrap=True, end="")


class Progress:
    """Shows a sweep under way: a table that changes for eyes, a line for each change in a log.

    Args:
        console: Where to.
        folder: The sweep's.
    """

    def __init__(self, console: Console, folder: SweepFolder) -> None:
        self.console, self.folder = console, folder
        self._live = Live(console=console, transient=True, auto_refresh=False) if console.is_terminal else None
        self._before: dict[str, str] = {}

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, standings: Sequence[Standing]) -> None:
        """Shows where trials stand now."""
        if self._live:
            self._live.update(Group(heading(self.folder, standings), standing_table(by_loss(standings))))
            self._live.refresh()
            return
        for each in standings:
            if self._before.get(each.name) != each.state:
                job = f" (job {each.job})" if each.live and each.job else ""
                reason = f": {each.reason}" if each.reason else ""
                self.console.print(f"{each.name}: {each.state}{job}{reason}", soft_wrap=True, highlight=False)
            self._before[each.name] = each.state

    def say(self, words: str) -> None:
        """Says something beside the table."""
        self.console.print(words, soft_wrap=True)


def _true(word: str) -> bool:
    if word not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{word!r} is neither true nor false")
    return word == "true"
