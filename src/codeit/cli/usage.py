"""Messages for command lines that do not parse, in the form of all other user errors."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from cyclopts import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
    ValidationError,
)

from codeit.settings import shorten

RENAMED_COMMANDS = {"evolve": "search"}
"""Commands of earlier versions and their names today."""
_EXPECTED = {int: "an integer", float: "a number", bool: "no value", Path: "a name"}


def usage_error(error: CycloptsError) -> str:
    """Return a message: what was expected, what was found, and which help to read."""
    command = " ".join(("codeit", *(error.command_chain or ())))
    fault = _fault(error)
    return f"{fault} See {command} --help" if fault.endswith("?") else f"{fault}; see {command} --help"


def section_with_value(arguments: Sequence[str]) -> str | None:
    """Return an option that is given a value although other options set its keys, or None.

    An example is `--evolution 3 --evolution.offspring 2`, which cyclopts cannot parse.
    """
    options = [argument.partition("=")[0] for argument in arguments if argument.startswith("--")]
    keys = {option.replace("_", "-").lstrip("-"): option for option in options}
    for key in keys:
        for end in (k for k, letter in enumerate(key) if letter == "."):
            if key[:end] in keys:
                return keys[key[:end]]
    return None


def _fault(error: CycloptsError) -> str:
    match error:
        case UnknownCommandError(app=app, unused_tokens=[found, *_]) if app is not None:
            if found in RENAMED_COMMANDS:
                return f"{found}: unknown command; it is now codeit {RENAMED_COMMANDS[found]}"
            kind = "option" if found.startswith("-") else "command"
            return f"{shorten(found)}: unknown {kind}{_suggestion(found, app)}"
        case UnknownOptionError():
            found = (error.token.keyword or error.token.value).partition("=")[0]
            known = (name for argument in error.argument_collection for name in argument.names)
            return f"{shorten(found)}: unknown option{_suggestion(found, known)}"
        case UnusedCliTokensError(unused_tokens=[found, *_]):
            return f"expected no more arguments, found {shorten(repr(found))}"
        case MissingArgumentError(argument=argument) if argument is not None:
            given = error.keyword or next((token.keyword for token in argument.tokens), None)
            if given is None:
                return f"expected {argument.name}, found none"
            if argument.field_info.kind is argument.field_info.VAR_KEYWORD and "." not in given:
                return f"{given}: unknown option"
            return f"{given}: expected a value, found none"
        case RepeatArgumentError(token=token):
            return f"{token.keyword}: expected once, found twice"
        case CoercionError(token=token, argument=argument) if token is not None and argument is not None:
            expected = _expected(error.target_type)
            return (
                f"{token.keyword or argument.name}: expected {expected}, found {shorten(repr(token.value))}"
            )
        case ValidationError(argument=argument) if argument is not None and argument.tokens:
            (token, *_) = argument.tokens
            limit = error.exception_message.removeprefix("Must be ").rstrip(".")
            return f"{token.keyword or argument.name}: expected a value {limit}, found {shorten(token.value)}"
    return str(error).rstrip(".")


def _expected(kind: Any) -> str:
    """Return a description of the values of a type."""
    if get_origin(kind) is Literal:
        *others, last = map(str, get_args(kind))
        return f"{', '.join(others)} or {last}" if others else last
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(_expected(member) for member in get_args(kind) if member is not NoneType)
    return _EXPECTED.get(kind, "another value")


def _suggestion(found: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(found, known, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""
