"""How fast something long goes: the column of a progress bar that rich lacks."""

from __future__ import annotations

from rich.progress import ProgressColumn, Task
from rich.text import Text

_FEW = 10


class Rate(ProgressColumn):
    """Shows how many a second, or a minute.

    Args:
        unit: What is counted; empty where the bar says it.
        minutes: Count a minute's.
    """

    def __init__(self, unit: str = "", *, minutes: bool = False) -> None:
        super().__init__()
        self._unit, self._minutes = unit, minutes

    def render(self, task: Task) -> Text:
        """Returns the rate of the last while; nothing before there is one."""
        speed = task.finished_speed or task.speed
        if speed is None:
            return Text("")
        speed *= 60 if self._minutes else 1
        many = f"{speed:,.1f}" if speed < _FEW else f"{speed:,.0f}"
        unit = f" {self._unit}" if self._unit else ""
        return Text(f"{many}{unit}{' a minute' if self._minutes else '/s'}", style="progress.data.speed")
