"""Tasks that run as long as their owner: a bug in one must not pass for silence.

Rule: whoever begins a task cancels it and awaits it.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any


def own_task(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Begin `work`; what it fails with goes to the loop's exception handler, which ends the process."""
    task = asyncio.create_task(work)
    task.add_done_callback(_surface)
    return task


def _surface(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.result()
