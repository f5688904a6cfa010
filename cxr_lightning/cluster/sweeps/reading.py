"""A YAML file becomes a dataclass: every key known, every value of its type, and an error that names the key."""

from __future__ import annotations

import dataclasses
import re
import types
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml


class SweepFileError(ValueError):
    """A file does not say what it should."""


class _Loader(yaml.SafeLoader):
    """YAML 1.1 takes 1e-4 for text, because it has no dot; here it is the number that everybody means."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def load(file: Path) -> dict[str, Any]:
    """Reads a YAML file of keys and values.

    Raises:
        SweepFileError: If it cannot be read or holds something else.
    """
    try:
        found = yaml.load(file.read_text(), _Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise SweepFileError(f"{file} cannot be read ({error}). Remedy: check the name.") from None
    except yaml.YAMLError as error:
        raise SweepFileError(f"{file} is not YAML: {' '.join(str(error).split())}. Remedy: mend that place.") from None
    if not isinstance(found, dict):
        raise SweepFileError(f"{file} holds no keys. Remedy: write lines such as `folder: sweeps/lr`.")
    return found


def build(kind: Any, given: Any, where: str) -> Any:
    """Makes a typed value of plain data.

    Args:
        kind: A dataclass, or a type as dataclasses name them.
        given: What YAML holds.
        where: The file and key, for errors.

    Raises:
        SweepFileError: If a key is unknown or missing, or a value is of another type.
        ValueError: Of the dataclass itself, with the place before it.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return None if given is None else build(next(one for one in inner if one is not types.NoneType), given, where)
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, given, where)
    if origin is dict:
        _require(isinstance(given, dict), given, "keys with values", where)
        return {str(key): build(inner[1], value, f"{where}.{key}") for key, value in given.items()}
    if origin is list:
        _require(isinstance(given, list), given, "a list, as in [1, 2]", where)
        return [build(inner[0], value, where) for value in given]
    if origin is tuple:
        _require(isinstance(given, list) and len(given) == len(inner), given, f"a list of {len(inner)}", where)
        return tuple(build(one, value, where) for one, value in zip(inner, given, strict=True))
    return _plain(kind, given, where)


def _dataclass(kind: Any, given: Any, where: str) -> Any:
    known = {field.name: field for field in dataclasses.fields(kind)}
    _require(isinstance(given, dict), given, f"keys ({', '.join(known)})", where)
    for key in given:
        if key not in known:
            near = get_close_matches(str(key), known, 1)
            told = f"do you mean {near[0]}?" if near else f"the keys are {', '.join(known)}."
            raise SweepFileError(f"{where}: there is no key {key}. Remedy: {told}")
    empty = (dataclasses.MISSING, dataclasses.MISSING)
    missing = [name for name, one in known.items() if name not in given and (one.default, one.default_factory) == empty]
    if missing:
        raise SweepFileError(f"{where}: {', '.join(missing)} is missing. Remedy: add it.")
    hints = get_type_hints(kind)
    values = {key: build(hints[key], value, f"{where}{_between(where)}{key}") for key, value in given.items()}
    try:
        return kind(**values)
    except ValueError as error:
        raise type(error)(f"{where}: {error}") from None


def _between(where: str) -> str:
    """Returns what stands between a file and a key, or between two keys."""
    return "." if ": " in where else ": "


def _plain(kind: Any, given: Any, where: str) -> Any:
    if kind is Any:
        return given
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        _require(given in choices, given, f"one of {', '.join(map(str, choices))}", where)
        return given
    if kind is float:
        _require(isinstance(given, int | float) and not isinstance(given, bool), given, "a number", where)
        return float(given)
    if kind is int:
        _require(isinstance(given, int) and not isinstance(given, bool), given, "a whole number", where)
        return given
    if kind is bool:
        _require(isinstance(given, bool), given, "true or false", where)
        return given
    _require(isinstance(given, str), given, "text, in quotes", where)
    return kind(given)


def _require(right: bool, given: Any, wanted: str, where: str) -> None:
    if not right:
        raise SweepFileError(f"{where}: {given!r}. Remedy: give {wanted}.")
