"""RFC 3875, clause by clause: the environment and the answer."""

import pytest

from trivet.errors import InputError, ProtocolError
from trivet.wire.cgi import CgiRequest, environment, parse_answer, search_words


def test_environment_of_a_post() -> None:
    env = environment(
        CgiRequest(
            method="POST",
            script_name="/cgi-bin/a.cgi",
            path_info="/caf%C3%A9/7",
            query="a=1&b=%20",
            body=b"x=1",
            content_type="text/plain",
            headers=[
                ("Accept", "a/b"),
                ("accept", "c/d"),
                ("X-Y", "z"),
                ("Cookie", "a=1"),
                ("Cookie", "b=2"),
            ],
            document_root="/srv/",
        )
    )
    assert env["PATH_INFO"] == "/café/7"
    assert env["PATH_TRANSLATED"] == "/srv/café/7"
    assert env["QUERY_STRING"] == "a=1&b=%20"
    assert (env["CONTENT_LENGTH"], env["CONTENT_TYPE"]) == ("3", "text/plain")
    assert (env["HTTP_ACCEPT"], env["HTTP_X_Y"], env["HTTP_COOKIE"]) == ("a/b, c/d", "z", "a=1; b=2")
    assert (env["GATEWAY_INTERFACE"], env["REQUEST_METHOD"], env["SCRIPT_NAME"]) == (
        "CGI/1.1",
        "POST",
        "/cgi-bin/a.cgi",
    )


def test_what_must_not_reach_a_program() -> None:
    names = ["Proxy", "Authorization", "Proxy-Authorization", "Content-Length", "Content-Type"]
    plain = environment(CgiRequest())
    assert environment(CgiRequest(headers=[(name, "evil") for name in names])) == plain
    assert "CONTENT_LENGTH" not in plain
    assert "PATH_INFO" not in plain
    assert plain["QUERY_STRING"] == ""


@pytest.mark.parametrize(
    "request_",
    [
        CgiRequest(headers=[("A_B", "x")]),
        CgiRequest(headers=[("A", "x\r\nB: y")]),
        CgiRequest(path_info="a"),
        CgiRequest(path_info="/%00"),
        CgiRequest(method="GE T"),
    ],
)
def test_what_can_not_be_carried_is_refused(request_: CgiRequest) -> None:
    with pytest.raises(InputError):
        environment(request_)


def test_an_indexed_query_becomes_words() -> None:
    assert search_words(CgiRequest(query="one+tw%6F+%3D")) == ["one", "two", "="]
    assert search_words(CgiRequest(query="a=1")) == []
    assert search_words(CgiRequest(method="POST", query="one")) == []


@pytest.mark.parametrize("nl", ["\n", "\r\n"])
def test_a_document(nl: str) -> None:
    text = f"Content-Type: text/plain{nl}Status: 404 Not here{nl}X-A: b{nl}X-CGI-Own: c{nl}{nl}one{nl}{nl}two"
    answer = parse_answer(text.encode())
    assert (answer.kind, answer.status, answer.reason) == ("document", 404, "Not here")
    assert answer.headers == (("Content-Type", "text/plain"), ("X-A", "b"))
    assert answer.body == f"one{nl}{nl}two".encode()


def test_status_alone_is_an_answer() -> None:
    answer = parse_answer(b"Status: 204 No Content\n\n")
    assert (answer.status, answer.body) == (204, b"")


def test_redirects() -> None:
    local = parse_answer(b"Location: /there?x=1\n\n")
    assert (local.kind, local.location) == ("local-redirect", "/there?x=1")
    client = parse_answer(b"Location: https://a.example/\n\n")
    assert (client.kind, client.status, client.reason) == ("client-redirect", 302, "Found")
    both = parse_answer(
        b"Status: 303 See Other\nLocation: https://a.example/\nContent-Type: text/plain\n\nhere"
    )
    assert (both.kind, both.status, both.body) == ("client-redirect", 303, b"here")


@pytest.mark.parametrize(
    ("output", "why"),
    [
        (b"", "nothing"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "non-parsed"),
        (b"Content-Type: text/plain\n", "never ends"),
        (b"Hello\n\n", "no `Name: value`"),
        (b"\n\nbody", "no `Name: value`"),
        (b"Content-Type : a/b\n\n", "no `Name: value`"),
        (b"X-Only: 1\n\n", "none of"),
        (b"Status: 200 OK\n\nbody", "without Content-Type"),
        (b"Status: fine\n\n", "Status"),
        (b"Status: 200\nStatus: 200\n\n", "twice"),
        (b"Location: there\n\n", "neither"),
        (b"Location: /x\nStatus: 302\n\n", "only Location"),
        (b"X: " + b"y" * 70_000 + b"\n\n", "never ends"),
    ],
)
def test_what_the_rfc_does_not_allow(output: bytes, why: str) -> None:
    with pytest.raises(ProtocolError, match=why):
        parse_answer(output)
