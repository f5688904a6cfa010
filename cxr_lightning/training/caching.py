"""Training from a frozen tower's features: what lacks is computed by all ranks first, then the tower makes room.

`cxr features` fills a folder by the same function, so that both write the same files.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cxr_lightning.checkpoint.writing import gather
from cxr_lightning.model.families import role_of
from cxr_lightning.model.features import FrozenFeaturesError, Tower, identity, made_with, replace_tower, tower_of
from cxr_lightning.model.keeping import Keeper
from cxr_lightning.model.trainable import Trainable
from cxr_lightning.shards.storage import StorageError
from cxr_lightning.stream.datamodule import ShardDataModule
from cxr_lightning.stream.features import FeatureFolder, ShardFeatures
from cxr_lightning.stream.pixels import Pixels
from cxr_lightning.stream.records import FeaturesError
from cxr_lightning.training.precision import computed_in
from cxr_lightning.training.pulse import taking_time

if TYPE_CHECKING:
    from cxr_lightning.training.stage import StageModule

log = logging.getLogger(__name__)

_Result = TypeVar("_Result")
_SHARES = timedelta(days=7)
"""How long the quickest rank may wait for the slowest; one whose process ends is noticed at once."""


def train_from_features(module: StageModule, model: Any) -> None:
    """Puts features in the tower's place, where `--data.features` names some; computes those that lack.

    Args:
        module: The stage.
        model: Its model, with all weights that it begins with.

    Raises:
        FrozenFeaturesError: If the tower learns, or cannot be kept apart.
        FeaturesError: If the folder holds other features, or cannot be completed.
    """
    trainer = module.trainer
    data: ShardDataModule = trainer.datamodule
    if data.features is None:
        return
    assert module.family is not None
    if not module.sees:
        raise FrozenFeaturesError(
            f"The {module.stage} stage looks at no images, so it has no use for features. Remedy: leave out "
            "--data.features."
        )
    require_frozen(module.trainable)
    if any(role_of(name, module.family) == "vision" for name in module.inherited_names):
        raise FrozenFeaturesError(TAUGHT)
    tower, dtype = tower_of(model), computed_in(trainer.precision)
    place = (trainer.global_rank, trainer.world_size)
    # Together: no rank reads what is not there yet.
    files = together(lambda: fill(data, tower, data.encoder.pixels, dtype, trainer.strategy.root_device, place))
    require_seen_by_all(data.features, files)
    form = data.features.form
    replace_tower(model, tower, data.encoder.pixels)
    data.encoder.blank = torch.zeros((1, *form.shape), dtype=form.dtype)


TAUGHT = (
    "The run to begin with has taught its vision tower: the features would be those of another. Remedy: export that "
    "run and name the result as --model.source.base, or leave out --data.features."
)


def together(action: Callable[[], _Result], error: type[ValueError] = FeaturesError) -> _Result:
    """Does what takes ranks unequally long, and returns this rank's result; all ranks call it together.

    They wait in a group of their own: the usual one takes a rank for lost after `strategy.timeout_minutes`.

    Args:
        action: What to do; it may not talk to other ranks.
        error: What is raised if it failed on any rank.
    """
    group = dist.new_group(backend="gloo", timeout=_SHARES) if dist.is_initialized() else None
    done: list[_Result] = []
    failure: Exception | None = None
    with taking_time():
        try:
            done.append(action())
        except Exception as raised:  # whatever it is: the others wait
            failure = raised
        wrong = next(filter(None, gather(_told(failure), group)), "")
    if group is not None:
        dist.destroy_process_group(group)
    if wrong:
        raise error(wrong) from failure
    return done[0]


def _told(error: Exception | None) -> str:
    """Returns what an error says, never nothing; ours are written for people, others need their name."""
    if error is None:
        return ""
    named = f"{type(error).__name__}: {error}"
    return str(error) or named if isinstance(error, (ValueError, OSError)) else named


def require_frozen(trainable: Trainable) -> None:
    """Refuses features of a tower that learns.

    Raises:
        FrozenFeaturesError: If it does.
    """
    if trainable.vision != "frozen":
        raise FrozenFeaturesError(
            f"--model.trainable.vision is {trainable.vision}: a tower that learns has other features after every step. "
            "Remedy: freeze it, or leave out --data.features."
        )


def require_seen_by_all(folder: FeatureFolder, files: Sequence[ShardFeatures], patience: float = 60.0) -> None:
    """Waits until this rank sees the files that any rank sees; all ranks call it together.

    Args:
        folder: The features.
        files: Those that the training reads.
        patience: Seconds to wait, for file systems that lag behind.

    Raises:
        FeaturesError: If a rank does not see them in the end.
    """
    there = frozenset(chain.from_iterable(gather([file.name for file in folder.complete(files)])))
    wanted, end = [file for file in files if file.name in there], time.monotonic() + patience
    while (lacking := len(wanted) - len(folder.complete(wanted))) and time.monotonic() < end:
        time.sleep(1.0)
    if any(gather(lacking)):
        raise FeaturesError(
            f"{folder.shown}: not all ranks see the files that others wrote. Remedy: give --data.features a folder on "
            "a disk that all nodes share, or fill one on each node with `cxr features` first."
        )


def fill(
    data: ShardDataModule,
    tower: Tower,
    pixels: Pixels,
    dtype: torch.dtype,
    device: torch.device | str,
    place: tuple[int, int],
) -> list[ShardFeatures]:
    """Computes this rank's share of the files that lack; those of other ranks may lack still.

    Args:
        data: The shards, and the folder of features.
        tower: What computes, its weights in the data type of storage.
        pixels: What prepares images for it.
        dtype: What it computes in.
        device: Where.
        place: This rank, and how many there are.

    Returns:
        All files that the training reads.

    Raises:
        FeaturesError: If the folder holds other features, or lies where nothing can be written.
        StorageError: If shards cannot be read.
    """
    folder, files = data.features, data.feature_files()
    assert folder is not None
    known = identity(tower, pixels, dtype)
    begun = folder.begun
    if begun:
        folder.require(known)
    there = {file.name for file in folder.complete(files)} if begun else set()
    if len(there) == len(files):
        return files
    if folder.remote:
        raise FeaturesError(
            f"{folder.shown}: there are no features, and none are written into remote storage. Remedy: run `cxr "
            "features` with --data.features on a disk, copy the folder, and give its URL."
        )
    tower = tower.to(dtype, device)
    if not begun:
        folder.describe(known, tower.form(pixels), made_with())
    rank, ranks = place
    mine = [file for number, file in enumerate(files) if number % ranks == rank and file.name not in there]
    readers = {split: data.reader(split) for split in {file.split.name for file in mine}}
    keeper = Keeper(folder, tower, pixels, data.micro_batch, data.workers)
    with _progress(mine, shown=rank == 0) as told:
        for file in mine:
            try:
                keeper.keep(file, readers[file.split.name], told)
            except StorageError as error:
                if not error.missing:
                    raise
                log.warning("%s: its samples have no features, and will be skipped", error)
    return files


@contextmanager
def _progress(files: Sequence[ShardFeatures], *, shown: bool) -> Iterator[Any]:
    columns = (TextColumn("features"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not (shown and files and console.is_terminal)) as progress:
        bar = progress.add_task("features", total=sum(file.records for file in files))
        yield lambda images: progress.advance(bar, images)
