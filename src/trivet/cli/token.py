"""`trivet token`: keys for programs, each good below one path, for reading or for changing too."""

from typing import Annotated

import msgspec
from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from trivet.cli.asking import DEFAULT_STATE, AsJson, State, print_json
from trivet.cli.people_of_state import Below, Verbs, day, opened
from trivet.drive.rights import parse_scope
from trivet.errors import InputError
from trivet.gateway.token_store import Token

app = App(name="token", help="Keys for programs: good below one path, for reading or for changing too.")


class NewToken(msgspec.Struct, frozen=True):
    """A token with its secret, which is told this once."""

    secret: str
    token: Token


class Tokens(msgspec.Struct, frozen=True):
    """What `trivet token list --json` tells."""

    tokens: list[Token]


@app.command
def create(
    *,
    user: Annotated[str, Parameter(help="Whose rights the program has, cut down to the scope.")],
    scope: Below,
    verbs: Verbs,
    days: Annotated[float | None, Parameter(help="How long it is good; for ever unless stated.")] = None,
    state: State = DEFAULT_STATE,
    json: AsJson = False,
) -> int:
    """Make a token and print it; it can't be shown again. Programs send it as `Authorization: Bearer`."""
    if days is not None and days <= 0:
        raise InputError("--days must be above 0")
    with opened(state) as people:
        secret, token = people.tokens.create(
            user, parse_scope(scope, verbs), None if days is None else days * 86400
        )
    print_json(NewToken(secret, token)) if json else print(secret)
    return 0


@app.command(name="list")
def list_(*, state: State = DEFAULT_STATE, json: AsJson = False) -> int:
    """List the tokens, without their secrets."""
    with opened(state) as people:
        tokens = people.tokens.tokens()
    if json:
        print_json(Tokens(tokens))
        return 0
    table = Table("id", "user", "verbs", "path", "made", "good until", box=None, pad_edge=False)
    for token in tokens:
        until = "for ever" if token.expires_at_s is None else day(token.expires_at_s)
        until = until if token.revoked_at_s is None else f"revoked {day(token.revoked_at_s)}"
        table.add_row(token.id, token.user, token.verbs, token.path, day(token.created_at_s), until)
    Console(highlight=False, soft_wrap=True).print(table if tokens else "There are no tokens.")
    return 0


@app.command
def revoke(token_id: str, /, *, state: State = DEFAULT_STATE) -> int:
    """Refuse the token with this id (see `trivet token list`) from now on."""
    with opened(state) as people:
        people.tokens.revoke(token_id)
    print(f"revoked {token_id}")
    return 0
