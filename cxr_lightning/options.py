"""A verb's function and the words behind it enter, its parsed arguments leave; who mistyped is told in a line.

jsonargparse answers a mistake with all of a verb's usage, some of it in words of its own; here a mistake is answered
with what is wrong, what may stand there, and what was probably meant.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import re
import sys
from argparse import Action
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, Literal, NoReturn, get_args, get_origin

from jsonargparse import ArgumentParser, auto_parser, set_parsing_settings
from jsonargparse._typehints import ActionTypeHint

HANDED_ON = "handed_on"
"""What a verb calls the words after -- that it does not read itself."""

_NEAR = 0.65
"""Share of letters that two names have in common: "uot" is near "out", and "limit" is not near "split"."""

_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}


class Parser(ArgumentParser):  # type: ignore[misc,unused-ignore]
    """A parser whose errors are a line."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Says what is wrong and leaves with status 2.

        Args:
            message: What jsonargparse says.
            ex: What it was raised by.
        """
        if not self.exit_on_error:
            super().error(message, ex)
        print(f"{self.prog}: {_plainly(self, message)}\n({self.prog} --help lists its options.)", file=sys.stderr)
        sys.exit(2)


def call(name: str, function: Callable[..., Any], args: list[str]) -> None:
    """Parses a verb's command line, and calls its function.

    Args:
        name: The verb.
        function: Its function.
        args: The command line after the verb.
    """
    args, handed_on = divided(function, args)
    parser = parser_of(name, function)
    if told := mistyped(parser, args):
        parser.error(told)
    parsed = parser.instantiate(parser.parse_args(args))
    parsed.pop("config", None)
    several = _several(function)
    words = parsed.pop(several, ()) if several else ()
    before = [parsed.pop(each) for each in _before_several(function)] if several else []
    function(*before, *words, *handed_on, **vars(parsed))


def divided(function: Callable[..., Any], args: list[str]) -> tuple[list[str], list[str]]:
    """Divides a command line at its --, for a verb that hands on what follows.

    Args:
        function: The verb's function; it hands on what it takes as `*handed_on`.
        args: The command line after the verb.

    Returns:
        What is parsed, and what is handed on.
    """
    if _several(function) != HANDED_ON or "--" not in args:
        return args, []
    place = args.index("--")
    return args[:place], args[place + 1 :]


def parser_of(name: str, function: Callable[..., Any]) -> Any:
    """Makes the parser of a verb from its function's signature and docstring.

    Args:
        name: The verb.
        function: Its function. Parameters without a default are positional; `*words` takes one word or more.

    Returns:
        A jsonargparse parser.
    """
    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = auto_parser(function, parser_class=Parser, as_positional=True, prog=f"cxr {name}", allow_abbrev=False)
    several = _several(function)
    if several:  # of which jsonargparse takes no notice
        found = re.search(rf"^\s*\*?{several}: (.*(?:\n\s{{12}}.*)*)", function.__doc__ or "", re.MULTILINE)
        told = (" ".join(found[1].split()) if found else "").replace("%", "%%")
        if several == HANDED_ON:
            parser.epilog = f"-- WORD ...: {told}"
        else:
            parser.add_argument(several, nargs="+", type=str, help=told)
    return parser


def mistyped(parser: Any, args: Sequence[str]) -> str:
    """Finds the first option that a verb does not have.

    Args:
        parser: The verb's parser.
        args: Its command line.

    Returns:
        Which it is, and what was probably meant; the empty string where all are known.
    """
    actions = {option: action for action in parser._actions for option in action.option_strings}
    parts = {f"{option}.{leaf}" for option, action in actions.items() for leaf in _leaves(action)}
    names = sorted(name for name in actions.keys() | parts if name.startswith("--") and not name.endswith(".help"))
    for word in args[: list(args).index("--")] if "--" in args else args:
        name = word.partition("=")[0].removesuffix("+")
        if not name.startswith("--") or name in actions or name in parts:
            continue
        group = actions.get(name.partition(".")[0])
        if "." in name and group is not None and _open(group, parser):
            continue  # of a dictionary, say: jsonargparse knows what may stand there
        return f"there is no option {name}.{_near(name, names)}"
    return ""


def _near(name: str, names: Iterable[str]) -> str:
    group, _, leaf = name.partition(".")
    mine = [each for each in names if leaf and each.startswith(f"{group}.")]
    # Within a group its own name is common to all, and so tells nothing; nor do the dashes.
    short = {each.partition(".")[2] if mine else each[2:]: each for each in mine or names}
    word = leaf if mine else name[2:]
    found = [each for each in short if len(word) > 2 and each.startswith(word)]
    found += [each for each in short if each.endswith(f".{word}")]
    close = {each.lower(): each for each in short}
    found += [close[each] for each in difflib.get_close_matches(word.lower(), close, n=1, cutoff=_NEAR)]
    if found:
        return f" Did you mean {short[found[0]]}?"
    return f" {group} has {', '.join(short)}." if mine else ""


def _leaves(action: Action) -> list[str]:
    """Lists what a parameter of a dataclass or None has, which jsonargparse does not list."""
    kinds = get_args(getattr(action, "_typehint", None)) if isinstance(action, ActionTypeHint) else ()
    return [field.name for kind in kinds if dataclasses.is_dataclass(kind) for field in dataclasses.fields(kind)]


def _open(action: Action, parser: Any) -> bool:
    listed = any(
        option.startswith(f"{mine}.") and not option.endswith(".help")
        for other in parser._actions
        for option in other.option_strings
        for mine in action.option_strings
    )
    return not (listed or _leaves(action))


def _plainly(parser: Any, message: str) -> str:
    """Says what jsonargparse says, as what was typed and what may stand there."""
    if found := re.fullmatch(r"argument (--\S+): expected one argument", message):
        return f"{found[1]} needs a value: {_wanted(_action(parser, found[1]))}"
    if found := re.fullmatch(r"the following arguments are required: (.*)", message):
        return f"these are needed: {', '.join(_typed(parser, name) for name in found[1].split(', '))}"
    if found := re.match(r'Parser key "([^"]+)":\s*', message):
        name, said = _typed(parser, found[1]), message[found.end() :]
        value = re.search(r"(?:Got|Given) value: (.*)\Z", said, re.DOTALL)
        wanted = _wanted(_action(parser, name))
        if nested := re.search(r"NestedArg\(key='([^']*)', val='([^']*)'\)", said):
            return f"{name}.{nested[1]} {nested[2]}: cannot be"
        if value:
            return f"{name} {value[1].strip()}: must be {wanted}"
        return f"{name}: {said}"
    return message


def _typed(parser: Any, name: str) -> str:
    """Returns a parameter's name as it is typed."""
    positional = any(not action.option_strings and action.dest == name for action in parser._actions)
    return name.upper() if positional else f"--{name}"


def _action(parser: Any, name: str) -> Action | None:
    found = (action for action in parser._actions if name in (*action.option_strings, action.dest.upper()))
    return next(found, None)


def _wanted(action: Action | None) -> str:
    kind = getattr(action, "_typehint", None)
    kinds = get_args(kind) if NoneType in get_args(kind) else (kind,)
    return ", or ".join(_said(each) for each in kinds if _said(each)) or "a value"


def _said(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    return "null" if kind is NoneType else _KINDS.get(kind, "")


def _several(function: Callable[..., Any]) -> str | None:
    parameters = inspect.signature(function).parameters.values()
    return next((each.name for each in parameters if each.kind is each.VAR_POSITIONAL), None)


def _before_several(function: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    return [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
