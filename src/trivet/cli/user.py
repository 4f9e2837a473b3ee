"""`trivet user`: who may use the drive over HTTP, and what they may do."""

import getpass
import sys
from typing import Annotated

import msgspec
from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from trivet.cli.asking import DEFAULT_STATE, AsJson, State, print_json, volume_folder
from trivet.cli.people_of_state import Below, Verbs, day, door_address, opened
from trivet.drive.rights import parse_scope
from trivet.errors import InputError
from trivet.gateway.people import People
from trivet.gateway.people_store import User

app = App(name="user", help="Who may use the drive over HTTP, and what they may do.")

FromStdin = Annotated[
    bool, Parameter(name="--password-stdin", negative="", help="Read the password from standard input.")
]
Url = Annotated[
    str | None, Parameter(help="Where people reach the drive, for the link; where it answers, by default.")
]


class Users(msgspec.Struct, frozen=True):
    """What `trivet user list --json` tells."""

    users: list[User]
    sessions: int


class LoginLink(msgspec.Struct, frozen=True):
    """A link that logs a user in once."""

    user: str
    link: str


@app.command
def add(
    name: str,
    /,
    *,
    password_stdin: FromStdin = False,
    no_password: Annotated[bool, Parameter(negative="", help="Only login links let this user in.")] = False,
    group: Annotated[list[str] | None, Parameter(help="A group to be in; can be repeated.")] = None,
    admin: Annotated[bool, Parameter(negative="", help="May look after the drive.")] = False,
    scope: Below = "/",
    verbs: Verbs = "rw",
    state: State = DEFAULT_STATE,
    json: AsJson = False,
) -> int:
    """Add the user NAME; without options NAME may read and change everything."""
    allowed = parse_scope(scope, verbs)
    with opened(state) as people:
        password = None if no_password else _password(from_stdin=password_stdin)
        people.users.add(name, password, scopes=(allowed,), groups=tuple(group or ()), admin=admin)
        if json:
            print_json(people.users.user(name))
        else:
            print(f"added {name}, who may {_deeds(verbs)} {allowed.path}")
    return 0


@app.command(name="list")
def list_(*, state: State = DEFAULT_STATE, json: AsJson = False) -> int:
    """List the users: groups, rights, open sessions and tokens."""
    with opened(state) as people:
        users, sessions = people.users.users(), people.sessions.count()
    if json:
        print_json(Users(users, sessions))
        return 0
    table = Table("user", "groups", "may", "sessions", "tokens", "last login", box=None, pad_edge=False)
    for user in users:
        name = user.name + (" (admin)" if user.admin else "") + (" (disabled)" if user.disabled else "")
        rights = ", ".join(f"{verbs} {path}" for path, verbs in user.rights)
        counts = (str(user.sessions), str(user.tokens))
        table.add_row(name, ", ".join(user.groups), rights, *counts, day(user.last_login_at_s))
    Console(highlight=False, soft_wrap=True).print(table if users else "There are no users yet.")
    return 0


@app.command
def passwd(
    name: str, /, *, password_stdin: FromStdin = False, state: State = DEFAULT_STATE, json: AsJson = False
) -> int:
    """Give NAME a new password; NAME's open sessions end."""
    with opened(state) as people:
        people.users.user(name)
        people.users.set_password(name, _password(from_stdin=password_stdin))
        return _told(people, name, "has a new password", json=json)


@app.command
def disable(name: str, /, *, state: State = DEFAULT_STATE, json: AsJson = False) -> int:
    """Shut NAME out: sessions end, tokens are refused; nothing is deleted."""
    with opened(state) as people:
        people.users.set_disabled(name, True)
        return _told(people, name, "is shut out", json=json)


@app.command
def enable(name: str, /, *, state: State = DEFAULT_STATE, json: AsJson = False) -> int:
    """Let NAME in again."""
    with opened(state) as people:
        people.users.set_disabled(name, False)
        return _told(people, name, "may log in again", json=json)


@app.command
def allow(
    name: str,
    /,
    *,
    scope: Below,
    verbs: Annotated[str, Parameter(help="r, rw, or none to take the right away.")],
    group: Annotated[bool, Parameter(negative="", help="NAME is a group.")] = False,
    state: State = DEFAULT_STATE,
) -> int:
    """Say what NAME may do below a path; rights of a user and of the user's groups add up."""
    where = parse_scope(scope, "r" if verbs == "none" else verbs).path
    with opened(state) as people:
        people.users.allow("group" if group else "user", name, where, "" if verbs == "none" else verbs)
    whose = f"the group {name}" if group else name
    print(
        f"{whose} has no right of its own to {where}"
        if verbs == "none"
        else f"{whose} may {_deeds(verbs)} {where}"
    )
    return 0


@app.command
def link(name: str, /, *, url: Url = None, state: State = DEFAULT_STATE, json: AsJson = False) -> int:
    """Make a link that logs NAME in once, within the hour."""
    url = url or door_address(volume_folder(state))
    with opened(state) as people:
        whole = f"{url.rstrip('/')}/login/{people.link_for(name)}"
    print_json(LoginLink(name, whole)) if json else print(whole)
    return 0


@app.command
def logout(name: str, /, *, state: State = DEFAULT_STATE, json: AsJson = False) -> int:
    """End all open sessions of NAME."""
    with opened(state) as people:
        people.users.end_sessions(name)
        return _told(people, name, "is logged out everywhere", json=json)


def _told(people: People, name: str, what: str, *, json: bool) -> int:
    print_json(people.users.user(name)) if json else print(f"{name} {what}")
    return 0


def _deeds(verbs: str) -> str:
    return "read and change" if verbs == "rw" else "read"


def _password(*, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    if not sys.stdin.isatty():
        raise InputError("there is no terminal to ask for a password: use --password-stdin or --no-password")
    password = getpass.getpass("password: ")
    if password != getpass.getpass("once more: "):
        raise InputError("the two passwords differ")
    return password
