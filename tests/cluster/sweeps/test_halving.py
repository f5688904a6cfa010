"""Who goes on: whatever the order in which jobs end, the cap, and who fails."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxr_lightning.cluster.sweeps.halving import WHOLE, Halving, HalvingError, Runner, plan

pytestmark = pytest.mark.quick


class Simulation:
    """Trials whose losses are known, run by the plan in an order that chance gives."""

    def __init__(self, losses, halving, total, cap, chance, failing=()):
        self.losses, self.halving, self.total, self.cap, self.chance = losses, halving, total, cap, chance
        self.failing = failing
        self.step = dict.fromkeys(losses, 0)
        self.sent = dict.fromkeys(losses, -1)
        self.failed: set[str] = set()

    def runners(self) -> list[Runner]:
        return [self._runner(name) for name in self.losses]

    def _runner(self, name):
        rungs = [step for rung in range(20) if (step := self.halving.step(rung)) < self.total]
        losses = [self.losses[name] + 1 / step for step in rungs if step <= self.step[name]]
        done = self.step[name] >= self.total
        losses += [self.losses[name]] * done
        return Runner(name, tuple(losses), self.sent[name], done, name in self.failed)

    def run(self):
        live: dict[str, int] = {}
        while True:
            decided = plan(self.runners(), self.halving)
            for name, rung in decided.rungs.items():
                target = min(self.halving.step(rung) or self.total, self.total)
                idle = name not in live and name not in self.failed
                if idle and self.step[name] < target and len(live) < self.cap:
                    live[name], self.sent[name] = target, rung
            if not live:
                return decided
            name = self.chance.choice(sorted(live))
            target = live.pop(name)
            if name in self.failing:
                self.failed.add(name)
            else:
                self.step[name] = target

    def done(self) -> set[str]:
        return {name for name, step in self.step.items() if step >= self.total}


@st.composite
def simulations(draw, asynchronous):
    chance = random.Random(draw(st.integers(0, 2**32)))
    names = [f"t{number:02}" for number in range(draw(st.integers(1, 20)))]
    failing = {name for name in names if chance.random() < draw(st.sampled_from([0, 0.2]))}
    losses = {name: math.nan if chance.random() < 0.1 else chance.random() for name in names}
    halving = Halving(draw(st.integers(1, 5)), draw(st.integers(2, 4)), asynchronous)
    return Simulation(losses, halving, draw(st.integers(1, 200)), draw(st.integers(1, 6)), chance, failing)


@given(st.one_of(simulations(False), simulations(True)))
def test_the_best_comes_to_its_end_and_everybody_else_is_accounted_for(simulation):
    decided = simulation.run()
    alive = set(simulation.losses) - simulation.failed
    finite = {name for name in alive if math.isfinite(simulation.losses[name])}
    if finite:
        assert min(finite, key=simulation.losses.__getitem__) in simulation.done()
    assert alive == simulation.done() | set(decided.stopped)


@given(simulations(False))
def test_in_step_the_outcome_does_not_depend_on_the_order_or_the_cap(simulation):
    simulation.run()
    other = Simulation(simulation.losses, simulation.halving, simulation.total, 1, random.Random(1), simulation.failing)
    other.run()
    if not simulation.failing:  # when a failure shows decides who is sent in its place
        assert simulation.step == other.step


def test_one_in_three_goes_on():
    runners = [Runner(str(number), (float(number),), 0) for number in range(9)]
    decided = plan(runners, Halving(first=10, factor=3))
    assert {name for name, rung in decided.rungs.items() if rung == 1} == {"0", "1", "2"}
    assert decided.stopped == {"3", "4", "5", "6", "7", "8"}
    runners[:3] = [Runner(str(number), (float(number), 5.0 - number), 1) for number in range(3)]
    decided = plan(runners, Halving(first=10, factor=3))
    assert decided.rungs["2"] == WHOLE
    assert len(decided.stopped) == 8


def test_in_step_waits_for_the_slowest_and_without_it_does_not():
    runners = [Runner(str(number), (float(number),), 0) for number in range(6)] + [Runner("slow", (), 0)]
    assert set(plan(runners, Halving(10)).rungs.values()) == {0}
    rungs = plan(runners, Halving(10, asynchronous=True)).rungs
    assert {name for name, rung in rungs.items() if rung == 1} == {"0", "1"}


def test_one_that_fails_makes_room_for_the_next_best():
    runners = [Runner("a", (1.0,), WHOLE, failed=True), Runner("b", (2.0,), 0), Runner("c", (3.0,), 0)]
    assert plan(runners, Halving(10)).rungs["b"] == WHOLE


@pytest.mark.parametrize("wrong", [{"first": 0}, {"first": 5, "factor": 1}])
def test_what_cannot_halve_is_refused(wrong):
    with pytest.raises(HalvingError):
        Halving(**wrong)


def test_rungs_are_steps():
    assert [Halving(100, 3).step(rung) for rung in (0, 1, 2, WHOLE)] == [100, 300, 900, None]
