"""Which engine reads a log, and why: the compiled kernel or the regular expression.

Rule: both give the same answers; the choice is about time, and it is said aloud.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from trivet.errors import InputError

ENGINES = ("auto", "kernel", "regex")
KERNEL_FORMATS = ("common", "combined", "vhost", "combined+duration")
#: below this the regular expression is done before the kernel is compiled
_SMALL_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """The engine's `name` (kernel or regex) and `why` it was taken."""

    name: str
    why: str


def kernel_is_compiled() -> bool:
    """Return whether an earlier run left the compiled kernel in numba's cache."""
    from trivet.insight.logs import kernel_scan

    return cached(kernel_scan.scan_block, "kernel_*", "kernel_scan.scan_block-*.nbi", kernel_sources())


def cache_is_kept() -> bool:
    """Return whether this account has a place where compiled code can be kept."""
    from trivet.insight.logs import kernel_scan

    function: Any = kernel_scan.scan_block
    return function._cache.cache_path is not None


def kernel_sources() -> list[Path]:
    """Return the files that the kernel is compiled from."""
    from trivet.insight.logs import kernel_scan

    return list(Path(kernel_scan.__file__).parent.glob("kernel_*.py"))


def cached(function: Any, code: str, entry: str, sources: Sequence[Path]) -> bool:
    """Return whether the cache of `function` holds its `entry`; `code` older than its `sources` goes.

    numba looks only at the file of the function it calls, not at those of the functions inside it.
    """
    if function._cache.cache_path is None:
        return False
    cache = Path(function._cache.cache_path)
    changed_s = max(source.stat().st_mtime for source in sources)
    compiled = list(cache.glob(f"{code}.nb[ic]"))
    if any(path.stat().st_mtime < changed_s for path in compiled if path.suffix == ".nbi"):
        for path in compiled:
            path.unlink(missing_ok=True)
        return False
    return any(cache.glob(entry))


def choose_engine(
    wanted: str, format_names: Sequence[str], size_bytes: int, say: Callable[[str], None]
) -> EngineChoice:
    """Return the engine for files in `format_names` of `size_bytes` together (0 of standard input).

    `say` is told when the kernel has to be compiled first. Raises InputError for an unknown engine, and
    where the kernel is asked for by name and cannot read the format.
    """
    if wanted not in ENGINES:
        raise InputError(f"no engine is called {wanted!r}; choose one of {', '.join(ENGINES)}")
    if wanted == "regex":
        return EngineChoice("regex", "asked for")
    others = sorted({name for name in format_names if name not in KERNEL_FORMATS})
    if others:
        if wanted == "kernel":
            raise InputError(
                f"the kernel reads the Common family, not {', '.join(others)}; leave --engine out"
            )
        return EngineChoice("regex", f"{', '.join(others)} lines are read by their own parser")
    if find_spec("numba") is None:
        if wanted == "kernel":
            raise InputError("the kernel needs numba: install trivet with the extra 'insight'")
        return EngineChoice("regex", "numba is not installed")
    if kernel_is_compiled():
        return EngineChoice(
            "kernel", "asked for" if wanted == "kernel" else "the fastest, and compiled before"
        )
    if wanted == "auto" and 0 < size_bytes < _SMALL_BYTES:
        return EngineChoice(
            "regex", "a small input, and the kernel was not compiled yet (--engine kernel does it)"
        )
    say("compiling the kernel, once; this takes about ten seconds")
    return EngineChoice("kernel", "asked for" if wanted == "kernel" else "the fastest for a large input")
