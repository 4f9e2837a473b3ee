"""`trivet top`: the live board in the terminal, a Textual app over the same figures as the page.

Rule: it draws what the figures say, several times a second, and asks no door for anything.
Rule: when the drive is stopped while somebody looks, it ends with words and does not wait for ever.
"""

import asyncio
from typing import ClassVar

from rich.console import RenderableType
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Footer, Static

from trivet.io.volume_folder import VolumeFolder
from trivet.monitor.board import panels
from trivet.monitor.board.gathering import FRAME_S, BoardFigures
from trivet.wire.board_frames import BoardFrame

#: A drive whose keeper and `trivet up` are both gone for so long was stopped.
GONE_S = 2.0
#: Terminals with fewer columns show the panels one below the other.
NARROW_CELLS = 110


class TopBoard(App[str]):
    """Shows the drive in `folder` until `q`; ends with a sentence when the drive is stopped."""

    TITLE = "trivet top"
    CSS = """
    #verdict { padding: 0 1; border: heavy $success; height: auto; }
    #verdict.warn { border: heavy $warning; }
    #verdict.bad { border: heavy $error; }
    Horizontal { height: auto; }
    .-narrow Horizontal { layout: vertical; }
    VerticalScroll { height: 1fr; }
    .panel { width: 1fr; height: auto; border: round $primary; padding: 0 1; }
    """
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (NARROW_CELLS, "-wide")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "sort", "Sort processes"),
        Binding("p", "pause", "Pause"),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(self, folder: VolumeFolder) -> None:
        super().__init__()
        self._folder = folder
        self._frame: BoardFrame | None = None
        self._drawing: asyncio.Task[None] | None = None
        self._order = panels.ORDERS[0]
        self._paused = False
        self.failed: BaseException | None = None

    def compose(self) -> ComposeResult:
        """Lay the board out: the sentence, then panels side by side."""
        yield Static(id="verdict")
        with VerticalScroll():
            for row in panels.ROWS:
                with Horizontal():
                    for name, title in row:
                        panel = Static(id=name, classes="panel")
                        panel.border_title = title
                        yield panel
        yield Footer()

    def on_mount(self) -> None:
        """Start looking."""
        self._drawing = asyncio.create_task(self._look())
        self._drawing.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Leave the board when looking failed; whoever runs it raises `failed`."""
        if not task.cancelled() and task.exception() is not None:
            self.failed = task.exception()
            self.exit()

    async def on_unmount(self) -> None:
        """Stop looking."""
        if self._drawing is not None:
            self._drawing.cancel()
            await asyncio.gather(self._drawing, return_exceptions=True)

    async def _look(self) -> None:
        figures, gone_s = BoardFigures(self._folder), 0.0
        async with figures.gathering():
            while gone_s < GONE_S:
                gone_s = 0.0 if figures.is_running else gone_s + FRAME_S
                self._frame = figures.frame()
                if not self._paused:
                    self.draw()
                await asyncio.sleep(FRAME_S)
        self.exit("the drive was stopped")

    def draw(self) -> None:
        """Fill the panels with the newest frame."""
        frame = self._frame
        if frame is None:
            return
        verdict = self.query_one("#verdict", Static)
        verdict.set_classes(frame.verdict.level)
        verdict.update(panels.verdict_text(frame, paused=self._paused))
        for row in panels.ROWS:
            for name, _ in row:
                shown: RenderableType | None = panels.panel(name, frame, self._order)
                panel = self.query_one(f"#{name}", Static)
                panel.display = shown is not None
                panel.update(shown if shown is not None else Text(""))

    def action_sort(self) -> None:
        """Order the processes by the next of name, CPU, memory, handles."""
        self._order = panels.ORDERS[(panels.ORDERS.index(self._order) + 1) % len(panels.ORDERS)]
        self.draw()

    def action_pause(self) -> None:
        """Hold the board still, or let it go on."""
        self._paused = not self._paused
        self.draw()
