"""Several looks in one Slurm step, so that they share the seconds that libraries take to import.

    srun python -m tests.slurm.preflights LOOKS.json

LOOKS.json holds a list: the arguments of `cxr preflight` that all ranks get, a port, the file that rank 0 writes what
is printed to, how long a disk may lag, and what is different about some ranks: arguments, environment, files of their
own, another copy of the package, or not to come.
Beside that file each rank leaves its exit status, as FILE.RANK.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import cxr_lightning
from cxr_lightning.cluster.preflight import session, verb


def _look(look: dict[str, Any], rank: int) -> None:
    output = os.open(f"{look['output']}.told-{rank}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    odd = look.get("apart", {}).get(str(rank), {})
    os.environ.update({"MASTER_PORT": str(look["port"]), **odd.get("environment", {})})
    for there in odd.get("copies", []):
        shutil.copytree(there, Path("/dev/shm") / Path(there).name, dirs_exist_ok=True)
    if "package" in odd:  # what this rank would have imported from another checkout
        cxr_lightning.__file__ = odd["package"]
    session._LAG = look.get("lag", session._LAG)
    status = 1
    try:
        verb.preflight([*look["arguments"], *odd.get("arguments", [])])
        status = 0
    except SystemExit as ending:
        status = int(ending.code or 0)
    finally:
        sys.stdout.flush()
        os._exit(status)


def main() -> None:
    rank = int(os.environ["SLURM_PROCID"])
    for look in json.loads(Path(sys.argv[1]).read_text()):
        if rank in look.get("absent", []):
            continue
        child = os.fork()
        if child == 0:
            _look(look, rank)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        Path(f"{look['output']}.{rank}").write_text(str(status))


if __name__ == "__main__":
    main()
