"""Results in order from any number of threads, bounded, errors in place, threads gone when nobody asks any more."""

from __future__ import annotations

import itertools
import threading
import time

import pytest
import torch

from cxr_lightning.stream.ahead import Ahead

pytestmark = pytest.mark.quick


def alive():
    return [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


@pytest.mark.parametrize("workers", [0, 1, 2, 5])
@pytest.mark.parametrize("items", [0, 1, 3, 20])
def test_results_come_in_order(workers, items):
    def slow_first(item):
        time.sleep(0.002 * (item % 3 == 0))
        return item * item

    loader = Ahead(slow_first, range(items), workers, 2)
    assert len(loader) == items
    assert list(loader) == [item * item for item in range(items)]
    assert list(loader) == [item * item for item in range(items)]
    assert not alive()


def test_no_more_is_made_than_may_be_held():
    begun = itertools.count()
    last = [0]

    def note(item):
        last[0] = next(begun)
        return item

    for item in Ahead(note, range(50), 2, 3):
        time.sleep(0.001)
        assert last[0] - item <= 2 * 3


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_arrives_in_its_place(workers):
    def fail_at_five(item):
        if item == 5:
            raise RuntimeError("five")
        return item

    seen = []
    with pytest.raises(RuntimeError, match="five"):
        seen.extend(Ahead(fail_at_five, range(20), workers, 2))
    steps = iter(Ahead(fail_at_five, range(20), workers, 2))
    seen = [next(steps) for _ in range(5)]
    assert seen == [0, 1, 2, 3, 4]
    with pytest.raises(RuntimeError, match="five"):
        next(steps)
    assert not alive()


def test_threads_end_when_the_consumer_leaves():
    made = []
    steps = iter(Ahead(made.append, range(1000), 2, 2))
    next(steps)
    assert len(alive()) == 2
    steps.close()
    assert not alive()
    assert len(made) < 10


def test_each_thread_has_one_intra_op_thread_and_the_rest_keep_theirs():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        seen = list(Ahead(lambda _: torch.get_num_threads(), range(8), 2, 2))
        others: list[int] = []
        other = threading.Thread(target=lambda: others.append(torch.get_num_threads()))
        other.start()
        other.join()
        assert set(seen) == {1}
        assert torch.get_num_threads() == 3
        assert others == [3]
    finally:
        torch.set_num_threads(before)


def test_it_refuses_what_cannot_work():
    with pytest.raises(ValueError, match=r"--data\.prefetch"):
        Ahead(abs, range(3), 2, 0)
