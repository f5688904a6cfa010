"""Options that count something: looked at before anything is loaded."""

from __future__ import annotations


def require_positive(**options: int | None) -> None:
    """Refuses a count below one.

    Args:
        **options: Each by its option's name; None is not given.

    Raises:
        ValueError: One is below one.
    """
    for name, value in options.items():
        if value is not None and value < 1:
            raise ValueError(f"--{name} {value}: must be 1 or more.")
