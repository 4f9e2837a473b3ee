"""What content is by its first bytes, against what its name and its declared MIME type say.

Rule: a kind with a fixed beginning must have it; a kind without one must not begin as another kind does.
Rule: an extension or a MIME type nobody knows promises nothing and is not held against the content.
"""

import puremagic

from trivet.drive.validation.kinds import KINDS, Kind, extension_of, kind_of_mime, kind_of_name
from trivet.errors import CorruptContent, UnsupportedType

#: How many first bytes are looked at.
HEAD_BYTES = 4096


def detected_kind(head: bytes) -> Kind | None:
    """Return the kind that `head` begins; of a family the plainest, None when no known kind begins so."""
    for kind in KINDS:
        if kind.begins(head):
            return kind
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return kind_of_name("a.xml") if text.startswith(b"<?xml") else None


def detected_mime(head: bytes) -> str:
    """Return the MIME type that fits `head` best, "application/octet-stream" when none does."""
    kind = detected_kind(head)
    if kind is not None:
        return kind.mimes[0]
    try:
        found = puremagic.magic_string(head) if head else []
    except puremagic.PureError:
        found = []
    strong = [one.mime_type for one in found if one.mime_type and one.confidence >= 0.5]
    if strong:
        return str(strong[0])
    return "text/plain" if _is_text(head) else "application/octet-stream"


def check_type(name: str, mime: str | None, head: bytes) -> Kind | None:
    """Return the kind of the content beginning with `head`, or raise when it is not what was declared.

    `name` and `mime` are what the sender says. Raises UnsupportedType with a name that would fit, or
    CorruptContent when the content begins like nothing known though its kind has a fixed beginning.
    """
    found, by_name, by_mime = detected_kind(head), kind_of_name(name), kind_of_mime(mime)
    if not head:
        promised = by_name or by_mime
        if promised is not None and promised.family != "text":
            raise CorruptContent(f"{name} is empty; a {promised.name} file never is")
        return promised
    for promised, declared in ((by_name, f".{extension_of(name)}"), (by_mime, mime or "")):
        if promised is not None and not _keeps(promised, head, found):
            _refuse(name, declared, promised, head, found)
    if by_name is not None and by_mime is not None and not _agree(by_name, by_mime):
        right = found or by_name
        raise UnsupportedType(
            f"{name} was declared as {mime}, but a {by_name.name} file is {by_name.mimes[0]}",
            declared=mime or "",
            detected=right.mimes[0],
            suggested_name=name if right.family == by_name.family else suggested_name(name, right),
        )
    return by_name or by_mime or found


def promise(name: str, mime: str | None) -> str:
    """Return what `name` and `mime` promise of a content: two that promise the same are checked alike."""
    by_name, by_mime = kind_of_name(name), kind_of_mime(mime)
    kinds = [by_name, by_mime if by_mime is not by_name else None]
    return "+".join(kind.name for kind in kinds if kind is not None) or "anything"


def suggested_name(name: str, kind: Kind) -> str:
    """Return `name` with the extension that fits `kind`."""
    stem = name[: -len(extension_of(name)) - 1] if extension_of(name) else name
    return f"{stem}.{kind.extensions[0]}"


def _keeps(promised: Kind, head: bytes, found: Kind | None) -> bool:
    if promised.heads:
        return promised.begins(head)
    if found is None or found.family == promised.family:
        return promised.family != "xml" or _is_text(head)
    return promised.family == "text" and found.family in ("xml", "bmp")


def _agree(by_name: Kind, by_mime: Kind) -> bool:
    texts = {"text", "xml"}
    if by_name.family in texts and by_mime.family in texts:
        return True
    return by_name is by_mime or (by_name.family == by_mime.family == "zip" and by_mime.name == "ZIP")


def _refuse(name: str, declared: str, promised: Kind, head: bytes, found: Kind | None) -> None:
    detected = detected_mime(head)
    if found is None and detected in ("application/octet-stream", "text/plain") and promised.heads:
        raise CorruptContent(f"{name} does not begin like a {promised.name} file")
    what = found.name if found else detected
    raise UnsupportedType(
        f"{name} is declared as {declared}, but its content is {what}",
        declared=declared,
        detected=detected,
        suggested_name=suggested_name(name, found) if found else None,
    )


def _is_text(head: bytes) -> bool:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    return b"\0" not in head
