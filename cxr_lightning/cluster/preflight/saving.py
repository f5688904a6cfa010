"""How large a checkpoint will be: as the run's last one, or as what will learn, counted without reading weights."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from cxr_lightning.checkpoint.runs import newest_checkpoint
from cxr_lightning.cluster.planning.asking import Asked
from cxr_lightning.cluster.planning.outline import outline
from cxr_lightning.cluster.planning.sharing import MASTER, MOMENT
from cxr_lightning.cluster.preflight.finding import told
from cxr_lightning.model.compute import Compute

log = logging.getLogger(__name__)


def checkpoint_size(run: Path, config: Any) -> int:
    """Returns the bytes of a checkpoint, roughly; 0 where the model cannot be counted without its weights.

    Args:
        run: The run directory.
        config: The parsed command line.
    """
    newest = newest_checkpoint(run)
    if newest is not None:
        return sum(file.stat().st_size for file in newest.iterdir())
    asked = Asked(config)
    try:
        sizes = outline(
            asked.described, None, dtype=asked.dtype, device=asked.device, divided=False, compute=Compute()
        ).sizes
    except (
        Exception
    ) as error:  # no config.json here, or a family that only its weights describe: the model's check says
        log.debug("the model cannot be counted: %s", told(error))
        return 0
    number = asked.dtype.itemsize
    return sizes.saved * number + sizes.learning * (2 * MOMENT + MASTER * (number < MASTER))
