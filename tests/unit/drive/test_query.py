"""The q language against the published table: what matches, what is an error and where."""

from dataclasses import replace

import pytest

from drive_views import view
from trivet.drive.errors_v3 import InvalidParameter
from trivet.drive.query import parse_query
from trivet.drive.query_match import matches, parents_of, uses, wants_trash
from trivet.drive.timestamps import parse_rfc3339

HELLO = view(
    name="HelloWorld report_2026.pdf",
    mime_type="application/pdf",
    modified_ns=parse_rfc3339("2026-06-04T12:00:00Z"),
    parent_id="7",
    properties={"mass": "1.3kg"},
    starred=True,
)


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("name = 'helloworld report_2026.pdf'", True),
        ("name='hello'", False),
        ("name != 'hello'", True),
        ("name contains 'Hello'", True),
        ("name contains 'World'", False),
        ("name contains 'rep'", True),
        ("name contains '2026'", True),
        ("name contains 'pdf'", True),
        ("mimeType = 'application/pdf'", True),
        ("mimeType contains 'application/'", True),
        ("mimeType contains 'pdf'", False),
        ("modifiedTime > '2012-06-04T12:00:00'", True),
        ("modifiedTime<='2026-06-04T14:00:00+02:00'", True),
        ("modifiedTime < '2026-06-04T12:00:00Z'", False),
        ("modifiedTime != '2026-06-04T12:00:00Z'", False),
        ("createdTime >= '1970-01-01'", True),
        ("viewedByMeTime > '2000-01-01T00:00:00'", False),
        ("trashed = false", True),
        ("trashed=true", False),
        ("trashed != true and starred = true", True),
        ("'7' in parents", True),
        ("'8' in parents", False),
        ("'8' in parents or '7' in parents", True),
        ("'me' in owners", True),
        ("'other@example.org' in owners", False),
        ("'me@trivet.local' in writers", True),
        ("'reader@example.org' in readers", True),
        ("'reader@example.org' in writers", False),
        ("sharedWithMe = false", True),
        ("properties has { key='mass' and value='1.3kg' }", True),
        ("properties has {key='mass' and value='2'}", False),
        ("appProperties has { key='mass' and value='1.3kg' }", False),
        ("not name = 'x'", True),
        ("not not name = 'x'", False),
        ("name = 'x' or (name contains 'Hello' and not trashed = true)", True),
        ("name = 'x' and trashed=false or starred=true", True),
        ('name contains "hello"', True),
        ("", True),
        ("   ", True),
    ],
)
def test_what_matches(q: str, expected: bool) -> None:
    assert matches(parse_query(q), HELLO) is expected


def test_escapes_inside_strings() -> None:
    named = replace(HELLO, name="it's a \\ slash")
    assert matches(parse_query(r"name = 'it\'s a \\ slash'"), named)


@pytest.mark.parametrize(
    "q",
    [
        "name",
        "name =",
        "name = hello",
        "name < 'x'",
        "name contains",
        "sharedWithMe",
        "trashed = 'true'",
        "trashed contains true",
        "size > '3'",
        "'7' in children",
        "'7' on parents",
        "modifiedTime > 'yesterday'",
        "modifiedTime > '2026-13-01T00:00:00'",
        "(name = 'x'",
        "name = 'x')",
        "name = 'x' and",
        "name = 'x",
        "name = 'x\\",
        "properties has { key='a' }",
        "and",
        "name = 'x' name = 'y'",
        "name ~ 'x'",
        "(" * 60 + "name='x'" + ")" * 60,
        " or ".join(["name='x'"] * 1001),
        "x" * 70_000,
    ],
)
def test_malformed_q_says_where(q: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        parse_query(q)
    assert caught.value.location == "q"


def test_parents_are_found_whatever_the_shape() -> None:
    assert parents_of(parse_query("'a' in parents and trashed=false")) == {"a"}
    assert parents_of(parse_query("('a' in parents or 'b' in parents) and name='x'")) == {"a", "b"}
    assert parents_of(parse_query("'a' in parents or name='x'")) is None
    assert parents_of(parse_query("not 'a' in parents")) is None


def test_what_may_be_in_the_trash() -> None:
    assert wants_trash(parse_query(""))
    assert wants_trash(parse_query("trashed = true"))
    assert not wants_trash(parse_query("name='x' and trashed = false"))
    assert uses(parse_query("not (fullText contains 'x')"), "fullText")
