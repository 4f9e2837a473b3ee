"""The `q` language of files.list: an expression as a tree, checked against the published table of terms.

Rule: what is not in the table is an error that says where: terms, their operators and their values.
Rule: `and` binds tighter than `or`, `not` tightest; nesting is bounded.
Source: the published protocol's pages "Search query terms and operators", "Search for files and folders".
"""

from dataclasses import dataclass
from typing import Literal

from trivet.drive.query_words import Word, refuse, words_of
from trivet.drive.timestamps import parse_rfc3339

DEPTH_MAX = 50
TERMS_MAX = 1_000

_EQUAL = frozenset({"=", "!="})
_ORDER = frozenset({"=", "!=", "<", "<=", ">", ">="})
_TEXT = frozenset({"contains", "=", "!="})
Value = Literal["text", "time", "bool", "pair"]

#: term -> (its operators, what its value is)
TERMS: dict[str, tuple[frozenset[str], Value]] = {
    "name": (_TEXT, "text"),
    "fullText": (frozenset({"contains"}), "text"),
    "mimeType": (_TEXT, "text"),
    "modifiedTime": (_ORDER, "time"),
    "viewedByMeTime": (_ORDER, "time"),
    "createdTime": (_ORDER, "time"),
    "trashed": (_EQUAL, "bool"),
    "starred": (_EQUAL, "bool"),
    "sharedWithMe": (_EQUAL, "bool"),
    "properties": (frozenset({"has"}), "pair"),
    "appProperties": (frozenset({"has"}), "pair"),
}
COLLECTIONS = frozenset({"parents", "owners", "writers", "readers"})


@dataclass(frozen=True, slots=True)
class Comparison:
    """`term operator value`; a time is in nanoseconds, a pair is (key, value)."""

    term: str
    operator: str
    value: str | int | bool | tuple[str, str]


@dataclass(frozen=True, slots=True)
class Membership:
    """`'value' in collection`."""

    value: str
    collection: str


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite of `inner`."""

    inner: "Expression"


@dataclass(frozen=True, slots=True)
class All:
    """Every one of `parts` holds (none: always)."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Some:
    """At least one of `parts` holds."""

    parts: tuple["Expression", ...]


Expression = Comparison | Membership | Not | All | Some


def parse_query(text: str | None) -> Expression:
    """Return the tree of `text`, None or blank matching everything; InvalidParameter with location q."""
    if text is None or not text.strip():
        return All(())
    parser = _Parser(words_of(text))
    tree = parser.either(0)
    parser.expect_end()
    return tree


class _Parser:
    def __init__(self, words: list[Word]) -> None:
        self._words = words
        self._at = 0
        self._terms = 0

    def _peek(self) -> Word:
        return self._words[self._at]

    def _take(self) -> Word:
        word = self._words[self._at]
        self._at = min(self._at + 1, len(self._words) - 1)
        return word

    def _is(self, text: str) -> bool:
        word = self._peek()
        return word.kind in {"name", "operator"} and word.text.lower() == text

    def _expect(self, text: str) -> None:
        if not self._is(text):
            refuse(f"{text!r} was expected, not {self._peek().text!r}", self._peek().at)
        self._take()

    def expect_end(self) -> None:
        """Raise unless everything was read."""
        if self._peek().kind != "end":
            refuse(f"{self._peek().text!r} was not expected", self._peek().at)

    def either(self, depth: int) -> Expression:
        """Read parts joined by `or`."""
        if depth > DEPTH_MAX:
            refuse(f"nested more than {DEPTH_MAX} deep", self._peek().at)
        parts = [self._both(depth)]
        while self._is("or"):
            self._take()
            parts.append(self._both(depth))
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _both(self, depth: int) -> Expression:
        parts = [self._unary(depth)]
        while self._is("and"):
            self._take()
            parts.append(self._unary(depth))
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _unary(self, depth: int) -> Expression:
        negated = False
        while self._is("not"):
            self._take()
            negated = not negated
        if self._is("("):
            self._take()
            inner = self.either(depth + 1)
            self._expect(")")
        else:
            inner = self._term()
        return Not(inner) if negated else inner

    def _term(self) -> Expression:
        self._terms += 1
        word = self._take()
        if self._terms > TERMS_MAX:
            refuse(f"more than {TERMS_MAX} terms", word.at)
        if word.kind == "string":
            return self._membership(word)
        if word.kind != "name" or word.text not in TERMS:
            refuse(f"{word.text!r} is no search term", word.at)
        operators, kind = TERMS[word.text]
        sign = self._take()
        operator = sign.text.lower() if sign.kind == "name" else sign.text
        if sign.kind == "string" or operator not in operators:
            refuse(f"{word.text} does not take {sign.text!r}", sign.at)
        value = self._pair() if kind == "pair" else self._value(kind)
        return Comparison(word.text, operator, value)

    def _membership(self, value: Word) -> Membership:
        self._expect("in")
        collection = self._take()
        if collection.kind != "name" or collection.text not in COLLECTIONS:
            refuse(f"{collection.text!r} is no collection", collection.at)
        return Membership(value.text, collection.text)

    def _value(self, kind: Value) -> str | int | bool:
        word = self._take()
        if kind == "bool":
            if word.kind != "name" or word.text.lower() not in {"true", "false"}:
                refuse(f"true or false was expected, not {word.text!r}", word.at)
            return word.text.lower() == "true"
        if word.kind != "string":
            refuse(f"a string in quotes was expected, not {word.text!r}", word.at)
        if kind == "text":
            return word.text
        try:
            return parse_rfc3339(word.text)
        except ValueError as error:
            refuse(str(error), word.at)

    def _pair(self) -> tuple[str, str]:
        self._expect("{")
        found = []
        for index, name in enumerate(("key", "value")):
            if index:
                self._expect("and")
            self._expect(name)
            self._expect("=")
            word = self._take()
            if word.kind != "string":
                refuse(f"a string in quotes was expected, not {word.text!r}", word.at)
            found.append(word.text)
        self._expect("}")
        return found[0], found[1]
