"""No faster than a server allows, and not at all while it says that it is busy."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace

import pytest

from cxr_lightning.endpoint.pace import Pace
from cxr_lightning.endpoint.trouble import pause

pytestmark = pytest.mark.quick


def let_through(pace: Pace, many: int, tokens: float = 0.0) -> list[float]:
    begun, times, closing = time.monotonic(), list[float](), threading.Event()

    def pass_by() -> None:
        pace.wait(tokens, closing)
        times.append(time.monotonic() - begun)

    threads = [threading.Thread(target=pass_by) for _ in range(many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(times)


def test_requests_are_spaced():
    times = let_through(Pace(requests=1200), 5)
    assert all(at >= 0.05 * place - 0.001 for place, at in enumerate(times))


def test_tokens_are_spaced_and_the_stricter_limit_counts():
    times = let_through(Pace(requests=1e6, tokens=60_000), 4, tokens=50)
    assert times[-1] >= 0.149


def test_who_knows_no_limit_does_not_wait():
    assert let_through(Pace(), 50)[-1] < 2


def test_all_wait_while_the_server_is_busy_also_those_that_wait_already():
    pace = Pace(requests=150)  # 0.4 s apart
    threading.Timer(0.2, pace.hold, [0.8]).start()
    times = let_through(pace, 2)
    assert times[0] < 0.8, "went before the server was busy"
    assert times[1] >= 0.9, "waited already, for less"


def test_the_end_is_not_waited_for():
    pace, closing = Pace(), threading.Event()
    pace.hold(60)
    threading.Timer(0.02, closing.set).start()
    begun = time.monotonic()
    pace.wait(0, closing)
    assert time.monotonic() - begun < 20


def _error(wish: str) -> Exception:
    error = ValueError()
    error.response = SimpleNamespace(headers={"retry-after": wish})  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("wish", "least", "most"),
    [
        ("3", 3, 3),
        ("0.5", 0.5, 0.5),
        ("-1", 0, 0),
        ("1000", 30, 30),
        ("nan", 2, 2),
        ("soon", 2, 2),
        ("Tue, 31 Feb", 2, 2),
        (format_datetime(datetime.now(UTC) + timedelta(hours=20), usegmt=True), 30, 30),
        (format_datetime(datetime.now(UTC) - timedelta(seconds=20), usegmt=True), 0, 0),
    ],
)
def test_what_a_server_wishes_is_seconds_or_a_date(wish, least, most):
    assert least <= pause(_error(wish), failures=3) <= most


def test_a_longer_wait_may_be_allowed():
    assert pause(_error("90"), failures=1, longest=120) == 90
