"""`trivet upstream`: a vendor's drive behind a folder of this one."""

import asyncio
import getpass
import os
import re
import time
import webbrowser
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from cyclopts import App, Parameter
from rich.console import Console

from trivet.cli.asking import DEFAULT_STATE, AsJson, State, not_running, print_json, volume_folder
from trivet.cli.sizes import parse_size
from trivet.cli.upstream_limits import limit
from trivet.cli.upstream_text import status_lines
from trivet.client.remote_volume import connected
from trivet.drive.names import check_path
from trivet.drive.upstream.byte_budget import BudgetLimits
from trivet.drive.upstream.removal_guard import RemovalLimits
from trivet.drive.upstream.vendor_quota import QuotaLimits
from trivet.errors import ConfigError, FileSystemError, InputError, TrivetError
from trivet.io.control_socket import NotRunning, Remote, ask
from trivet.io.drive_api import DriveApi
from trivet.io.google_consent import ask_consent, installed_client, kept_client
from trivet.io.volume_folder import VolumeFolder
from trivet.upstream.account import GOOGLE_URL, Account, accounts, keep_account, token_path
from trivet.upstream.service import authorize
from trivet.upstream.telling import Removed, Statuses
from trivet.volume.interface import ROOT_INO

Told = TypeVar("Told", bound=msgspec.Struct)

READY_S = 60.0
_POLL_S = 0.2

app = App(name="upstream", help="A vendor's drive behind a folder of this one.")
app.command(limit)

Bytes = Annotated[str | None, Parameter(help="Bytes a day for all together, such as 200MB.")]
NoBrowser = Annotated[bool, Parameter(negative="", help="Only print the address; open no browser.")]
Name = Annotated[str | None, Parameter(help="Which upstream; all, if it is not said.")]
Removals = Annotated[
    int, Parameter(help="Ask before more files than this are removed at the vendor within ten minutes.")
]
UserBytes = Annotated[str | None, Parameter(help="Bytes a day for each user.")]


@app.command
def add(
    kind: Literal["google"],
    /,
    *,
    at: Annotated[str, Parameter(help="The folder of this drive where it appears, such as /google.")],
    credentials: Annotated[
        Path | None,
        Parameter(help="Credentials as JSON: of a service account, of a user, or of a client (Desktop app)."),
    ] = None,
    no_browser: NoBrowser = False,
    folder: Annotated[str, Parameter(help="The vendor's folder (its id) that appears there.")] = "root",
    upstream_url: Annotated[str, Parameter(help="Another server that speaks Drive v3.")] = GOOGLE_URL,
    name: Annotated[str, Parameter(help="What it is called here.")] = "google",
    download_per_day: Bytes = None,
    user_download_per_day: UserBytes = None,
    upload_per_day: Bytes = None,
    user_upload_per_day: UserBytes = None,
    requests_per_day: Annotated[int | None, Parameter(help="Requests that the vendor allows a day.")] = None,
    units_per_day: Annotated[int | None, Parameter(help="Quota units that the vendor allows a day.")] = None,
    removals_max: Removals = 100,
    attempts: Annotated[int, Parameter(help="Try a call so many times before it counts as failed.")] = 5,
    poll: Annotated[float, Parameter(help="Ask for the vendor's changes every so many seconds.")] = 15.0,
    quiet: Annotated[float, Parameter(help="Send a file so many seconds after its last change.")] = 2.0,
    cache_limit: Annotated[str | None, Parameter(help="Keep about so many bytes here, such as 50GB.")] = None,
    state: State = DEFAULT_STATE,
) -> int:
    """Let the drive of a vendor appear at a folder; its files are fetched when they are first read."""
    drive = volume_folder(state)
    drive.read_config()
    _check_name(drive, name)
    if upstream_url == GOOGLE_URL and credentials is None:
        raise ConfigError("Google wants a login: give --credentials FILE (see docs/guide/upstream.md)")
    if poll <= 0 or quiet < 0 or attempts < 1 or removals_max < 0:
        raise InputError("--poll and --attempts must be above 0, --quiet and --removals-max not below")
    path = "/" + "/".join(check_path(at))
    if path == "/":
        raise InputError("--at: a folder below the top, such as /google")
    client = None if credentials is None else installed_client(credentials)
    kept = token_path(drive, name) if client else credentials
    account = Account(
        name, path, getpass.getuser(), upstream_url, folder, None if kept is None else str(kept.absolute()),
        QuotaLimits(requests_per_day, units_per_day),
        BudgetLimits(parse_size(download_per_day), parse_size(user_download_per_day)),
        BudgetLimits(parse_size(upload_per_day), parse_size(user_upload_per_day)),
        poll, quiet, attempts=attempts, removals=RemovalLimits(removals_max),
        cache_bytes=parse_size(cache_limit),
    )  # fmt: skip
    asyncio.run(_check_free(drive, account.at))
    if client and kept:
        asyncio.run(ask_consent(client, kept, partial(_tell_address, no_browser=no_browser)))
    try:
        print(asyncio.run(_add(drive, account)))
    except TrivetError:
        if client and kept and not any(one.name == name for one in accounts(drive)):
            kept.unlink()
        raise
    return 0


def _check_name(drive: VolumeFolder, name: str) -> None:
    """Raise unless a new upstream may be called `name`."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", name):
        raise InputError(f"--name {name}: small letters, digits and -")
    if any(one.name == name for one in accounts(drive)):
        raise ConfigError(f"there is an upstream {name!r} already; `trivet upstream status` shows it")


@app.command
def login(
    name: Annotated[str, Parameter(help="Which upstream.")] = "google",
    /,
    *,
    no_browser: NoBrowser = False,
    state: State = DEFAULT_STATE,
) -> int:
    """Log a person in anew at a vendor that does not accept the old login any more."""
    drive = volume_folder(state)
    place = token_path(drive, name)
    asyncio.run(ask_consent(kept_client(place), place, partial(_tell_address, no_browser=no_browser)))
    try:
        asyncio.run(ask(drive.supervisor_socket, "upstream"))
    except NotRunning:
        print("Logged in; it counts from the next start on.")
    else:
        print(f"Logged in; {name} goes on.")
    return 0


def _tell_address(address: str, port: int, *, no_browser: bool) -> None:
    """Say which address a person must open, and open it where there are windows."""
    print(f"Allow trivet to use your drive, in a browser on this machine:\n\n  {address}\n", flush=True)
    print(
        f"(Elsewhere: `ssh -L {port}:127.0.0.1:{port} THIS-MACHINE` first. Waiting; Ctrl-C gives up.)",
        flush=True,
    )
    if not no_browser and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        webbrowser.open(address)


async def _check_free(drive: VolumeFolder, at: str) -> None:
    """Raise ConfigError if the drive does not run, or the folder `at` holds something."""
    try:
        await ask(drive.keeper_socket, "status")
    except NotRunning as error:
        raise not_running(drive) from error
    async with connected(drive) as volume:
        ino = ROOT_INO
        try:
            for name in at.strip("/").split("/"):
                ino = (await volume.lookup(ino, name.encode())).ino
            entries = await volume.listing(ino, 0, 3)
        except FileSystemError:
            return
        if any(one.name not in (b".", b"..") for one in entries):
            raise ConfigError(f"{at} holds something already; choose an empty or a new folder")


async def _add(drive: VolumeFolder, account: Account) -> str:
    """Check that the vendor answers, then begin; return what people are told."""
    api = DriveApi(account.url, authorize(account))
    try:
        about = await api.about()
        await api.get(account.folder)
    finally:
        await api.close()
    keep_account(drive, account)
    try:
        await ask(drive.supervisor_socket, "upstream")
    except NotRunning:
        return f"kept; `trivet serve upstream --state {drive.path}` lets it work"
    whose = about.get("user", {}).get("emailAddress", account.url)
    files = await _first_listing(drive, account.name)
    return f"{whose} is at {account.at} now: {files:,} files and folders"


async def _first_listing(drive: VolumeFolder, name: str) -> int:
    until_s = time.monotonic() + READY_S
    while time.monotonic() < until_s:
        try:
            told = msgspec.convert(await ask(drive.upstream_socket, "status"), Statuses)
        except (NotRunning, Remote):
            told = Statuses([])
        for one in told.upstreams:
            if one.name == name and one.polled_at_s is not None:
                return one.files
        await asyncio.sleep(_POLL_S)
    raise TrivetError(
        f"the upstream is kept, but has not listed its files within {READY_S:g} s; "
        "`trivet upstream status` says how far it is"
    )


@app.command
def status(*, state: State = DEFAULT_STATE, json: AsJson = False) -> int:
    """Show how each upstream is: quota, budgets, what waits; exit code 0 only when all are well."""
    drive = volume_folder(state)
    told = ask_upstream(drive, "status", Statuses)
    if json:
        print_json(told)
    else:
        console = Console(highlight=False, soft_wrap=True)
        for one in told.upstreams:
            console.print("\n".join(status_lines(one, time.time())), markup=False)
        if not told.upstreams:
            console.print("There are no upstreams; `trivet upstream add` makes one.", markup=False)
    return 0 if all(one.healthy for one in told.upstreams) else 1


@app.command
def allow_removal(name: Name = None, /, *, state: State = DEFAULT_STATE, json: AsJson = False) -> int:
    """Carry out at the vendor what was held back because so much was removed here in a short time."""
    return _removals("allow", name, state, json)


@app.command
def undo_removal(name: Name = None, /, *, state: State = DEFAULT_STATE, json: AsJson = False) -> int:
    """Let what was removed here, and held back, appear here again as the vendor has it."""
    return _removals("undo", name, state, json)


def _removals(wanted: str, name: str | None, state: Path, json: bool) -> int:
    arguments = {"wanted": wanted, "name": name, "user": getpass.getuser()}
    told = ask_upstream(volume_folder(state), "removals", Removed, arguments)
    if json:
        print_json(told)
    elif not told.removed:
        print("No removal is held back.")
    elif wanted == "allow":
        print(f"{told.removed:,} files and folders go into the vendor's trash now.")
    else:
        print(f"{told.removed:,} files and folders come back with the next look at the vendor.")
    return 0


def ask_upstream(
    drive: VolumeFolder, verb: str, kind: type[Told], arguments: Mapping[str, Any] | None = None
) -> Told:
    """Return what the process of the upstreams answers; of a list nothing if the drive has none."""
    drive.read_config()
    if not accounts(drive):
        if arguments is not None:
            raise ConfigError("there are no upstreams; `trivet upstream add` makes one")
        return msgspec.convert({name: [] for name in kind.__struct_fields__}, kind)
    try:
        return msgspec.convert(asyncio.run(ask(drive.upstream_socket, verb, arguments)), kind)
    except NotRunning as error:
        raise NotRunning(f"the upstreams of {drive.path} do not run; `trivet up` starts them") from error
