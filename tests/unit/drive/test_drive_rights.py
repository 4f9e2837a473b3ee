"""Scopes, grants and tokens: who may do what where."""

import pytest

from trivet.drive.rights import Grant, Principal, Scope, parse_scope
from trivet.errors import Forbidden, InputError


@pytest.mark.parametrize(
    ("scope", "path", "inside"),
    [
        ("/", "/", True),
        ("/", "/a/b", True),
        ("/docs", "/docs", True),
        ("/docs", "/docs/a", True),
        ("/docs", "/docs2", False),
        ("/docs", "/", False),
        ("/docs//a/", "/docs/a/b", True),
    ],
)
def test_a_prefix_covers_whole_names(scope: str, path: str, inside: bool) -> None:
    assert parse_scope(scope, "r").covers("r", path) is inside
    assert not parse_scope(scope, "r").covers("w", path)


@pytest.mark.parametrize(
    ("path", "verbs"), [("docs", "r"), ("/a/../b", "r"), ("/a", "w"), ("/a", ""), ("", "r")]
)
def test_bad_scopes_are_refused(path: str, verbs: str) -> None:
    with pytest.raises(InputError):
        parse_scope(path, verbs)


def test_a_token_never_widens_what_its_user_may() -> None:
    ann = Principal("ann", (Scope("/docs", "r"),), limit=(Scope("/", "rw"),))
    assert ann.may("r", "/docs/a")
    assert not ann.may("w", "/docs/a")
    assert not ann.may("r", "/other")


def test_grants_widen_rights_but_not_tokens() -> None:
    grants = [Grant("user", "ann", "reader"), Grant("group", "staff", "writer")]
    ann = Principal("ann", ())
    assert ann.may("r", "/x", grants)
    assert not ann.may("w", "/x", grants)
    assert Principal("bob", (), groups=("staff",)).may("w", "/x", grants)
    assert not Principal("bob", (), groups=("staff",), limit=(Scope("/y", "rw"),)).may("w", "/x", grants)
    assert Principal("eve", ()).may("r", "/x", [Grant("anyone", "", "reader")])
    with pytest.raises(Forbidden, match="eve may not read /x"):
        Principal("eve", ()).check("r", "/x", grants)
