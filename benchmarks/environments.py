"""Virtual environments of alternatives, made on demand under benchmarks/.envs; they see the packages of this one."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from rich.console import Console

FOLDER = Path(__file__).parent / ".envs"


def python_of(package: str) -> Path:
    """Returns the interpreter of a package's environment, which is made if it is not there.

    Args:
        package: Its name; empty for this environment.
    """
    if not package:
        return Path(sys.executable)
    folder = FOLDER / package
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        Console(stderr=True).print(f"[dim]making {folder.relative_to(FOLDER.parent.parent)}[/]")
        venv.create(folder, with_pip=False, clear=True)
        packages = next((folder / "lib").glob("python*/site-packages"))
        (packages / "running.pth").write_text(sysconfig.get_paths()["purelib"])
        subprocess.run([python, "-m", "pip", "install", "-q", package], check=True)
        (folder / "ready").touch()
    return python
