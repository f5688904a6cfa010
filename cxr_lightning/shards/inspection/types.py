"""A value out of a JSON file and the type it should have enter; what does not fit leaves, in words.

The contract is written in types (`contract.py`); reading them here holds every record against it, with no second list.
"""

from __future__ import annotations

import json
import types
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

from cxr_lightning.shards.contract import LARGEST_RECORD

_NAMES = {int: "a whole number", str: "text", bool: "true or false", type(None): "null"}


class JsonError(ValueError):
    """Bytes are not the JSON they should be; the message says what they are."""


def parse(data: bytes, most_bytes: int = LARGEST_RECORD) -> Any:
    """Read JSON, as strictly as it is defined.

    Args:
        data: The bytes.
        most_bytes: More are not looked at.

    Raises:
        JsonError: They are no JSON, or more of it than a record may have.
    """
    if len(data) > most_bytes:
        raise JsonError(f"{len(data)} bytes, and {most_bytes} are the most")
    try:
        return json.loads(data, parse_constant=_refuse, object_pairs_hook=_once)
    except JsonError:
        raise
    except UnicodeDecodeError:
        raise JsonError("not UTF-8") from None
    except RecursionError:
        raise JsonError("nested without end") from None
    except ValueError:
        raise JsonError("not readable as JSON") from None


def misfit(value: Any, kind: Any, where: str = "") -> str | None:
    """Hold a value against a type.

    Args:
        value: What JSON gave.
        kind: int, str, a Literal, a union, a list or dict of such, or a TypedDict of the contract.
        where: The way to it, for the message.

    Returns:
        What does not fit ("views[0].width is no whole number"), or None. Fields that the type does not have are let be:
        the contract lets later versions add some.
    """
    if is_typeddict(kind):
        return _misfit_fields(value, kind, where)
    origin, of = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        found = [misfit(value, each, where) for each in of]
        return None if None in found else found[0]
    if origin is Literal:
        return None if isinstance(value, str) and value in of else _told(where, "one of " + ", ".join(map(str, of)))
    if origin is list:
        if not isinstance(value, list):
            return _told(where, "a list")
        return next((told for n, each in enumerate(value) if (told := misfit(each, of[0], f"{where}[{n}]"))), None)
    if origin is dict:
        if not isinstance(value, dict):
            return _told(where, "an object")
        pairs = value.items()
        return next((told for name, each in pairs if (told := misfit(each, of[1], f"{where}.{name!a}"))), None)
    if type(value) is not kind:  # True is an int to isinstance
        return _told(where, _NAMES.get(kind, "of its type"))
    return _told(where, "text that UTF-8 can write") if kind is str and not _writable(value) else None


def texts_of(value: Any, but: Collection[str] = ()) -> Iterator[str]:
    """List the texts in what JSON gave, names of fields included.

    Args:
        value: An object, a list or a value.
        but: Fields of it that are left out.
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, each in value.items():
            if name not in but:
                yield name
                yield from texts_of(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts_of(each)


def _misfit_fields(value: Any, kind: Any, where: str) -> str | None:
    if not isinstance(value, dict):
        return _told(where, "an object")
    for name, each in _fields(kind).items():
        inside = f"{where}.{name}" if where else name
        if name not in value:
            if name in kind.__required_keys__:
                return f"'{inside}' is missing"
        elif told := misfit(value[name], each, inside):
            return told
    return None


@lru_cache
def _fields(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _told(where: str, wanted: str) -> str:
    return f"'{where}' must be {wanted}" if where else f"it must be {wanted}"


def _writable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # JSON can write half a surrogate pair, which no tokenizer takes
        return False
    return True


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Makes an object of its fields; of one that stands twice, two readers would see two records."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise JsonError("an object with a field twice")
    return fields


def _refuse(constant: str) -> None:
    raise JsonError(f"holds {constant}, which is no JSON")
