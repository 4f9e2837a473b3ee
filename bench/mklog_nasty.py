"""Lines that break log parsers: valid ones that look wrong, and wrong ones that look valid.

Rule: order and number are part of the generator's seed; a new line goes to the end of its list.
"""

from typing import NamedTuple


class Nasty(NamedTuple):
    """A valid line's request and what a right parser must make of it."""

    request: bytes
    url: bytes
    section: bytes
    status: int
    size_bytes: int
    referrer: bytes = b"-"
    agent: bytes = b"-"

    @property
    def is_bad_request(self) -> bool:
        """Whether the request is not METHOD target HTTP/x."""
        return self.section == b"-" and not self.url.startswith((b"*", b"mail", b"OR"))


_TLS = rb"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
_RAW_TLS = b"\x16\x03\x01\x00\xee\x01\xfc\x03\x03"
_LONG = b"/api/" + b"A" * 8192

NASTIES = (
    Nasty(b"GET /blog/q HTTP/1.1", b"/blog/q", b"/blog", 200, 10, agent=rb"Mozilla \"quoted\" agent"),
    Nasty(b"GET /blog/bs HTTP/1.1", b"/blog/bs", b"/blog", 200, 11, agent=rb"ends with backslash \\"),
    Nasty(b"GET /my docs/a b.html HTTP/1.1", b"/my docs/a b.html", b"/my docs", 200, 12),
    Nasty(rb"GET /say\"hi\"/x HTTP/1.0", rb"/say\"hi\"/x", rb"/say\"hi\"", 404, 13),
    Nasty(b"-", b"-", b"-", 408, 0),
    Nasty(b"", b"", b"-", 400, 0),
    Nasty(_TLS, _TLS, b"-", 400, 226),
    Nasty(_RAW_TLS, _RAW_TLS, b"-", 400, 166),
    Nasty(b"GET http://example.com/proxy/x HTTP/1.1", b"http://example.com/proxy/x", b"/proxy", 404, 14),
    Nasty(b"OPTIONS * HTTP/1.0", b"*", b"-", 200, 0, agent=b"Apache (internal dummy connection)"),
    Nasty(b"CONNECT mail.ru:443 HTTP/1.1", b"mail.ru:443", b"-", 405, 15),
    Nasty(b"GET /caf\xc3\xa9/menu HTTP/1.1", b"/caf\xc3\xa9/menu", b"/caf\xc3\xa9", 200, 16),
    Nasty(b"GET /caf\xe9/menu HTTP/1.1", b"/caf\xe9/menu", b"/caf\xe9", 200, 17),
    Nasty(b"GET " + _LONG + b" HTTP/1.1", _LONG, b"/api", 414, 18),
    Nasty(b"GET /a,b;c'd/[x]?y={%22z%22} HTTP/1.1", b"/a,b;c'd/[x]?y={%22z%22}", b"/a,b;c'd", 200, 19),
    Nasty(b"GET /tab\there HTTP/1.1", b"/tab\there", b"/tab\there", 200, 20),
    Nasty(b"GET /pages/09only", b"GET /pages/09only", b"-", 200, 21),
    Nasty(b"GET /img/big.iso HTTP/1.1", b"/img/big.iso", b"/img", 206, 5_368_709_120),
    Nasty(b"' OR 1=1 -- HTTP/1.1", b"OR 1=1 --", b"-", 400, 22),
)
NASTY_USERS = (b"-", b"frank", b"John Smith", b"a@b.c", b'"quoted"')

_HOST = b"10.0.0.1 - - [03/Jun/2024:00:00:00 +0000]"
MALFORMED = (
    b"",
    b"garbage",
    b"\x00\x01\x02\xff\xfe binary junk \x80",
    b"[Mon Jun 03 00:00:00.123 2024] [core:error] [pid 1] AH00126: Invalid URI",
    _HOST + b' "GET /trunc',
    _HOST,
    b'10.0.0.1 - - "GET /nodate HTTP/1.1" 200 5 "-" "-"',
    _HOST + b' "GET /nostatus HTTP/1.1" - - "-" "-"',
    b'10.0.0.1 - - [99/Foo/2024:00:00:00 +0000] "GET /baddate HTTP/1.1" 200 5 "-" "-"',
    _HOST + b' "GET /unbalanced HTTP/1.1 200 5 - -',
    _HOST + b' "GET /ab10.0.0.2 - - [03/Jun/2024:00:00:00 +0000] "GET /merged HTTP/1.1" 200 5 "-" "-"',
    _HOST + b' "GET /badbytes HTTP/1.1" 200 12x "-" "-"',
    b" ",
    b'"',
    b"\\",
    b'"""""""""" " " "',
)
