"""Who is right about a file: what was last agreed, how it stands here, how it stands at the vendor.

Rule: the three states alone decide, so that a request whose answer was lost is never repeated blindly: look
at the vendor again, and if it stands as it should, there is nothing to do.
Rule: content changed on one side goes to the other; changed on both it is kept twice; a change beats a
removal. Of two new names or folders the vendor's stays.
"""

from dataclasses import dataclass
from typing import Literal

#: agree: both hold the same. send, take: from here to there, from there to here. both: keep both contents.
#: create: make it at the vendor. trash: remove it there. remove: remove it here. forget: it is nowhere.
Content = Literal["agree", "send", "take", "both", "create", "trash", "remove", "forget"]
Names = Literal["agree", "send", "take"]


@dataclass(frozen=True, slots=True)
class Side:
    """A file as one side has it; `parent` is the vendor's id of its folder, `md5` None for a folder."""

    name: str
    parent: str
    md5: str | None


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done about content and existence, and about name and folder."""

    content: Content
    names: Names = "agree"


def decide(known: Side | None, here: Side | None, there: Side | None) -> Decision:
    """Return what to do about a file; None is a side that does not have it (any more).

    `known` is what both sides had when they last agreed, None if they never have.
    """
    if here is None and there is None:
        return Decision("forget")
    if here is None:
        assert there is not None
        gone = known is not None and there.md5 == known.md5
        return Decision("trash" if gone else "take")
    if there is None:
        gone = known is not None and here.md5 == known.md5
        return Decision("remove" if gone else "create")
    return Decision(_content(known, here, there), _names(known, here, there))


def _content(known: Side | None, here: Side, there: Side) -> Content:
    if here.md5 == there.md5:
        return "agree"
    if known is None:
        return "send"
    if there.md5 == known.md5:
        return "send"
    return "take" if here.md5 == known.md5 else "both"


def _names(known: Side | None, here: Side, there: Side) -> Names:
    ours, theirs = (here.name, here.parent), (there.name, there.parent)
    if ours == theirs:
        return "agree"
    if known is None or theirs == (known.name, known.parent):
        return "send"
    return "take"
