"""Whether a file matches a `q` expression, and what an expression asks for at least.

Rule: names and MIME types compare without regard to case; `contains` of a name is a prefix of one of its
words, of a MIME type a prefix of it.
"""

import re
import unicodedata

from trivet.drive.query import All, Comparison, Expression, Membership, Not, Some
from trivet.drive.resources import FileView, address

_WORD_STARTS = re.compile(r"\b|_|(?<=[\W_])", re.UNICODE)


#: Names of places that stand for an id.
_ALIASES = {"root": "1"}


def matches(tree: Expression, view: FileView) -> bool:
    """Tell whether the file `view` matches `tree`."""
    if isinstance(tree, All):
        return all(matches(part, view) for part in tree.parts)
    if isinstance(tree, Some):
        return any(matches(part, view) for part in tree.parts)
    if isinstance(tree, Not):
        return not matches(tree.inner, view)
    if isinstance(tree, Membership):
        return _is_member(tree, view)
    return _compares(tree, view)


def uses(tree: Expression, term: str) -> bool:
    """Tell whether `tree` asks for `term` anywhere."""
    if isinstance(tree, Comparison):
        return tree.term == term
    if isinstance(tree, Membership):
        return tree.collection == term
    if isinstance(tree, Not):
        return uses(tree.inner, term)
    return any(uses(part, term) for part in tree.parts)


def parents_of(tree: Expression) -> frozenset[str] | None:
    """Return the ids one of which must be the parent of whatever matches; None if it may be any."""
    if isinstance(tree, Membership):
        return frozenset({tree.value}) if tree.collection == "parents" else None
    if isinstance(tree, All):
        found = [ids for part in tree.parts if (ids := parents_of(part)) is not None]
        return frozenset.intersection(*found) if found else None
    if isinstance(tree, Some):
        every = [parents_of(part) for part in tree.parts]
        known = [ids for ids in every if ids is not None]
        return frozenset().union(*known) if len(known) == len(every) else None
    return None


def wants_trash(tree: Expression) -> bool:
    """Tell whether something in the trash may match `tree`."""
    if isinstance(tree, Comparison) and tree.term == "trashed":
        return (tree.operator == "=") == tree.value
    if isinstance(tree, All):
        return all(wants_trash(part) for part in tree.parts)
    if isinstance(tree, Some):
        return any(wants_trash(part) for part in tree.parts)
    return True


def folded(text: str) -> str:
    """Return `text` as it is compared: one form of the same letters, no case."""
    return unicodedata.normalize("NFC", text).casefold()


def _is_member(tree: Membership, view: FileView) -> bool:
    if tree.collection == "parents":
        return view.parent_id is not None and view.parent_id in (tree.value, _ALIASES.get(tree.value))
    who = view.me if tree.value == "me" else tree.value
    wanted = folded(address(who))
    if wanted == folded(address(view.owner)):
        return True
    if tree.collection == "owners":
        return False
    roles = {"writer", "fileOrganizer", "organizer"}
    if tree.collection == "readers":
        roles |= {"reader", "commenter"}
    return any(one.role in roles and folded(one.address) == wanted for one in view.metadata.permissions)


def _compares(tree: Comparison, view: FileView) -> bool:
    if tree.term in {"properties", "appProperties"}:
        assert isinstance(tree.value, tuple)
        of = view.metadata.properties if tree.term == "properties" else view.metadata.app_properties
        return of.get(tree.value[0]) == tree.value[1]
    if tree.term in {"name", "mimeType"}:
        assert isinstance(tree.value, str)
        return _text(tree.operator, view.name if tree.term == "name" else view.mime_type, tree)
    if tree.term in {"trashed", "starred", "sharedWithMe"}:
        have = {"trashed": view.trashed, "starred": view.metadata.starred, "sharedWithMe": False}[tree.term]
        return (have == tree.value) == (tree.operator == "=")
    times = {
        "modifiedTime": view.modified_ns,
        "createdTime": view.created_ns,
        "viewedByMeTime": view.metadata.viewed_ns,
    }
    assert isinstance(tree.value, int)
    return _time(tree.operator, times[tree.term], tree.value)


def _text(operator: str, have: str, tree: Comparison) -> bool:
    wanted, have = folded(str(tree.value)), folded(have)
    if operator != "contains":
        return (have == wanted) == (operator == "=")
    if tree.term == "mimeType":
        return have.startswith(wanted)
    return any(have.startswith(wanted, at.end()) for at in _WORD_STARTS.finditer(have))


def _time(operator: str, have: int | None, wanted: int) -> bool:
    if have is None:
        return operator == "!="
    have, wanted = have // 10**6, wanted // 10**6
    return {
        "=": have == wanted,
        "!=": have != wanted,
        "<": have < wanted,
        "<=": have <= wanted,
        ">": have > wanted,
        ">=": have >= wanted,
    }[operator]
