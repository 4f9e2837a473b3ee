"""`trivet serve board`: frames as lines, for the worker of the HTTP door that started it.

Rule: it ends with whoever reads it: a pipe that nobody reads any more, or SIGTERM.
"""

import asyncio
import contextlib
import os
import signal
import sys

from trivet.io.volume_folder import VolumeFolder
from trivet.monitor.board.gathering import BoardFigures
from trivet.wire.board_frames import frame_line

#: The board never takes the time of what serves people.
NICENESS = 5


async def print_frames(folder: VolumeFolder) -> int:
    """Print frames of the drive in `folder` until SIGTERM or SIGINT."""
    os.nice(NICENESS)
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError, BrokenPipeError):
        async with contextlib.aclosing(BoardFigures(folder).frames()) as frames:
            async for frame in frames:
                await asyncio.to_thread(_write, frame_line(frame))
    return 0


def _write(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
