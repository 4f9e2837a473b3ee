"""`trivet upstream limit`: the day's bytes and calls of an upstream, changed while it is at work.

Rule: what is not named stays as it is.
"""

import asyncio
from typing import Annotated, Any

from cyclopts import Parameter
from msgspec.structs import replace

from trivet.cli.asking import DEFAULT_STATE, State, volume_folder
from trivet.cli.sizes import parse_size
from trivet.errors import ConfigError, InputError
from trivet.io.control_socket import NotRunning, ask
from trivet.upstream.account import Account, accounts, keep_account

NONE = "none"

Bytes = Annotated[str | None, Parameter(help="Bytes a day for all together, such as 300MB, or none.")]
UserBytes = Annotated[str | None, Parameter(help="Bytes a day for each user, or none.")]
Calls = Annotated[str | None, Parameter(help="What the vendor allows a day, or none.")]


def limit(
    name: Annotated[str, Parameter(help="Which upstream.")] = "google",
    /,
    *,
    download_per_day: Bytes = None,
    user_download_per_day: UserBytes = None,
    upload_per_day: Bytes = None,
    user_upload_per_day: UserBytes = None,
    requests_per_day: Calls = None,
    units_per_day: Calls = None,
    state: State = DEFAULT_STATE,
) -> int:
    """Change the limits of an upstream; what was used today stays used, and who waits goes on waiting."""
    drive = volume_folder(state)
    drive.read_config()
    account = next((one for one in accounts(drive) if one.name == name), None)
    if account is None:
        raise ConfigError(f"there is no upstream {name!r}; `trivet upstream status` lists them")
    changed = limited(
        account,
        download=_named(pool_bytes=_size(download_per_day), user_bytes=_size(user_download_per_day)),
        upload=_named(pool_bytes=_size(upload_per_day), user_bytes=_size(user_upload_per_day)),
        quota=_named(
            requests_per_day=_count("--requests-per-day", requests_per_day),
            units_per_day=_count("--units-per-day", units_per_day),
        ),
    )
    keep_account(drive, changed)
    try:
        asyncio.run(ask(drive.supervisor_socket, "upstream"))
    except NotRunning:
        print(f"{name}: kept; it counts from the next start on.")
    else:
        print(f"{name}: it counts now; `trivet upstream status` shows it.")
    return 0


def limited(account: Account, **rooms: dict[str, int | None]) -> Account:
    """Return `account` with new limits in `download`, `upload` and `quota`; InputError if there are none."""
    if not any(rooms.values()):
        raise InputError("say which limit, such as --download-per-day 300MB or --download-per-day none")
    return replace(account, **{room: replace(getattr(account, room), **new) for room, new in rooms.items()})


def _named(**limits: int | str | None) -> dict[str, Any]:
    """Return the limits that were named; the word for none as None."""
    return {name: None if one == NONE else one for name, one in limits.items() if one is not None}


def _size(text: str | None) -> int | str | None:
    return NONE if text == NONE else parse_size(text)


def _count(option: str, text: str | None) -> int | str | None:
    if text is None or text == NONE:
        return text
    if not (text.isascii() and text.isdecimal()) or int(text) == 0:
        raise InputError(f"{option} {text}: a number above 0, or none")
    return int(text)
