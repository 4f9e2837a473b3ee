"""What TLS says before it is secret: server name, protocols offered and chosen, version.

Rule: bytes may end anywhere; what is not there is empty, never an error.
Source: RFC 8446 section 4.1, RFC 6066 section 3, RFC 7301.
"""

from dataclasses import dataclass

_VERSIONS = {0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1", 0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}
_SERVER_NAME, _ALPN, _SUPPORTED_VERSIONS = 0, 16, 43
#: No hello is read beyond this many bytes.
MAX_HELLO_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Hello:
    """A client's or server's hello: `alpn` as offered or chosen, `version` the highest that it names."""

    is_client: bool
    server_name: str
    alpn: tuple[str, ...]
    version: str


def looks_like_tls(data: bytes) -> bool:
    """Say whether `data` begins with a TLS record (handshake, or application data seen from the middle)."""
    return len(data) >= 3 and data[0] in (0x16, 0x17) and data[1] == 3 and data[2] <= 4


def handshake_message(data: bytes) -> bytes | None:
    """Return the first handshake message in the records of `data`; None while it is incomplete."""
    message = b""
    position = 0
    while position + 5 <= len(data) and data[position] == 0x16:
        length = int.from_bytes(data[position + 3 : position + 5], "big")
        message += data[position + 5 : position + 5 + length]
        position += 5 + length
        if len(message) >= 4:
            size = 4 + int.from_bytes(message[1:4], "big")
            if len(message) >= size:
                return message[:size]
    return None


def parse_hello(message: bytes) -> Hello | None:
    """Read a ClientHello or ServerHello; None for any other handshake message."""
    if len(message) < 39 or message[0] not in (1, 2):
        return None
    is_client = message[0] == 1
    legacy = int.from_bytes(message[4:6], "big")
    position = 38
    position += 1 + message[position]
    if is_client:
        position += 2 + int.from_bytes(message[position : position + 2], "big")
        position += 1 + (message[position] if position < len(message) else 0)
    else:
        position += 3
    extensions = _extensions(message[position + 2 :])
    versions = [legacy]
    stated = extensions.get(_SUPPORTED_VERSIONS, b"")
    if stated:
        pairs = stated[1:] if is_client else stated
        versions = [int.from_bytes(pairs[i : i + 2], "big") for i in range(0, len(pairs) - 1, 2)]
    known = [version for version in versions if version in _VERSIONS]
    return Hello(
        is_client,
        extensions.get(_SERVER_NAME, b"")[5:].decode("ascii", "backslashreplace"),
        _protocols(extensions.get(_ALPN, b"")[2:]),
        _VERSIONS[max(known)] if known else f"0x{legacy:04x}",
    )


def _extensions(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    position = 0
    while position + 4 <= len(data):
        kind = int.from_bytes(data[position : position + 2], "big")
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        found[kind] = data[position + 4 : position + 4 + length]
        position += 4 + length
    return found


def _protocols(data: bytes) -> tuple[str, ...]:
    names = []
    position = 0
    while position < len(data):
        length = data[position]
        names.append(data[position + 1 : position + 1 + length].decode("ascii", "backslashreplace"))
        position += 1 + length
    return tuple(names)
