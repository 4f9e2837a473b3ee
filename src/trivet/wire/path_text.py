"""Paths as text for people and JSON: any name survives a terminal, and comes back as it was."""

import re

_NEEDS_ESCAPE = re.compile(r"[\\\x00-\x1f\x7f-\x9f\udc80-\udcff\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_ESCAPED = re.compile(rb"\\(\\|x[0-9a-f]{2})")


def path_text(path: bytes) -> str:
    """Return `path` as printable text: backslash, control and non-UTF-8 bytes as ``\\\\`` and ``\\xNN``."""

    def escape(found: re.Match[str]) -> str:
        if found[0] == "\\":
            return "\\\\"
        return "".join(f"\\x{byte:02x}" for byte in found[0].encode("utf-8", "surrogateescape"))

    return _NEEDS_ESCAPE.sub(escape, path.decode("utf-8", "surrogateescape"))


def path_bytes(text: str) -> bytes:
    """Return the path whose `path_text` is `text`; a backslash that escapes nothing stands for itself."""

    def unescape(found: re.Match[bytes]) -> bytes:
        return b"\\" if found[1] == b"\\" else bytes.fromhex(found[1][1:].decode())

    return _ESCAPED.sub(unescape, text.encode("utf-8", "surrogateescape"))
