"""CGI as RFC 3875 writes it: the environment a request becomes, and the answer a program's output is.

Rule: the environment is built from nothing; only what RFC 3875 names, a PATH and what was asked for goes in.
Rule: `Proxy` would become HTTP_PROXY and `Authorization` would hand out a password: neither is passed.
Rule: non-parsed-header output is refused; nothing here lets a program speak for the server.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from trivet.errors import InputError, ProtocolError

#: What a program finds as PATH: enough for `#!/usr/bin/env python3`, nothing of the caller's.
SAFE_PATH = "/usr/local/bin:/usr/bin:/bin"
#: An answer's header must end within this many bytes.
HEADER_LIMIT_BYTES = 1 << 16
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_KEPT_BACK = {"proxy", "authorization", "proxy-authorization", "content-length", "content-type"}
_STATUS = re.compile(r"([1-5]\d\d)(?: (.*))?")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_REASONS = {200: "OK", 302: "Found"}


@dataclass(frozen=True, slots=True)
class CgiRequest:
    """One request as a CGI program is to see it; `path_info` and `query` still percent-encoded."""

    method: str = "GET"
    script_name: str = "/"
    path_info: str = ""
    query: str = ""
    body: bytes = b""
    content_type: str = ""
    headers: Sequence[tuple[str, str]] = ()
    server_name: str = "localhost"
    server_port: int = 80
    remote_addr: str = "127.0.0.1"
    document_root: str = ""
    software: str = "trivet"
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CgiAnswer:
    """A program's answer; `kind` is `document`, `local-redirect` or `client-redirect`."""

    kind: str
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    location: str | None
    body: bytes


def _decoded(text: str, what: str) -> str:
    plain = unquote_to_bytes(text).decode("utf-8", "surrogateescape")
    if "\0" in plain:
        raise InputError(f"{what} holds a NUL, which no environment can carry: leave %00 out")
    return plain


def environment(request: CgiRequest) -> dict[str, str]:
    """Build the whole environment of `request` (RFC 3875 section 4.1).

    CONTENT_LENGTH and CONTENT_TYPE exist only with a body (or a stated type). A header that comes twice is
    joined by a comma. Raises InputError for a header or path that can't be carried.
    """
    if not _TOKEN.fullmatch(request.method):
        raise InputError(f"{request.method!r} is no HTTP method")
    if request.path_info and not request.path_info.startswith("/"):
        raise InputError(f"the path info must begin with a slash: /{request.path_info}")
    path_info = _decoded(request.path_info, "the path info")
    env = {
        "PATH": SAFE_PATH,
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": request.software,
        "SERVER_NAME": request.server_name,
        "SERVER_PORT": str(request.server_port),
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": request.script_name,
        "QUERY_STRING": request.query,
        "REMOTE_ADDR": request.remote_addr,
        "REMOTE_HOST": request.remote_addr,
    }
    if path_info:
        env["PATH_INFO"] = path_info
        if request.document_root:
            env["PATH_TRANSLATED"] = request.document_root.rstrip("/") + path_info
    if request.body:
        env["CONTENT_LENGTH"] = str(len(request.body))
    if request.content_type:
        env["CONTENT_TYPE"] = request.content_type
    for name, value in request.headers:
        if not _TOKEN.fullmatch(name) or "_" in name or re.search(r"[\0\r\n]", value):
            raise InputError(
                f"the header {name!r} can't be passed to a CGI program (letters, digits and - only)"
            )
        if name.lower() in _KEPT_BACK:
            continue
        variable = "HTTP_" + name.upper().replace("-", "_")
        joint = "; " if name.lower() == "cookie" else ", "
        env[variable] = env[variable] + joint + value if variable in env else value
    return env | dict(request.extra)


def search_words(request: CgiRequest) -> list[str]:
    """Return the command-line words of an indexed query (RFC 3875 section 4.4).

    Only GET and HEAD have them, and only where the query holds no unencoded `=`.
    """
    if request.method not in {"GET", "HEAD"} or not request.query or "=" in request.query:
        return []
    return [_decoded(word, "the query") for word in request.query.split("+")]


def parse_answer(output: bytes) -> CgiAnswer:
    """Read a program's whole `output` as an answer (RFC 3875 section 6).

    Raises ProtocolError, with what the program did wrong, for anything the RFC does not allow.
    """
    if output.startswith(b"HTTP/"):
        raise ProtocolError(
            "it wrote a status line of its own (non-parsed header); write `Status: 200 OK` instead"
        )
    if not output:
        raise ProtocolError("it wrote nothing; the least is `Content-Type: text/plain` and an empty line")
    end = re.compile(rb"(?:^|\n)\r?\n").search(output, 0, HEADER_LIMIT_BYTES)
    if end is None:
        raise ProtocolError("its header never ends: an empty line must stand between header and body")
    names: dict[str, str] = {}
    headers: list[tuple[str, str]] = []
    for number, raw in enumerate(output[: end.start()].split(b"\n"), 1):
        line = raw.removesuffix(b"\r").decode("latin-1")
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name):
            raise ProtocolError(f"line {number} of its header is no `Name: value`: {line[:80]!r}")
        key = name.lower()
        if key in {"status", "location", "content-type"}:
            if key in names:
                raise ProtocolError(f"its header has {name} twice")
            names[key] = value.strip()
        if key not in {"status", "location"} and not key.startswith("x-cgi-"):
            headers.append((name, value.strip()))
    return _answer(names, headers, output[end.end() :])


def _answer(names: Mapping[str, str], headers: list[tuple[str, str]], body: bytes) -> CgiAnswer:
    if not names:
        raise ProtocolError("its header has none of Content-Type, Location and Status")
    if body and "content-type" not in names:
        raise ProtocolError("it wrote a body without Content-Type")
    location = names.get("location")
    match = _STATUS.fullmatch(names["status"]) if "status" in names else None
    if "status" in names and match is None:
        raise ProtocolError(f"its Status is not `200 OK` or alike: {names['status'][:80]!r}")
    kind = "document"
    if location is not None:
        kind = "client-redirect" if _ABSOLUTE.match(location) else "local-redirect"
        if kind == "local-redirect" and not location.startswith("/"):
            raise ProtocolError(f"its Location is neither an absolute URI nor a path: {location[:80]!r}")
        if kind == "local-redirect" and (match or body or headers):
            raise ProtocolError("a local redirect has only Location, with no Status, other header or body")
    default = 302 if kind == "client-redirect" else 200
    status = int(match[1]) if match else default
    reason = (match[2] if match else None) or _REASONS.get(status, "")
    if kind == "client-redirect" and location is not None:
        headers = [("Location", location), *headers]
    return CgiAnswer(kind, status, reason, tuple(headers), location, body)
