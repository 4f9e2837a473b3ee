"""The live board of `trivet logs --follow`: figures, sections, addresses, URLs, alerts; a Textual app.

Rule: lines handled and lines waiting are always in sight, also while the board is paused.
Rule: the reader never waits for the board: tables are made in a thread, once a second at most.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import DataTable, Footer, Input, RichLog, Sparkline, Static

from trivet.insight.logs.kernel_drill import Drill
from trivet.insight.logs.series import rate_by_second
from trivet.insight.logs.summary import AccessSummary
from trivet.monitor.logs.live import LiveLogs
from trivet.monitor.logs.report import alert_text, clipped, size_text
from trivet.monitor.logs.sinks import AlertDesk, Sink
from trivet.wire.access_log import escape

_FIGURES_S = 0.05
_TABLES_S = 1.0
_RATE_S = 120
_REST = 10
_ROWS = 100


class LogBoard(App[None]):
    """Shows `live`; alerts also go to `sinks`; ends after `for_s` seconds where that is given."""

    TITLE = "trivet logs"
    CSS = """
    #figures { height: 4; padding: 0 1; }
    #rate { height: 4; margin: 0 1; border-top: solid $primary; border-title-color: $text-muted; }
    #filter { display: none; }
    #tables { height: 2fr; }
    DataTable { width: 1fr; height: 100%; border: round $primary; }
    #alerts { height: 1fr; min-height: 4; border: round $warning; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "pause", "Pause"),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("escape", "back", "Back"),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(self, live: LiveLogs, sinks: Sequence[Sink], every_s: float, for_s: float | None) -> None:
        super().__init__()
        self.live = live
        self._sinks = sinks
        self._every_s = every_s
        self._for_s = for_s
        self._paused = False
        self._wanted = ""
        self._behind: tuple[str, bytes] | None = None
        self._period_text = "the first display period is not over yet"
        self._handled_shown, self._shown_s = 0, 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self.failed: BaseException | None = None

    def compose(self) -> ComposeResult:
        """Lay the board out."""
        yield Static(id="figures")
        rate = Sparkline(id="rate", summary_function=max)
        rate.border_title = f"Requests a second, the log's last {_RATE_S // 60} minutes"
        yield rate
        yield Input(placeholder="show only what contains ...", id="filter")
        with Horizontal(id="tables"):
            for name, title in (("sections", "Sections"), ("ips", "Addresses"), ("urls", "URLs")):
                table: DataTable[Text] = DataTable(id=name, cursor_type="row")
                table.border_title = title
                yield table
        alerts = RichLog(id="alerts", max_lines=1000)
        alerts.border_title = "Alerts and notes"
        yield alerts
        yield Footer()

    def on_mount(self) -> None:
        """Start reading and showing."""
        self.query_one("#sections", DataTable).add_columns("hits", "sent", "section")
        self.query_one("#ips", DataTable).add_columns("hits", "address")
        self.query_one("#urls", DataTable).add_columns("hits", "URL")
        self.query_one("#sections", DataTable).focus()
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._show_tables())]
        for task in self._tasks:
            task.add_done_callback(self._ended)
        self.set_interval(2 * _FIGURES_S, self._show_figures)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Leave the board when a task failed; whoever runs it raises `failed`."""
        if not task.cancelled() and task.exception() is not None:
            self.failed = task.exception()
            self.exit()

    async def on_unmount(self) -> None:
        """Stop reading."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read(self) -> None:
        began = period_began = time.monotonic()
        batches = self.live.batches()
        async with AlertDesk(self._sinks, self._note) as desk, contextlib.aclosing(batches):
            async for changes in batches:
                for change in changes:
                    desk.tell(change)
                    style = "bold red" if change.raised else "green"
                    self.query_one("#alerts", RichLog).write(Text(alert_text(change), style=style))
                for note in self.live.notes:
                    self._note(note)
                self.live.notes.clear()
                now = time.monotonic()
                if self.live.progress.handled != self._handled_shown and now - self._shown_s >= _FIGURES_S:
                    self._show_figures()
                if now - period_began >= self._every_s:
                    await self._end_period(now - period_began)
                    period_began = now
                if self._for_s is not None and now - began >= self._for_s:
                    break
        self.exit()

    def _note(self, note: str) -> None:
        with contextlib.suppress(LookupError):
            self.query_one("#alerts", RichLog).write(Text(note, style="dim"))

    async def _end_period(self, seconds: float) -> None:
        period = await asyncio.to_thread(self.live.end_period, seconds)
        name, most = period.top_section
        self._period_text = (
            f"last {seconds:.0f} s: {period.hits} hits, {size_text(period.size_bytes)},"
            f" 4xx {period.client_errors}, 5xx {period.server_errors}"
            + (f", most in {clipped(escape(name), 40)} ({most})" if most else "")
        )

    def _show_figures(self) -> None:
        live, progress = self.live, self.live.progress
        self._handled_shown, self._shown_s = progress.handled, time.monotonic()
        figures = Text()
        figures.append(f"{progress.handled:,} lines handled, {progress.waiting:,} waiting", style="bold")
        figures.append(f", {live.malformed_lines:,} malformed, {size_text(progress.bytes_read)} read")
        if live.tail.truncations:
            figures.append(f", {live.tail.truncations} truncations (lines may be lost)", style="bold red")
        if self._paused:
            figures.append("   PAUSED", style="reverse")
        figures.append(f"\n{self._period_text}\n")
        alarm = live.alert_is_raised
        figures.append("ALERT" if alarm else "no alert", style="bold red" if alarm else "green")
        paths = live.tail.paths
        figures.append(f"   {', '.join(paths[:3])}{f' and {len(paths) - 3} more' if len(paths) > 3 else ''}")
        if self._behind:
            figures.append(f"\nbehind {self._behind[0]} {clipped(escape(self._behind[1]), 60)} (Esc: back)")
        self.query_one("#figures", Static).update(figures)

    async def _show_tables(self) -> None:
        while True:
            began = time.monotonic()
            if not self._paused:
                await self.show_tables()
            # counting waits while tables of millions of names are read: not for more than a tenth of the time
            await asyncio.sleep(max(_TABLES_S, _REST * (time.monotonic() - began)))

    async def show_tables(self) -> None:
        """Fill the tables with what was counted so far."""
        summary = (await asyncio.to_thread(self.live.reading)).summary
        drill = await asyncio.to_thread(self.live.drill, *self._behind) if self._behind else None
        self._fill("sections", _sections(summary, drill, self._behind))
        self._fill("ips", _counted(drill.ips if drill else summary.top_ips))
        self._fill("urls", _counted(drill.urls if drill else summary.top_urls))
        rate = await asyncio.to_thread(rate_by_second, self.live.series, _RATE_S)
        self.query_one("#rate", Sparkline).data = rate

    def _fill(self, name: str, rows: list[tuple[bytes, tuple[str, ...]]]) -> None:
        table = self.query_one(f"#{name}", DataTable)
        row, scroll = table.cursor_row, table.scroll_y
        table.clear()
        for key, cells in rows:
            if self._wanted in cells[-1].lower() and len(table.rows) < _ROWS:
                shown = [Text(cell, justify="right") for cell in cells[:-1]]
                table.add_row(*shown, Text(clipped(cells[-1], 200)), key=key.hex())
        table.move_cursor(row=min(row, max(0, len(table.rows) - 1)), animate=False, scroll=False)
        table.scroll_to(y=scroll, animate=False)

    def action_pause(self) -> None:
        """Hold the tables still, or let them go on; reading goes on all the time."""
        self._paused = not self._paused

    def action_filter(self) -> None:
        """Ask for the text that rows must contain."""
        box = self.query_one("#filter", Input)
        box.styles.display = "block"
        box.focus()

    async def action_back(self) -> None:
        """Leave the filter or what stands behind a row."""
        box = self.query_one("#filter", Input)
        if box.styles.display == "block":
            box.value = ""
            box.styles.display = "none"
            self.query_one("#sections", DataTable).focus()
        else:
            self._behind = None
        await self.show_tables()

    async def on_input_changed(self, event: Input.Changed) -> None:
        """Show only rows that contain what was typed."""
        self._wanted = event.value.lower()
        await self.show_tables()

    def on_input_submitted(self) -> None:
        """Keep the filter and go back to the tables."""
        self.query_one("#sections", DataTable).focus()

    async def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        """Show what stands behind a section or an address."""
        kind = {"sections": "section", "ips": "ip"}.get(event.data_table.id or "")
        if kind and event.row_key.value is not None:
            self._behind = (kind, bytes.fromhex(event.row_key.value))
            await self.show_tables()


def _sections(
    summary: AccessSummary, drill: Drill | None, behind: tuple[str, bytes] | None
) -> list[tuple[bytes, tuple[str, ...]]]:
    """Return rows of the sections' table; behind a section only that one."""
    only = behind[1] if drill and behind and behind[0] == "section" else None
    return [
        (name, (f"{hits:,}", size_text(size), escape(name)))
        for name, (hits, size) in summary.sections.items()
        if only is None or name == only
    ]


def _counted(counts: Sequence[tuple[bytes, int]]) -> list[tuple[bytes, tuple[str, ...]]]:
    return [(name, (f"{hits:,}", escape(name))) for name, hits in counts]
