"""`cxr fit`: a LightningCLI whose configuration is the constructors' own types."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import set_parsing_settings
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from rich.console import Console
from transformers.utils.logging import disable_progress_bar

from cxr_lightning.checkpoint import attempts
from cxr_lightning.checkpoint.manifest import is_complete
from cxr_lightning.checkpoint.position import validation_loss
from cxr_lightning.checkpoint.runs import RunError, best_of, checkpoints, newest_checkpoint, resolve, step_of
from cxr_lightning.stream.datamodule import ShardDataModule
from cxr_lightning.stream.order import BatchArithmeticError, accumulation
from cxr_lightning.training.agreement import Agreement
from cxr_lightning.training.board import Board
from cxr_lightning.training.environment import cluster_plugins, limit_threads, ranks_per_node
from cxr_lightning.training.events import Events
from cxr_lightning.training.holding import Holding
from cxr_lightning.training.job import Job
from cxr_lightning.training.monitor import Monitor
from cxr_lightning.training.nonfinite import Nonfinite
from cxr_lightning.training.panels import Panels
from cxr_lightning.training.pausing import Pausing, outcome
from cxr_lightning.training.preemption import Leaving, Preemption, leave
from cxr_lightning.training.profiling import Profiling
from cxr_lightning.training.progress import Progress
from cxr_lightning.training.quarantine import Quarantine
from cxr_lightning.training.record import Record
from cxr_lightning.training.saving import SaveCheckpoints
from cxr_lightning.training.stage import StageModule
from cxr_lightning.training.validating import NEVER, ValidateEvery
from cxr_lightning.training.voices import one_voice
from cxr_lightning.training.watchdog import Watchdog

log = logging.getLogger(__name__)

DEFAULTS: dict[str, Any] = {
    "trainer.max_epochs": 1,
    "trainer.log_every_n_steps": 10,
    "trainer.num_sanity_val_steps": 0,
    "trainer.gradient_clip_val": 1.0,
    "trainer.precision": "32-true",
    "trainer.devices": 1,
    "trainer.strategy": {"class_path": "cxr_lightning.training.zero.ZeroStrategy", "init_args": {"stage": 2}},
    # The stream gives every rank its own samples; Lightning's sampler would divide them once more.
    "trainer.use_distributed_sampler": False,
    "trainer.enable_model_summary": False,
}


_DESCRIPTION = """Train a stage: configs/stage1.yaml aligns the projector, configs/stage2.yaml tunes on instructions.
Before them, if wished, configs/stage0.yaml tunes the language model alone on reports.

Configurations are laid over one another and options over them; the last word wins. --print_config shows what comes out.
Worth knowing first: --data.shards, --model.source.vision, --model.source.language, --model.init_from, --run,
--ckpt_path. The options of --model depend on the stage and are listed apart:
cxr fit --model.help cxr_lightning.training.alignment.AlignmentModule (or ...instruction.InstructionModule,
...language.LanguageModule).
"""


class EpochsBelongToDataError(ValueError):
    """`trainer.max_epochs` was set: passes over the data are counted by the stream, whose position is one counter."""


class FitCli(LightningCLI):
    """Parses `cxr fit`, derives what follows from the rest, and adds what every run has."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds the run directory, saving and panels to Lightning's own options."""
        parser.add_argument("--run", type=str, default="runs/latest", help="Directory that the run leaves behind.")
        parser.add_argument(
            "--ckpt_path",
            type=str | None,
            default=None,
            help="`last` goes on from the run's newest checkpoint, `auto` does so if there is one; "
            "or a checkpoint folder (RUN/checkpoints/best: the one with the lowest validation loss).",
        )
        parser.add_argument(
            "--validate_every_n_steps",
            type=int,
            default=500,
            help="Optimizer steps between validations; after the last step there is always one.",
        )
        parser.add_argument(
            "--pause_after_step",
            type=int | None,
            default=None,
            help="Validate, save and end after this step. The schedule stays that of all steps, and a run without this "
            "option goes on by --ckpt_path auto.",
        )
        parser.add_argument(
            "--profile",
            type=str | None,
            default=None,
            help="First and last step to trace, as in 20:22; the trace comes under RUN/profile.",
        )
        parser.add_class_arguments(SaveCheckpoints, "checkpoint", skip={"run", "validate"}, instantiate=False)
        parser.add_class_arguments(Nonfinite, "nonfinite", skip={"run", "monitor"}, instantiate=False)
        parser.add_class_arguments(Preemption, "preemption", skip={"run", "saving", "validate"}, instantiate=False)
        parser.add_class_arguments(Watchdog, "watchdog", skip={"run"}, instantiate=False)
        parser.add_class_arguments(Panels, "panels", skip={"monitor"}, instantiate=False)
        parser.set_defaults(DEFAULTS)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parses, with a URL taken as text: Lightning has jsonargparse fetch it as if it were a configuration."""
        set_parsing_settings(config_read_mode_fsspec_enabled=False)
        with one_voice():
            super().parse_arguments(parser, args)

    def before_instantiate_classes(self) -> None:
        """Derives what follows from other options, so that they cannot contradict each other."""
        trainer, data = self.config.trainer, self.config.data
        if trainer.max_epochs != 1:
            raise EpochsBelongToDataError(
                f"trainer.max_epochs={trainer.max_epochs}: the stream counts passes over the data. "
                f"Remedy: leave trainer.max_epochs alone and set --data.epochs {trainer.max_epochs}."
            )
        if trainer.accumulate_grad_batches != 1:
            raise BatchArithmeticError(
                f"trainer.accumulate_grad_batches={trainer.accumulate_grad_batches}: the accumulation follows from "
                "global batch, micro-batch (or row tokens) and ranks. Remedy: leave it alone, and set "
                "--data.global_batch, --data.micro_batch or --data.row_tokens."
            )
        per_node = ranks_per_node(trainer.devices, trainer.accelerator)
        limit_threads(per_node, trainer.accelerator)
        trainer.devices = per_node if trainer.devices == "auto" else trainer.devices
        if data.row_tokens is None:  # else it is known once the samples' tokens are: see `StageModule.configure_model`
            accumulation(data.global_batch, data.micro_batch, per_node * trainer.num_nodes)

    def instantiate_classes(self) -> None:
        """Lets an error of ours say what it says, where the parser would list it among types that did not fit."""
        try:
            super().instantiate_classes()
        except ValueError as error:
            if type(error.__cause__).__module__.startswith("cxr_lightning.") and error.__cause__ is not None:
                raise error.__cause__ from None
            raise

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        """Adds logger, callbacks and the cluster's environment."""
        run, validate = self.config.run, ValidateEvery(self.config.validate_every_n_steps)
        quarantine = Quarantine(run)
        monitor = Monitor(run, quarantine)
        saving = SaveCheckpoints(run, validate, **self.config.checkpoint.as_dict())
        callbacks = [
            Agreement(run, self.parser.dump(self.config, skip_validation=True)),
            Holding(run),
            Record(run, self.parser.dump(self.config, skip_validation=True)),
            Nonfinite(run, monitor, **self.config.nonfinite.as_dict()),
            # Before the monitor, which logs their scores and keeps their time out of its figures.
            Panels(**self.config.panels.as_dict(), monitor=monitor),
            monitor,
            Progress(monitor),
            Board(run),
            Profiling(run, self.config.profile),
            quarantine,
            Pausing(self.config.pause_after_step),
            validate,
            Watchdog(run, **self.config.watchdog.as_dict()),
            Preemption(run, saving, validate, **self.config.preemption.as_dict()),
            saving,  # last: it comes after all of a step
        ]
        return super().instantiate_trainer(
            check_val_every_n_epoch=None,
            val_check_interval=NEVER,  # until `validate` says so
            logger=Events(run),
            callbacks=callbacks,
            plugins=cluster_plugins() or None,
            default_root_dir=run,
            **kwargs,
        )


def fit(args: Sequence[str]) -> None:
    """Trains one stage.

    Args:
        args: Command line after `cxr fit`.
    """
    quiet()
    cli = open_cli(args)
    run = Path(cli.config.run)
    checkpoint = where_to_begin(run, cli.config.ckpt_path)
    cli.model.resume_from = None if checkpoint is None else Path(checkpoint)
    if checkpoint is not None and cli.trainer.is_global_zero:
        Console(stderr=True).print(f"Going on from {checkpoint}", soft_wrap=True)
    try:
        cli.trainer.fit(cli.model, datamodule=cli.datamodule, ckpt_path=checkpoint, weights_only=False)
    except Leaving as leaving:
        raise SystemExit(leave(run, leaving, speaks=cli.trainer.is_global_zero)) from None
    except SystemExit:  # Lightning's way out of a second Ctrl-C, with the exit code of a failure
        if not cli.trainer.interrupted:
            raise
        raise SystemExit(130) from None
    if cli.trainer.is_global_zero:
        attempts.end(run, outcome(cli.trainer))
        Console(stderr=True).print(_ending(run, cli.datamodule), soft_wrap=True)


def _ending(run: Path, data: ShardDataModule) -> str:
    """Returns where a training ended, and what can be done with it."""
    complete = checkpoints(run)
    newest, best = complete[-1] if complete else None, best_of(complete)
    if newest is None:
        return f"{run}: done, and nothing was saved."
    told = f"Newest checkpoint: {newest.name}."
    if data.first_step >= data.steps:
        by_data = data.batches.steps(data.epochs)
        bound = "--trainer.max_steps" if data.steps < by_data else "--data.epochs"
        stands = f"The run stands at step {data.first_step} of {data.steps}"
        told = f"{stands}: nothing is left to do. More {bound} go on. {told}"
    if best is not None and best != newest:
        told += f" Best: {best.name} (validation loss {validation_loss(best):.4f}; {run}/checkpoints/best)."
    return f"{told} Next: cxr export {run} --out MODEL"


def open_cli(
    args: Sequence[str], cli_class: type[FitCli] = FitCli, verb: str = "cxr fit", description: str = _DESCRIPTION
) -> FitCli:
    """Parses a command line and builds trainer, model and data; a subclass that builds none checks configurations.

    Args:
        args: Command line after the verb.
        cli_class: What parses it.
        verb: What it is called in the help.
        description: What the help says first.
    """
    return cli_class(
        StageModule,
        ShardDataModule,
        subclass_mode_model=True,
        run=False,
        save_config_callback=None,
        args=list(args),
        seed_everything_default=0,
        auto_configure_optimizers=False,  # the stages have theirs: --model.optim
        parser_kwargs={
            "prog": verb,
            "usage": f"{verb} --config configs/stage1.yaml [--config OVERLAY.yaml ...] [--OPTION VALUE ...]",
            "description": description,
            "allow_abbrev": False,
        },
    )


def where_to_begin(run: Path, wish: str | None) -> str | None:
    """Returns the checkpoint to load, or None to begin at step 0.

    Raises:
        RunError: If the run was begun before and nothing says to go on, or there is nothing to go on from.
    """
    newest, job = newest_checkpoint(run), Job.here()
    if newest is not None and job is not None and job.restarts:
        return str(newest)  # a requeued job says what it said the first time, and is to go on
    if wish is None and newest is not None:
        raise RunError(
            f"The run {run} was begun before (it has {newest.name}). "
            "Remedy: add --ckpt_path last to go on, or name another --run."
        )
    if wish == "last" and newest is None:
        raise RunError(
            f"The run {run} has no complete checkpoint to go on from. Remedy: leave out --ckpt_path, or check --run."
        )
    if wish in (None, "last", "auto"):
        return None if newest is None else str(newest)
    chosen = resolve(Path(wish))
    if not is_complete(chosen):
        raise RunError(f"{chosen} is no complete checkpoint. Remedy: name a folder RUN/checkpoints/step-N, or `last`.")
    if newest is not None and chosen.parent.resolve() != newest.parent.resolve():
        raise RunError(
            f"The run {run} has a history of its own, up to {newest.name}: going on from {chosen} would mix two. "
            "Remedy: name another --run, which begins with that checkpoint."
        )
    if newest is not None and step_of(newest) > step_of(chosen):
        raise RunError(
            f"{chosen.name} is not the newest checkpoint of {run}: going on from it would mix with what came after, "
            f"up to {newest.name}. Remedy: name another --run, which begins with it, or delete the later ones."
        )
    return str(chosen)


def quiet() -> None:
    """Silences notes of the libraries that say nothing about the run; their errors still come through."""
    for name in ("lightning", "lightning.pytorch", "lightning.fabric", "torch.utils.cpp_extension"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for message in _NOTHING_TO_MEND:
        warnings.filterwarnings("ignore", message=message)
    disable_progress_bar()  # each rank would draw its own over the training bar


_NOTHING_TO_MEND = (
    ".*args parameter is intended to run from within Python.*",
    ".*isinstance.treespec, LeafSpec.*",
    ".*torch.distributed.* is deprecated.*",
    ".*srun. command is available on your system.*",
    ".*dataloader is not resumable.*",  # the position is in the checkpoint, not in the loader
    ".*Total length of .* across ranks is zero.*",  # an empty validation split
    ".*does not have many workers.*",
    ".*in eval mode at the start of training.*",  # what is frozen: see `StageModule.train`
    ".*smaller than the logging interval.*",
    ".*You have overridden .on_after_batch_transfer. in .LightningModule.*",  # ours is the only one
)
