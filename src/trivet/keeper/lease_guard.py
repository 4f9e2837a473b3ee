"""The lease at the volume: nothing is answered of which another keeper may know better.

Rule: asked after the answer was found, before it is given: what was true then was the last state.
Rule: a volume without a standby never pays for this: it is put on the one instance, once one registers.
"""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from trivet.errors import NoMajority, TrivetError
from trivet.keeper.local_volume import LocalVolume

_NO_ANSWERS = {"start", "close"}


def guard(volume: LocalVolume, may_answer: Callable[[], bool]) -> None:
    """Have everything that `volume` answers from now on raise NoMajority (EIO) unless `may_answer`."""
    for name, method in inspect.getmembers(volume, inspect.iscoroutinefunction):
        if not name.startswith("_") and name not in _NO_ANSWERS:
            setattr(volume, name, _guarded(method, may_answer))


def _guarded(
    method: Callable[..., Awaitable[Any]], may_answer: Callable[[], bool]
) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(method)
    async def answered(*arguments: Any, **named: Any) -> Any:
        try:
            result = await method(*arguments, **named)
        except TrivetError as error:
            if may_answer():
                raise
            raise _lost() from error
        if not may_answer():
            raise _lost()
        return result

    return answered


def _lost() -> NoMajority:
    return NoMajority("the lease has run out: another keeper may lead by now")
