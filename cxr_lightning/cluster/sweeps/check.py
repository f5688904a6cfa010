"""Every trial is parsed by the parser of `cxr fit` before any is submitted: what is wrong is said now, not by a job.

Of the first one, data and model are opened too, as far as that goes without a device: shards, earlier run, processor.
"""

from __future__ import annotations

import contextlib
import io
import os
from argparse import ArgumentError
from collections.abc import Iterator
from typing import Any

import torch
import yaml
from lightning.pytorch.cli import LightningArgumentParser

from cxr_lightning.cluster.sweeps.folder import SweepFolder, write_text
from cxr_lightning.cluster.sweeps.space import Trial
from cxr_lightning.cluster.sweeps.sweep import Sweep, SweepError, as_arguments
from cxr_lightning.training.fit import FitCli, open_cli, quiet

_SHOWN = 4
_FREE = ("trainer.num_nodes", "trainer.devices")
"""What may change when a sweep goes on: it changes no result."""
_NOISE = (
    "Does not validate", "Subtypes:", "Errors:", "Given value", "- Expected a <class 'NoneType'>", "- Problem with",
    "Problem with", 'Parser key "model"',
)  # fmt: skip


class _Checked(FitCli):
    """Parses and derives, and builds nothing."""

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        parser.exit_on_error = False
        super().parse_arguments(parser, args)

    def before_instantiate_classes(self) -> None:
        self.text = self.parser.dump(self.config, skip_validation=True)
        super().before_instantiate_classes()

    def instantiate_classes(self) -> None: ...


class _Opened(_Checked):
    """Opens data and model too, but makes no trainer, for which a login node may lack the device."""

    def instantiate_classes(self) -> None:
        try:
            opened = self.parser.instantiate(self.config)
        except ValueError as error:
            cause = error.__cause__
            raise (error if cause is None else cause) from None
        limit = self.config.trainer.max_steps
        self.steps: int = opened.data.steps if limit < 0 else min(opened.data.steps, limit)


def check(sweep: Sweep, trials: list[Trial], more: list[str], *, opens: bool = True) -> dict[str, str]:
    """Returns the whole configuration of each trial, as YAML.

    Args:
        sweep: The sweep.
        trials: Its trials.
        more: Arguments of `cxr fit` from the command line; they come after the file's, before the trials'.
        opens: Whether to open data and model of the first one.

    Raises:
        SweepError: If `cxr fit` would refuse one.
    """
    quiet()
    base = [*sweep.base(), *more]
    _parse(base, sweep, "what all trials share", _Checked)
    found = {}
    for number, trial in enumerate(trials):
        kind = _Opened if opens and number == 0 else _Checked
        parsed = _parse([*base, *as_arguments(trial.values)], sweep, f"trial {trial.name}", kind)
        if isinstance(parsed, _Opened):
            _require_halves(sweep, parsed.steps)
        text = parsed.text
        config = yaml.safe_load(text)
        if not config["data"].get("validate_samples", 1):
            raise SweepError(
                f"Trial {trial.name}: data.validate_samples is 0, and trials are compared by their validation loss. "
                "Remedy: let it be more."
            )
        found[trial.name] = text
    return found


def _require_halves(sweep: Sweep, steps: int) -> None:
    if sweep.halving is not None and sweep.halving.first >= steps:
        raise SweepError(
            f"halving.first is {sweep.halving.first}, and a run has {steps} steps: none would be stopped. Remedy: set "
            "it well below, or leave halving out."
        )


def keep(folder: SweepFolder, configs: dict[str, str]) -> None:
    """Writes the configurations for the jobs to read; what runs later is what was checked now.

    Raises:
        SweepError: If a trial was begun with another one.
    """
    begun = {name: folder.config(name).read_text() for name in configs if folder.config(name).is_file()}
    for name, before in begun.items():
        changed = _changes(yaml.safe_load(before), yaml.safe_load(configs[name]))
        if changed and folder.submissions(name).exists():
            told = "; ".join(changed[:_SHOWN]) + (" ..." if len(changed) > _SHOWN else "")
            raise SweepError(
                f"{folder.path} was begun with other settings of {name}: {told}. Its trials could not be compared. "
                "Remedy: name another folder, or set them back."
            )
    for name, text in configs.items():
        if name not in begun or not folder.submissions(name).exists():
            write_text(folder.config(name), text)


def _parse(arguments: list[str], sweep: Sweep, what: str, kind: type[_Checked]) -> _Checked:
    said = io.StringIO()
    try:
        with _environment(), contextlib.redirect_stderr(said):
            cli = open_cli([*arguments, *sweep.jobs.arguments()], kind)
    except (ArgumentError, SystemExit) as error:
        raise SweepError(
            f"In {what}: {_plainly(error)}. Remedy: keys and values are those of a configuration of `cxr fit`; "
            "mend it in the sweep's file, or after it on the command line."
        ) from None
    except (ValueError, OSError) as error:
        raise SweepError(f"In {what}: {error}") from None
    assert isinstance(cli, _Checked)
    return cli


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """Puts back what parsing sets for a run of this process: threads, seeds."""
    before, threads = dict(os.environ), torch.get_num_threads()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        torch.set_num_threads(threads)


def _plainly(error: BaseException) -> str:
    """Returns the parser's message without what it says of its own types."""
    lines = [line.strip() for line in str(error).splitlines()]
    kept = [line.removeprefix("- ") for line in lines if line and not line.startswith(_NOISE)]
    return " ".join(kept).rstrip(".")


def _changes(before: Any, after: Any, key: str = "") -> list[str]:
    """Returns which values of two configurations differ; a key that only one has is of another version, or derived."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            change
            for name in before
            if name in after and f"{key}.{name}" not in _FREE
            for change in _changes(before[name], after[name], f"{key}.{name}" if key else name)
        ]
    return [] if before == after else [f"{key} was {before}, now {after}"]
