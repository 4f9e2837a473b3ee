"""Names of files: what is refused, and how a drive's name becomes one in the mount.

Rule: names of the drive need not be unique in a folder, names of the mount are: the second is `name (2)`.
Rule: nothing that could lead out of a folder or confuse a terminal is a name.
"""

import unicodedata

from trivet.drive.errors_v3 import InvalidParameter

NAME_MAX_BYTES = 255
PATH_DEPTH_MAX = 100
_RESERVED = frozenset({".", ".."})


def check_name(name: str, location: str = "name") -> str:
    """Return `name` if it may be a file's; InvalidParameter that says what is wrong with it.

    A "/" inside is allowed here: the mount shows it as "_".
    """
    size = len(name.encode("utf-8", "surrogatepass"))
    if not name:
        raise InvalidParameter("a name can't be empty", location)
    if size > NAME_MAX_BYTES:
        raise InvalidParameter(f"a name is at most {NAME_MAX_BYTES} bytes, not {size}", location)
    for character in name:
        if unicodedata.category(character) in {"Cc", "Cs"}:
            raise InvalidParameter(f"a name can't hold the character U+{ord(character):04X}", location)
    if name.startswith("/") or any(part in _RESERVED for part in name.split("/")):
        raise InvalidParameter(f"{name!r} is a path or reserved, not a name", location)
    return name


def check_path(path: str, location: str = "path") -> list[str]:
    """Return the names of a `path` from the root ("" and "/" are the root); InvalidParameter if it is bad."""
    names = [name for name in path.split("/") if name]
    if len(names) > PATH_DEPTH_MAX:
        raise InvalidParameter(f"a path is at most {PATH_DEPTH_MAX} folders deep", location)
    return [check_name(name, location) for name in names]


def mount_name(name: str, number: int = 1) -> str:
    """Return what `name` is called in the mount; `number` above 1 is behind it: "a (2).txt"."""
    plain = name.replace("/", "_")
    if number == 1:
        return plain
    stem, dot, ending = plain.rpartition(".")
    if not dot or not stem or len(ending) > 16:
        stem, dot, ending = plain, "", ""
    tail = f" ({number}){dot}{ending}"
    room = NAME_MAX_BYTES - len(tail.encode())
    return stem.encode()[:room].decode(errors="ignore") + tail


def shown(name: bytes) -> str:
    """Return a name of the mount as text; bytes that are no UTF-8 show as U+FFFD."""
    return name.decode("utf-8", "replace")
