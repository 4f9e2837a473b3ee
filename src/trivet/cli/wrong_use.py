"""Wrong use of the command line: one line that names what is wrong and what to write instead.

Rule: what looks like an option and is none is never taken for a file.
"""

import difflib
from collections.abc import Sequence
from typing import Any

from cyclopts.exceptions import (
    CycloptsError,
    MissingArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
    ValidationError,
)


def explained(error: CycloptsError) -> str:
    """What `error` says to the person who typed the command."""
    error.verbose = False
    command = " ".join(["trivet", *(error.command_chain or ())])
    more = f"`{command} --help` tells what there is"
    if isinstance(error, UnknownOptionError):
        return f"{command} has no option {_unknown_option(error)}; {more}"
    if isinstance(error, ValidationError) and isinstance(error.__cause__, _LooksLikeOption):
        return f"{command} has no option {_with_nearest(str(error.__cause__), _options(error))}; {more}"
    if isinstance(error, UnusedCliTokensError):
        words = " ".join(error.unused_tokens or ())
        return f"{command} has no use for '{words}'; {more}"
    if isinstance(error, UnknownCommandError):
        word = (error.unused_tokens or [""])[0]
        return f"{command} has no verb {_with_nearest(word, list(error.app or ()))}; {more}"
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        return f"{_missing(command, error)}; {more}"
    return f"{str(error).rstrip('.')}; {more}"


def no_option(_type: Any, value: Any) -> None:
    """Refuse a file's name that begins with a dash, unless it is the dash alone; for cyclopts."""
    for word in value if isinstance(value, tuple) else (value,):
        if str(word).startswith("-") and str(word) != "-":
            raise _LooksLikeOption(word)


def nearest(word: str, known: Sequence[str]) -> str:
    """The one of `known` that `word` was probably meant to be, or nothing."""
    return next(iter(difflib.get_close_matches(word, known, n=1)), "")


class _LooksLikeOption(ValueError):
    """A word that only an option can be."""


def _with_nearest(word: str, known: Sequence[str]) -> str:
    name = word.split("=", 1)[0]
    meant = nearest(name, known)
    return f"{name} (did you mean {meant}?)" if meant else name


def _unknown_option(error: UnknownOptionError) -> str:
    known = [name for argument in error.argument_collection if argument.parse for name in argument.names]
    return _with_nearest(error.token.keyword or error.token.value, known)


def _options(error: CycloptsError) -> list[str]:
    if error.app is None:
        return []
    return [name for argument in error.app.assemble_argument_collection() for name in argument.names]


def _missing(command: str, error: MissingArgumentError) -> str:
    argument = error.argument
    if argument is None or not argument.field_info.is_keyword_only:
        return f"{command} needs {argument.name.lstrip('-').upper() if argument else 'more'}"
    typed = any(name in argument.names for name in error.root_input_tokens or ())
    return f"{argument.name} wants a value" if typed else f"{command} needs {argument.name}"
