"""What a sweep tries: values of configuration keys, in a grid or drawn at random, and a readable name for each trial.

A draw follows from the seed, the key and its number alone: more draws, or another key beside it, leave earlier ones as
they are, so a sweep that is made larger goes on with the trials that it has. Random search as in Bergstra and Bengio,
Random Search for Hyper-Parameter Optimization (JMLR 2012).
"""

from __future__ import annotations

import itertools
import json
import math
import random
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

_DIGITS = 3
"""Significant digits of a number that is drawn: what is named is then exactly what was tried."""
_LONGEST = 40
"""Characters of one value in a name."""


class SpaceError(ValueError):
    """What a sweep shall try is given wrongly."""


@dataclass(frozen=True)
class Parameter:
    """How one configuration key is varied. Exactly one of these is given.

    Attributes:
        grid: Each of these values, with each value of every other grid.
        choice: One of these values, drawn.
        log_uniform: A number between two, drawn evenly by its logarithm: right for learning rates.
        uniform: A number between two, drawn evenly.
        integers: A whole number from the first to the last of two, drawn.
    """

    grid: list[Any] | None = None
    choice: list[Any] | None = None
    log_uniform: tuple[float, float] | None = None
    uniform: tuple[float, float] | None = None
    integers: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if len(self._given()) != 1:
            told = " and ".join(self._given()) or "nothing"
            raise SpaceError(
                f"{told}: given where exactly one of grid, choice, log_uniform, uniform, integers belongs. Remedy: "
                "write, say, {grid: [1.0e-4, 3.0e-4]} or {log_uniform: [1.0e-5, 1.0e-2]}."
            )
        for name, values in self._given().items():
            if name in ("grid", "choice"):
                texts = [json.dumps(value, sort_keys=True) for value in values]
                if not texts or len(set(texts)) < len(texts):
                    raise SpaceError(f"{name}: {values} is empty or has a value twice. Remedy: list each value once.")
            elif not values[0] < values[1]:
                raise SpaceError(f"{name}: {list(values)}. Remedy: give the lower bound first, and a higher one.")
            elif name == "log_uniform" and values[0] <= 0:
                raise SpaceError(f"log_uniform: {list(values)}. Remedy: only positive numbers have a logarithm.")

    @property
    def logarithmic(self) -> bool:
        """Whether the values are best seen on a logarithmic axis."""
        values = self.log_uniform or self.grid or self.choice or ()
        numbers = [value for value in values if isinstance(value, int | float) and value > 0]
        return self.log_uniform is not None or (len(numbers) > 1 and max(numbers) >= 10 * min(numbers))

    @property
    def numeric(self) -> bool:
        """Whether all values are numbers."""
        values = self.grid or self.choice or ()
        return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)

    def draw(self, chance: random.Random) -> Any:
        """Returns a value of one that is drawn."""
        if self.choice is not None:
            return chance.choice(self.choice)
        if self.integers is not None:
            return chance.randint(*self.integers)
        if self.uniform is not None:
            return _rounded(chance.uniform(*self.uniform), self.uniform)
        assert self.log_uniform is not None
        low, high = map(math.log, self.log_uniform)
        return _rounded(math.exp(chance.uniform(low, high)), self.log_uniform)

    def _given(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Trial:
    """One set of values.

    Attributes:
        name: Readable and unlike every other trial's; the folder of its run.
        values: A value for each configuration key.
    """

    name: str
    values: dict[str, Any]


def trials(parameters: Mapping[str, Parameter], draws: int, seed: int) -> list[Trial]:
    """Returns what a sweep tries: every point of the grids, each with `draws` draws of what is drawn.

    The same draws stand at every point of the grids, so that those are compared alike.

    Args:
        parameters: By configuration key.
        draws: How many; without a parameter that is drawn it must be 1.
        seed: Of the draws.

    Raises:
        SpaceError: If there is nothing to try, or draws are asked for and nothing is drawn.
    """
    if not parameters:
        raise SpaceError("parameters: there is none. Remedy: name a configuration key, say model.init_args.optim.lr.")
    grids = {key: each.grid for key, each in parameters.items() if each.grid is not None}
    drawn = {key: each for key, each in parameters.items() if each.grid is None}
    if draws < 1 or (draws > 1 and not drawn):
        raise SpaceError(
            f"draws: {draws}, and {'there has to be one' if drawn else 'all parameters are grids'}. Remedy: leave "
            "draws out, or draw a parameter (log_uniform, uniform, integers, choice)."
        )
    points = [
        {key: on_grid[key] if key in on_grid else _draw(drawn[key], seed, key, number) for key in parameters}
        for values in itertools.product(*grids.values())
        for on_grid in [dict(zip(grids, values, strict=True))]
        for number in range(draws)
    ]
    different = {json.dumps(point, sort_keys=True): point for point in points}  # a choice among few comes up again
    return _named(list(different.values()))


def short_names(keys: list[str]) -> dict[str, str]:
    """Returns the shortest endings of configuration keys that tell them apart: `lr` for model.init_args.optim.lr."""
    words = {key: [word for word in key.split(".") if word != "init_args"] for key in keys}
    found = {}
    for key, mine in words.items():
        others = [other for other_key, other in words.items() if other_key != key]
        length = next(
            (size for size in range(1, len(mine) + 1) if all(other[-size:] != mine[-size:] for other in others)),
            len(mine),
        )
        found[key] = ".".join(mine[-length:])
    return found


def value_text(value: Any) -> str:
    """Returns a value as it stands in names and tables: numbers in their shortest form that reads back the same."""
    if isinstance(value, float):
        short = f"{value:g}"
        plain = short if float(short) == value or value != value else repr(value)
        return re.sub(r"e([+-])0*(\d)", lambda found: f"e{found[1].strip('+')}{found[2]}", plain)
    return value if isinstance(value, str) else json.dumps(value)


def _draw(parameter: Parameter, seed: int, key: str, number: int) -> Any:
    return parameter.draw(random.Random(f"{seed}/{key}/{number}"))


def _rounded(number: float, bounds: tuple[float, float]) -> float:
    return min(max(float(f"{number:.{_DIGITS}g}"), bounds[0]), bounds[1])


def _named(points: list[dict[str, Any]]) -> list[Trial]:
    """Names trials by what tells them apart; where that is too long or alike once shortened, a number comes after."""
    found: dict[str, Trial] = {}
    short = short_names(list(points[0]))
    for point in points:
        told = ",".join(f"{short[key]}={_plain(value_text(value))}" for key, value in point.items())
        name = next(name for number in itertools.count(1) if (name := _numbered(told, number)) not in found)
        found[name] = Trial(name, point)
    return list(found.values())


def _numbered(told: str, number: int) -> str:
    return told if number == 1 else f"{told}~{number}"


def _plain(text: str) -> str:
    """Returns text that any file system and shell takes as part of a name."""
    return re.sub(r"[^\w.+-]+", "_", text, flags=re.ASCII).strip("_")[-_LONGEST:]
