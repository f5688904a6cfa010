"""Writes the golden losses anew: python -m tests.golden.regenerate. Say in the commit why they changed."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.fitting import losses, options, run_ranks
from tests.golden.studies import make_parts, make_shards
from tests.golden.test_losses import FIXED, GOLDEN


def main() -> None:
    """Runs both stages once and writes their losses."""
    folder = Path(tempfile.mkdtemp())
    shards, parts = make_shards(folder / "studies"), make_parts(folder / "parts")
    first = [*options(1, shards, folder / "stage1", parts), *FIXED]
    second = [*options(2, shards, folder / "stage2"), "--model.init_from", str(folder / "stage1"), *FIXED]
    run_ranks(2, [first, second], folder)
    for stage in (1, 2):
        curve = losses(folder / f"stage{stage}")
        text = "".join(f"{step} {loss:.7f}\n" for step, loss in sorted(curve.items()))
        (GOLDEN / f"stage{stage}.txt").write_text(
            f"# step loss: tiny SigLIP and Llama, 2 CPU ranks, ZeRO-2, float32\n{text}"
        )
        sys.stdout.write(f"stage {stage}\n{text}")


if __name__ == "__main__":
    main()
