"""The compiled kernel made ready for following: loaded before the first line is counted, compiled beside it.

Rule: a board never waits for the compiler: where the kernel was not compiled yet another process does that
while the regular expressions count.
Rule: everything is loaded in advance: a part that is loaded when it is first needed stops the board for it.
Rule: what is loaded is taken out of garbage collection: a full one walks over it for a fifth of a second.
"""

import asyncio
import gc
import os
import sys
from collections.abc import Callable
from importlib.util import find_spec

from trivet.insight.logs.rehearsal import rehearse
from trivet.io import runner
from trivet.monitor.logs.engine_choice import ENGINES, cache_is_kept, kernel_is_compiled

_COMPILE_S = 300.0


class KernelReady:
    """Whether the kernel is `loaded` and `why_not`; `beside` compiles it meanwhile, where that is needed."""

    def __init__(self) -> None:
        self.loaded = False
        self.why_not = ""
        self.beside: asyncio.Task[None] | None = None

    async def prepare(self, wanted: str, say: Callable[[str], None]) -> None:
        """Load the kernel, or begin to compile it; `wanted` is an engine's name. `close` must follow."""
        if wanted not in ENGINES or wanted == "regex" or find_spec("numba") is None:
            return
        gc.freeze()
        if kernel_is_compiled():
            await self._load()
        elif wanted == "kernel":
            say("compiling the kernel, once; lines wait for about fifteen seconds")
            if cache_is_kept():
                await _compile()
            await self._load()
        elif cache_is_kept():
            self.why_not = "the kernel is being compiled"
            say("the kernel is being compiled, once; until then the slower engine reads")
            self.beside = asyncio.create_task(self._compile_and_load())
        else:
            self.why_not = "this account can keep no compiled code (--engine kernel compiles it every time)"

    async def _load(self) -> None:
        await asyncio.to_thread(_load)
        self.loaded, self.why_not = True, ""

    async def _compile_and_load(self) -> None:
        if await _compile():
            await self._load()

    async def close(self) -> None:
        """Stop what still compiles."""
        if self.beside is not None:
            self.beside.cancel()
            await asyncio.gather(self.beside, return_exceptions=True)
            self.beside = None


def _load() -> None:
    rehearse()
    gc.freeze()


async def _compile() -> bool:
    """Compile the kernel in another process; return whether that succeeded."""
    done = await runner.run([sys.executable, "-m", __name__], deadline_s=_COMPILE_S)
    return done.exit_code == 0


if __name__ == "__main__":
    os.nice(10)
    rehearse()
