"""What TensorBoard is told of a run beside its figures: the choices it was made with, and from which step it went on.

Choices and outcome stand in its HParams tab, where the runs of a sweep compare. They are in an event file of their own:
the tab takes the first it finds of a run, so a run that goes on writes that file anew. The outcome is not copied there:
the tab reads it from the curves, hence it is right for running and for killed runs as well.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from torch.utils.tensorboard.writer import FileWriter

from cxr_lightning.model.families import ROLES
from cxr_lightning.training.events import FOLDER, Events
from cxr_lightning.training.window import set_names

_SUFFIX = ".hparams"
_OUTCOMES = ("validate/best_loss", "validate/loss", "train/loss", "speed/samples_per_s")


class Board(pl.Callback):
    """Writes choices when a run begins and how it ended when it ends.

    Args:
        run: The run directory.
    """

    def __init__(self, run: str) -> None:
        self.folder = Path(run) / FOLDER
        self._writer: FileWriter | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Writes the choices; of a run that goes on, tells TensorBoard which steps are made again."""
        if not trainer.is_global_zero:
            return
        for logger in trainer.loggers:
            if isinstance(logger, Events):
                logger.begun = True
        if trainer.global_step:
            again = Event(session_log=SessionLog(status=SessionLog.START))
            for logger in trainer.loggers:
                writer: Any = logger.experiment
                writer._get_file_writer().add_event(again, trainer.global_step + 1)
        for earlier in self.folder.glob(f"*{_SUFFIX}"):
            earlier.unlink()
        chosen = choices(trainer, pl_module)
        self._writer = FileWriter(str(self.folder), filename_suffix=_SUFFIX)
        begin = SessionStartInfo(start_time_secs=time.time())
        for place, (name, value) in enumerate(chosen.items()):
            kind = "string_value" if isinstance(value, str) else "number_value"
            setattr(begin.hparams[_key(place, name)], kind, value)
        self._write(metadata.EXPERIMENT_TAG, experiment=_experiment(chosen))
        self._write(metadata.SESSION_START_INFO_TAG, session_start_info=begin)
        self._writer.flush()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Notes that the run came to its end."""
        self._end(api_pb2.STATUS_SUCCESS)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Notes that it did not."""
        self._end(api_pb2.STATUS_FAILURE)

    def _end(self, status: int) -> None:
        if self._writer is None:
            return
        end = SessionEndInfo(status=status, end_time_secs=time.time())
        with contextlib.suppress(OSError):  # on a full disk; nothing else is to be kept from its end
            self._write(metadata.SESSION_END_INFO_TAG, session_end_info=end)
            self._writer.close()
        self._writer = None

    def _write(self, tag: str, **content: Any) -> None:
        assert self._writer is not None
        data = HParamsPluginData(version=metadata.PLUGIN_DATA_VERSION, **content)
        described = metadata.create_summary_metadata(data)
        value = Summary.Value(tag=tag, metadata=described, tensor=metadata.NULL_TENSOR)
        self._writer.add_summary(Summary(value=[value]))


def choices(trainer: pl.Trainer, module: Any) -> dict[str, str | float]:
    """Returns the choices of a run by name; of all runs the same names, for TensorBoard shows those of one of them."""
    data: Any = trainer.datamodule
    source, loras, strategy = module.source, module.loras, trainer.strategy
    lora, vision_lora = (loras.get(role) for role in ("language", "vision"))
    names = (source.base, source.vision, source.language)
    learn: dict[str, str] = {role: module.trainable.choice(role) for role in ROLES}
    rates: dict[str, float] = {
        f"lr {role}": 0.0 if how == "frozen" else module.optim.rate(role) for role, how in learn.items()
    }
    return {  # TensorBoard shows the first five unasked
        "lr": module.optim.lr,
        "global batch": data.global_batch,
        "language": learn["language"],
        "lora rank": 0 if lora is None else lora.rank,
        "model": " + ".join(Path(name).name for name in names if name is not None),
        "stage": module.stage,
        "data": " + ".join(set_names([each.path for each in data.sets.sets])),
        **learn,
        **rates,
        "warmup": module.optim.warmup,
        "weight decay": module.optim.weight_decay,
        "lora alpha": 0 if lora is None else lora.alpha,
        "vision lora rank": 0 if vision_lora is None else vision_lora.rank,
        "steps": data.steps,
        "max tokens": data.max_tokens,
        "ranks": trainer.world_size,
        "ZeRO": float(getattr(strategy, "config", {}).get("zero_optimization", {}).get("stage", 0)),
        "precision": str(trainer.precision),
        "seed": data.seed,
    }


def _key(place: int, name: str) -> str:
    """Returns the key of a choice: TensorBoard sorts by it, and shows the name."""
    return f"{place:02} {name}"


def _experiment(chosen: dict[str, str | float]) -> Any:
    text, number = api_pb2.DATA_TYPE_STRING, api_pb2.DATA_TYPE_FLOAT64
    names = [
        api_pb2.HParamInfo(name=_key(place, name), display_name=name, type=text if isinstance(value, str) else number)
        for place, (name, value) in enumerate(chosen.items())
    ]
    outcomes = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag)) for tag in _OUTCOMES]
    return api_pb2.Experiment(hparam_infos=names, metric_infos=outcomes, time_created_secs=time.time())
