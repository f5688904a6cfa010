"""`cxr features`: the command line of a `cxr fit` enters, the features of its frozen vision tower leave."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

import torch
from rich.console import Console
from rich.table import Table

from cxr_lightning.model.features import FrozenFeaturesError, Tower, open_tower
from cxr_lightning.stream.datamodule import ShardDataModule
from cxr_lightning.stream.features import FeatureFolder, ShardFeatures
from cxr_lightning.stream.pixels import Pixels
from cxr_lightning.stream.records import FeaturesError
from cxr_lightning.training.caching import TAUGHT, fill, require_frozen
from cxr_lightning.training.environment import limit_threads
from cxr_lightning.training.fit import FitCli, open_cli, quiet
from cxr_lightning.training.precision import computed_in, stored_in
from cxr_lightning.training.stage import StageModule
from cxr_lightning.training.staging import stage_shards

log = logging.getLogger(__name__)

_DESCRIPTION = """Compute a frozen vision tower's features once, for all fits that read them.

Take the command line of the fit, write features for fit, and name a folder: --data.features DIR. The same fit with
--data.features DIR then reads them instead of decoding images and running the tower. (It would also compute what lacks
by itself; this verb does it on another machine, without the language model, or ahead of time.)
Settings that make the features others (tower, layer, precision, --data.decode) are held against the folder; those of
the training are ignored. What is complete is checked and kept: a killed command goes on where it was.
Several processes divide the shards: torchrun --nproc-per-node 8 -m cxr_lightning features ..., or srun cxr features ...
"""


class FeaturesCli(FitCli):
    """Builds model and data of a fit, and no trainer."""

    def before_instantiate_classes(self) -> None:
        """Derives nothing: how a fit divides its batches does not matter."""

    def instantiate_trainer(self, **kwargs: object) -> None:
        """Builds none."""


def features(args: Sequence[str]) -> None:
    """Compute a frozen vision tower's features once, for all fits that read them.

    Args:
        args: Command line after `cxr features`: that of a `cxr fit`.

    Raises:
        FeaturesError: If no folder is named, or it holds other features.
        FrozenFeaturesError: If features cannot be kept for this model.
    """
    quiet()
    cli = open_cli(args, FeaturesCli, "cxr features", _DESCRIPTION)
    data, module, trainer = cli.datamodule, cli.model, cli.config.trainer
    if data.features is None:
        raise FeaturesError("No folder is named for the features. Remedy: add --data.features DIR.")
    rank, ranks = place()
    limit_threads(int(os.environ.get("LOCAL_WORLD_SIZE", "1")), trainer.accelerator)
    dtype = computed_in(trainer.precision)
    tower, pixels = _tower(module, stored_in(trainer.precision)), Pixels(module.processor.image_processor, data.decode)
    stage_shards(data, 0, speaks=rank == 0)
    _drop_damaged(data, data.features, (rank, ranks))
    files = fill(data, tower, pixels, dtype, _device(trainer.accelerator), (rank, ranks))
    _tell(data.features, files)


def place() -> tuple[int, int]:
    """Returns which process this is, and how many torchrun or srun started."""
    for number, count in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")):
        if number in os.environ and count in os.environ:
            return int(os.environ[number]), int(os.environ[count])
    return 0, 1


def _tower(module: StageModule, dtype: torch.dtype) -> Tower:
    earlier = None if module.inherits is None else module.inherits.provenance
    while earlier is not None:
        if earlier["trainable"]["vision"] != "frozen":
            raise FrozenFeaturesError(TAUGHT)
        earlier = (earlier["inherits"] or {}).get("provenance")
    require_frozen(module.trainable)
    return open_tower(module.source, module.processor, dtype)


def _device(accelerator: str) -> torch.device:
    if accelerator == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    local = int(os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0")))
    return torch.device("cuda", local % torch.cuda.device_count())


def _drop_damaged(data: ShardDataModule, folder: FeatureFolder, share: tuple[int, int]) -> None:
    """Deletes this process's files that are not what was written, to be made again."""
    if folder.remote or not folder.begun:
        return
    rank, ranks = share
    complete = folder.complete(data.feature_files()[rank::ranks])
    for file in complete:
        if folder.damaged(file):
            log.warning("%s is damaged, and is made again", file.name)
            folder.delete(file)


def _tell(folder: FeatureFolder, files: Sequence[ShardFeatures]) -> None:
    """Prints what there is now."""
    complete = folder.complete(files)
    images = sum(file.records for file in complete)
    blank = {} if folder.remote else {file.name: found for file in complete if (found := folder.blanks(file))}
    grid = Table(title=f"Features in {folder.shown}", title_justify="left", show_header=False)
    grid.add_row("files", f"{len(complete)} of {len(files)}")
    grid.add_row("images", f"{images:,}")
    grid.add_row("each", f"{folder.form.record.itemsize / 1e6:.3g} MB: {folder.form}")
    grid.add_row("all", f"{images * folder.form.record.itemsize / 1e9:.3g} GB")
    if blank:
        grid.add_row("left blank", f"{sum(blank.values())} images of unusable samples, in {', '.join(sorted(blank))}")
    Console(stderr=True).print(grid)
