"""The rate of a progress bar is readable, fast or slow."""

from __future__ import annotations

import pytest
from rich.progress import Progress

from cxr_lightning.progress import Rate

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("done", "rate", "told"),
    [
        (0, Rate(), ""),
        (40, Rate("studies"), "4.0 studies/s"),
        (40, Rate(minutes=True), "240 a minute"),
        (50_000, Rate(), "5,000/s"),
    ],
)
def test_a_rate_is_told(done, rate, told):
    now = [0.0]
    progress = Progress(get_time=lambda: now[0], disable=True)
    task = progress.add_task("", total=10**6)
    if done:
        for _ in range(2):  # rich counts from the second step on
            progress.update(task, advance=done)
            now[0] += 10.0
    assert rate.render(progress.tasks[0]).plain == told
