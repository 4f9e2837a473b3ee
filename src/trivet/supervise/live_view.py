"""The live view of `trivet up`: banks, servers, healing and throughput, drawn again every second.

Rule: it shows what the keeper's status says and nothing it has worked out itself, but rates.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from trivet.errors import TrivetError
from trivet.io.keeper_asking import ask_keeper
from trivet.io.volume_folder import VolumeFolder
from trivet.wire.control_messages import Child, Children, ServerStatus, StandbyStatus, Status, Traffic

EVERY_S = 1.0
STATE_STYLES = {
    "up": "green",
    "joining": "yellow",
    "hung": "yellow",
    "full": "yellow",
    "stopped": "dim",
    "down": "red",
}


@dataclass(frozen=True, slots=True)
class Rates:
    """What was served per second between two looks."""

    operations_s: float = 0.0
    read_bytes_s: float = 0.0
    written_bytes_s: float = 0.0


def rates_between(before: Traffic, after: Traffic, elapsed_s: float) -> Rates:
    """Return the rates of `elapsed_s` seconds; zero across a keeper that has begun anew."""
    if elapsed_s <= 0 or after.operations < before.operations:
        return Rates()
    return Rates(
        (after.operations - before.operations) / elapsed_s,
        (after.read_bytes - before.read_bytes) / elapsed_s,
        (after.written_bytes - before.written_bytes) / elapsed_s,
    )


def size_text(size_bytes: float) -> str:
    """Return a size as people read it: "0 B", "12.3 MB" (powers of ten)."""
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} B" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"


def bank_table(status: Status) -> Table:
    """Return the table of banks and servers."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    longest = max((len(server.host or "") for bank in status.banks for server in bank.servers), default=0)
    is_spread = longest > 0
    for title in ("bank", "server", *(["host"] * is_spread), "state"):
        table.add_column(title, min_width=longest if title == "host" else None)
    for title in ("process", "blobs", "records", "stored", "divergent", "foreign"):
        table.add_column(title, justify="right")
    for bank in status.banks:
        for place, server in enumerate(bank.servers):
            where = [server.host or ""] * is_spread
            table.add_row(
                str(bank.base) if place == 0 else "", str(server.port), *where, *_server_cells(server)
            )
    return table


def _server_cells(server: ServerStatus) -> tuple[RenderableType, ...]:
    def told(value: int | None) -> str:
        return "-" if value is None else f"{value:,}"

    return (
        Text(server.state, STATE_STYLES[server.state]),
        "-" if server.pid is None else str(server.pid),
        told(server.blobs),
        told(server.records),
        "-" if server.bytes is None else size_text(server.bytes),
        Text(str(server.divergent), "red" if server.divergent else ""),
        told(server.foreign),
    )


def summary_lines(status: Status) -> list[Text]:
    """Return the sentences under the table: health, healing, refresh, scrub, notes."""
    word = Text("healthy", "bold green") if status.healthy else Text("NOT healthy", "bold red")
    lines = [
        Text.assemble("The drive is ", word, f"; open damage {status.open_damage}, "
                      f"repaired so far {status.repaired_total}.")
    ]  # fmt: skip
    keeper = status.keeper
    if keeper.pid is not None:
        lines.append(
            Text(f"Keeper: process {keeper.pid}, slot {keeper.slot}, durable {keeper.durable_slot}.")
        )
    if status.standby is not None:
        lines.append(standby_line(keeper.name, status.standby))
    if status.gateway is not None:
        lines.append(door_line(status.gateway))
    if status.refresh_age_s is not None:
        took = "" if status.refresh_took_s is None else f" and took {status.refresh_took_s:.1f} s"
        lines.append(Text(f"Refresh: the last one ended {status.refresh_age_s:.0f} s ago{took}."))
    scrub = status.scrub
    if scrub.state != "idle":
        share = f"{scrub.done_bytes / scrub.total_bytes:.0%}" if scrub.total_bytes else "0%"
        lines.append(Text(f"Scrub: {scrub.state}, {share}, {size_text(scrub.bytes_s)}/s."))
    if status.refill is not None:
        refill = status.refill
        how_long = "" if refill.left_s is None else f", about {refill.left_s:.0f} s left"
        whom = f" {', '.join(map(str, refill.servers))}" if refill.servers else ""
        lines.append(
            Text(f"Refilling{whom}: {size_text(refill.done_bytes)} of {size_text(refill.total_bytes)} "
                 f"written, {size_text(refill.bytes_s)}/s{how_long}.")
        )  # fmt: skip
    lines.extend(Text(f"! {note}", "yellow") for note in (*absences(status), *status.notes))
    return lines


def standby_line(leader: str, standby: StandbyStatus) -> Text:
    """Return the sentence about the two keepers."""
    where = f"process {standby.pid}" + (f" on {standby.host}" if standby.host else "")
    told = f"The keeper called {leader} leads; {standby.name} ({where})"
    if standby.state == "silent":
        return Text(f"{told} was not heard of for {standby.heard_age_s:.0f} s.", "yellow")
    if standby.state == "joining":
        return Text(f"{told} is about to stand by.", "yellow")
    return Text(f"{told} stands by, {standby.lag_slots} slots behind.")


def door_line(door: Child) -> Text:
    """Return the sentence about the HTTP door."""
    if door.state != "up":
        return Text(f"HTTP: {door.address} is {door.state}; why is in {door.log}", "red")
    return Text(f"HTTP: {door.address}, process {door.pid}.")


def absences(status: Status) -> list[str]:
    """Return a sentence for each bank that is not whole: which servers, and what brings them back."""
    told = []
    for bank in status.banks:
        for state in ("stopped", "down", "hung", "full", "joining"):
            away = [server for server in bank.servers if server.state == state]
            if away:
                way = f"; `trivet start {away[0].port}` starts it again" if state == "stopped" else ""
                each = (f"{one.port} (on {one.host})" if one.host else str(one.port) for one in away)
                names = f"server{'s' * (len(away) > 1)} {', '.join(each)}"
                told.append(f"bank {bank.base}: {names} {state}{way}")
    return told


def render(status: Status | None, children: Children, rates: Rates, problem: str = "") -> RenderableType:
    """Return the whole view; `status` None draws what the supervisor alone knows, and the `problem`."""
    parts: list[RenderableType] = []
    if status is None:
        parts.append(Text(f"No status: {problem}", "red"))
        parts.extend(Text(f"  {child.role} {child.port or ''} {child.state}") for child in children.children)
    else:
        door = children.door()
        status = msgspec.structs.replace(status, gateway=door)
        parts.extend((bank_table(status), Text(""), *summary_lines(status)))
        parts.append(
            Text(
                f"Throughput: {rates.operations_s:,.0f} operations/s, reading "
                f"{size_text(rates.read_bytes_s)}/s, writing {size_text(rates.written_bytes_s)}/s."
            )
        )
    mount = "no folder is mounted" if children.mount is None else f"The folder is {children.mount}"
    parts.append(Text(f"{mount}. Ctrl-C stops the drive; nothing is lost.", "dim"))
    return Group(*parts)


async def show_live(folder: VolumeFolder, children: Callable[[], Children], console: Console) -> None:
    """Draw the view every EVERY_S until cancelled; `children` tells what the supervisor looks after."""
    before, before_s = Traffic(), 0.0
    with Live(console=console, auto_refresh=False, transient=False) as live:
        while True:
            status, problem = None, ""
            try:
                status = msgspec.convert(await ask_keeper(folder, "status"), Status)
            except TrivetError as error:
                problem = str(error)
            now_s = time.monotonic()
            rates = rates_between(before, status.traffic, now_s - before_s) if status else Rates()
            before, before_s = status.traffic if status else Traffic(), now_s
            live.update(render(status, children(), rates, problem), refresh=True)
            await asyncio.sleep(EVERY_S)
