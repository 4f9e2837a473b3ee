"""`trivet cache`: what is kept of vendors, how well that serves, what is fetched ahead."""

import asyncio
import getpass
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import msgspec
from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from trivet.cli.asking import DEFAULT_STATE, AsJson, ProgressBar, State, print_json, volume_folder
from trivet.cli.drive_paths import drive_path
from trivet.cli.sizes import parse_size
from trivet.drive.upstream.warm_rules import next_run_s
from trivet.errors import ConfigError, InputError
from trivet.io.control_socket import NotRunning, ask
from trivet.io.volume_folder import VolumeFolder
from trivet.supervise.live_view import size_text
from trivet.upstream.account import accounts
from trivet.upstream.cache import Evicted
from trivet.upstream.cache_telling import Caches, CacheTold, Layer
from trivet.upstream.warming import LastRun, WarmUp

app = App(name="cache", help="What is kept of vendors: hit rates, limits, what is fetched ahead.")


@app.default
def cache(*, state: State = DEFAULT_STATE, json: AsJson = False) -> int:
    """Show each layer's hits and misses, what is kept hot, the limit and its use, and the warm-ups."""
    drive = volume_folder(state)
    drive.read_config()
    told = msgspec.convert(_ask(drive, "cache"), Caches) if accounts(drive) else Caches([])
    if json:
        print_json(told)
        return 0
    console = Console(highlight=False, soft_wrap=True)
    if not told.caches:
        console.print("There are no upstreams; `trivet upstream add` makes one.", markup=False)
    for one in told.caches:
        _show(console, one)
    return 0


@app.command
def warm(
    path: Path,
    /,
    *,
    at: Annotated[str | None, Parameter(help="Every day at this time, such as 03:00.")] = None,
    zone: Annotated[
        str | None, Parameter(help="The time zone of --at, such as Europe/Berlin; this machine's by default.")
    ] = None,
    remove: Annotated[bool, Parameter(negative="", help="Warm it no more.")] = False,
    state: State = DEFAULT_STATE,
) -> int:
    """Fetch what is at PATH or below it before people ask for it; exit code 1 if something was left."""
    drive = volume_folder(state)
    if remove and at is not None:
        raise InputError("--remove takes no --at")
    wish: dict[str, Any] = {"path": drive_path(drive, path), "user": getpass.getuser()}
    if remove:
        _ask(drive, "cache-schedule", wish)
        print(f"{wish['path']} is warmed no more")
        return 0
    if at is not None:
        wish |= {"at": at, "zone": zone or local_zone()}
        next_run_s(at, wish["zone"], time.time())  # wrong use is told before anybody is asked
        one = msgspec.convert(_ask(drive, "cache-schedule", wish), WarmUp)
        print(f"{one.path} is warmed every day at {one.at} ({one.zone}), next {_when(one.next_s, one.zone)}")
        return 0
    run = msgspec.convert(_ask(drive, "cache-warm", wish), LastRun)
    print(f"{wish['path']}: {_run_text(run)}")
    return 1 if run.left else 0


@app.command
def evict(path: Path, /, *, state: State = DEFAULT_STATE, json: AsJson = False) -> int:
    """Keep the bodies of PATH, or below it, at the vendor only; exit code 1 if one stays, which is told."""
    drive = volume_folder(state)
    told = msgspec.convert(_ask(drive, "cache-evict", {"path": drive_path(drive, path)}), Evicted)
    if json:
        print(msgspec.json.format(msgspec.json.encode(told)).decode())
        return 1 if told.stayed else 0
    print(f"{told.files:,} files, {size_text(told.size_bytes)} are at the vendor only now")
    for name, why in told.kept:
        print(f"  {name} stays: {why}")
    if told.stayed > len(told.kept):
        print(f"  and {told.stayed - len(told.kept):,} more")
    return 1 if told.stayed else 0


@app.command
def limit(
    size: Annotated[str, Parameter(help="Such as 50GB, or none.")],
    /,
    *,
    upstream: Annotated[str | None, Parameter(help="Which one, if there are several.")] = None,
    state: State = DEFAULT_STATE,
) -> int:
    """Keep about SIZE of a vendor's bodies; those that are used least go first."""
    drive = volume_folder(state)
    limit_bytes = None if size == "none" else parse_size(size)
    name = _ask(drive, "cache-limit", {"limit_bytes": limit_bytes, "upstream": upstream})["upstream"]
    kept = "everything" if limit_bytes is None else size_text(limit_bytes)
    print(f"{name}: {kept} is kept")
    return 0


def _ask(drive: VolumeFolder, verb: str, arguments: Mapping[str, Any] | None = None) -> dict[str, Any]:
    drive.read_config()
    if not accounts(drive):
        raise ConfigError("there are no upstreams; `trivet upstream add` makes one")
    with ProgressBar() as bar:
        try:
            return asyncio.run(ask(drive.upstream_socket, verb, arguments, bar.show))
        except NotRunning as error:
            raise NotRunning(f"the upstreams of {drive.path} do not run; `trivet up` starts them") from error


def local_zone() -> str:
    """Return the name of this machine's time zone; UTC if it can't be told."""
    named = os.environ.get("TZ", "").removeprefix(":") or os.path.realpath("/etc/localtime")
    name = named.partition("zoneinfo/")[2] or named
    return name if not name.startswith("/") else "UTC"


def _show(console: Console, one: CacheTold) -> None:
    volume = next(layer for layer in one.layers if layer.layer == "volume")
    of = "no limit" if one.limit_bytes is None else f"of {size_text(one.limit_bytes)}"
    console.print(
        f"{one.upstream} at {one.at}: {size_text(volume.size_bytes or 0)} kept ({of}), "
        f"counted since {time.strftime('%d %b %H:%M', time.localtime(one.since_s))}",
        markup=False,
    )
    columns = ("layer", "hits", "misses", "hit rate", "over HTTP", "items", "size", "limit")
    table = Table(*columns, box=None, pad_edge=False)
    for layer in one.layers:
        table.add_row(*_layer_row(layer))
    console.print(table)
    console.print(
        f"{one.negative:,} names that are not there, {one.evicted:,} bodies ({size_text(one.evicted_bytes)}) "
        "given up",
        markup=False,
    )
    for hot in one.kept_hot:
        times = "once" if hot.uses == 1 else f"{hot.uses:,} times"
        console.print(f"  kept hot: {hot.path} ({size_text(hot.size)}, used {times})", markup=False)
    for warmed in one.warm_ups:
        console.print(_warm_up_text(warmed), markup=False)


def _layer_row(layer: Layer) -> list[str]:
    def size(value: int | None) -> str:
        return "" if value is None else size_text(value)

    rate = "" if layer.hit_rate is None else f"{100 * layer.hit_rate:.1f} %"
    return [
        layer.layer, f"{layer.hits:,}", f"{layer.misses:,}", rate, size(layer.served_bytes),
        f"{layer.items:,}", size(layer.size_bytes), size(layer.limit_bytes),
    ]  # fmt: skip


def _warm_up_text(one: WarmUp) -> str:
    last = (
        "never ran yet"
        if one.last is None
        else (f"last {_when(one.last.began_s, one.zone)}: {_run_text(one.last)}")
    )
    return f"  warmed at {one.at} ({one.zone}): {one.path}; {last}; next {_when(one.next_s, one.zone)}"


def _run_text(run: LastRun) -> str:
    left = f", {run.left:,} left: {run.why_left}" if run.left else ""
    why = f"; {run.why_left}" if run.why_left and not run.left else ""
    return f"{run.fetched:,} files ({size_text(run.size_bytes)}) fetched, {run.here:,} were here{left}{why}"


def _when(at_s: float, zone: str) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC).astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"
