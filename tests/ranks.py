"""Several fits in one group of ranks, so that they share the seconds that libraries take to import.

python -m torch.distributed.run --nproc-per-node 2 tests/ranks.py FITS.json

FITS.json holds a list of argument lists for `cxr fit`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

if __name__ == "__main__":
    from cxr_lightning.training.fit import fit

    for arguments in json.loads(Path(sys.argv[1]).read_text()):
        fit(arguments)
