"""Partial responses: the `fields` parameter, and what it leaves of a JSON object.

Rule: a selection is a tree of names; a leaf takes all below it, `*` is any name.
Source: the published protocol's page "Return specific fields".
"""

import re
from typing import Any

from trivet.drive.errors_v3 import InvalidParameter

FIELDS_MAX_CHARACTERS = 10_000
DEPTH_MAX = 20
_TOKEN = re.compile(r"\s*([A-Za-z_][\w.-]*|[*,/()])", re.ASCII)

Selection = dict[str, Any]


def parse_fields(text: str) -> Selection:
    """Return the tree that `text` ("kind,files(id,name),a/b") selects; InvalidParameter if malformed."""
    if len(text) > FIELDS_MAX_CHARACTERS:
        raise _bad(text, f"is longer than {FIELDS_MAX_CHARACTERS} characters")
    tokens = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise _bad(text, f"can't be read at character {at}")
        tokens.append(found[1])
        at = found.end()
    selection, end = _parse_list(tokens, 0, text, 0)
    if end != len(tokens):
        raise _bad(text, "has a bracket too many")
    return selection


def _parse_list(tokens: list[str], at: int, text: str, depth: int) -> tuple[Selection, int]:
    if depth > DEPTH_MAX:
        raise _bad(text, "is nested too deeply")
    selection: Selection = {}
    while True:
        here = selection
        while True:
            if at >= len(tokens) or tokens[at] in {",", "/", "(", ")"}:
                raise _bad(text, "lacks a name")
            name = tokens[at]
            at += 1
            if at < len(tokens) and tokens[at] == "/":
                here = here.setdefault(name, {})
                at += 1
                continue
            break
        if at < len(tokens) and tokens[at] == "(":
            below, at = _parse_list(tokens, at + 1, text, depth + 1)
            if at >= len(tokens) or tokens[at] != ")":
                raise _bad(text, "lacks a closing bracket")
            here.setdefault(name, {}).update(below)
            at += 1
        else:
            here.setdefault(name, {})
        if at >= len(tokens) or tokens[at] != ",":
            return selection, at
        at += 1


def select(selection: Selection, value: Any) -> Any:
    """Return what `selection` leaves of `value`; of a list, of each item; an empty selection leaves all."""
    if not selection:
        return value
    if isinstance(value, list):
        return [select(selection, item) for item in value]
    if not isinstance(value, dict):
        return value
    rest = selection.get("*")
    kept = {}
    for name, item in value.items():
        below = selection.get(name, rest)
        if below is not None:
            kept[name] = select(below, item)
    return kept


def check_known(selection: Selection, known: frozenset[str], text: str) -> None:
    """Raise InvalidParameter (400) if the tree names a field at its top that is not `known`."""
    for name in selection:
        if name != "*" and name not in known:
            raise InvalidParameter(f"Invalid field selection {name}", "fields", reason="invalidParameter")


def _bad(text: str, why: str) -> InvalidParameter:
    return InvalidParameter(f"fields {text[:80]!r} {why}", "fields", reason="invalidParameter")
