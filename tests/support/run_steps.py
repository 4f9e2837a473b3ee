"""Jobs of a store's thread, which are generators, carried out in one go."""

from collections.abc import Generator
from typing import TypeVar

_T = TypeVar("_T")


def finish(steps: Generator[None, None, _T]) -> _T:
    """Carry a job out to its end and return what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: _T = end.value
            return result
