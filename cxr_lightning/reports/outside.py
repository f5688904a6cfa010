"""Where something shall be written and what is read enter, whether the one lies in the other leaves.

`--overwrite true` says that OUT may go, not the archive: an OUT that is the input would replace what nobody has twice.
"""

from __future__ import annotations

from pathlib import Path


def lies_in(out: Path, source: Path) -> bool:
    """Tell whether a file that shall be written is the input, or in it; links are followed.

    Args:
        out: The file that shall be written.
        source: The file or folder that is read.
    """
    try:
        written, read = out.resolve(), source.resolve()
    except (OSError, RuntimeError):  # links in a circle lead to no input
        return False
    if written == read or read in written.parents:
        return True
    return out.exists() and source.exists() and out.samefile(source)
