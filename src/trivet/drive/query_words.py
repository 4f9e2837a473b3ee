"""The words of a `q` expression: names, strings, operators, each with where it stands.

Rule: no spaces are needed around operators; `\\'` and `\\\\` are the escapes inside a string.
"""

from dataclasses import dataclass
from typing import Literal, NoReturn

from trivet.drive.errors_v3 import InvalidParameter

Q_MAX_CHARACTERS = 65_536

Kind = Literal["name", "string", "operator", "end"]
_OPERATORS = ("!=", "<=", ">=", "=", "<", ">", "(", ")", "{", "}")


@dataclass(frozen=True, slots=True)
class Word:
    """One word; `at` counts characters from 0."""

    kind: Kind
    text: str
    at: int


def refuse(why: str, at: int) -> NoReturn:
    """Raise the error that a wrong `q` is."""
    raise InvalidParameter(f"Invalid Value: q, at character {at}: {why}", "q")


def words_of(text: str) -> list[Word]:
    """Return the words of `text`, closed by an "end"; InvalidParameter if something is no word."""
    if len(text) > Q_MAX_CHARACTERS:
        refuse(f"longer than {Q_MAX_CHARACTERS} characters", Q_MAX_CHARACTERS)
    found: list[Word] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        word, at = _word(text, at)
        found.append(word)
    return [*found, Word("end", "the end", len(text))]


def _word(text: str, at: int) -> tuple[Word, int]:
    for sign in _OPERATORS:
        if text.startswith(sign, at):
            return Word("operator", sign, at), at + len(sign)
    if text[at] in "'\"":
        return _string(text, at)
    end = at
    while end < len(text) and (text[end].isalnum() or text[end] in "_.-:+"):
        end += 1
    if end == at:
        refuse(f"unexpected {text[at]!r}", at)
    return Word("name", text[at:end], at), end


def _string(text: str, at: int) -> tuple[Word, int]:
    quote, parts, here = text[at], [], at + 1
    while here < len(text):
        if text[here] == "\\":
            if here + 1 >= len(text):
                break
            parts.append(text[here + 1])
            here += 2
        elif text[here] == quote:
            return Word("string", "".join(parts), at), here + 1
        else:
            parts.append(text[here])
            here += 1
    refuse("a string that is not closed", at)
