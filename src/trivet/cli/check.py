"""`trivet check`: walks folders and says of each file whether it is whole and is what its name says."""

import asyncio
import collections
import os
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from trivet.cli.asking import AsJson
from trivet.errors import InputError
from trivet.gateway.decoding.pool import DecodingPool
from trivet.gateway.file_check import Verdict, check_file


class FileVerdict(msgspec.Struct, frozen=True):
    """One file that is not OK, and why."""

    path: str
    reason: str


class CheckSum(msgspec.Struct, frozen=True):
    """What `trivet check --json` tells: counts, and the files that are damaged or that nobody could check."""

    ok: int
    errors: list[FileVerdict]
    skipped: list[FileVerdict]


def check(
    *paths: Path,
    ext: Annotated[
        list[str] | None,
        Parameter(help="Only files that end so, like .psb; ImageMagick is asked about unknown ones."),
    ] = None,
    json: AsJson = False,
) -> int:
    """Say of each file below PATHS: OK, or ERROR and why; exit code 1 when there is an ERROR.

    Images, PDF, ZIP, DOCX, XLSX, gzip and XML are read to their end; nothing is changed. SKIP marks what
    nothing here can read.
    """
    if not paths:
        raise InputError("name the files or folders to check: trivet check PATH...")
    for path in paths:
        if not path.exists():
            raise InputError(f"there is no {path}")
    endings = tuple("." + one.removeprefix(".").lower() for one in ext or ())
    told = asyncio.run(_check_all(list(paths), endings, quiet=json))
    if json:
        print(msgspec.json.format(msgspec.json.encode(told)).decode())
    else:
        print("\n".join(_sum_lines(told, endings)))
    return 1 if told.errors else 0


async def _check_all(paths: list[Path], endings: tuple[str, ...], *, quiet: bool) -> CheckSum:
    ok, told = 0, {"ERROR": list[FileVerdict](), "SKIP": list[FileVerdict]()}
    count = os.cpu_count() or 1
    async with DecodingPool(count) as pool:
        async for verdict in _in_order(_files(paths, endings), pool, count * 2, insist=bool(endings)):
            if verdict.outcome == "OK":
                ok += 1
            else:
                told[verdict.outcome].append(FileVerdict(str(verdict.path), verdict.reason))
            if not quiet:
                print(_line(verdict), flush=True)
    return CheckSum(ok, told["ERROR"], told["SKIP"])


async def _in_order(
    files: Iterator[Path], pool: DecodingPool, ahead: int, *, insist: bool
) -> AsyncIterator[Verdict]:
    tasks: collections.deque[asyncio.Task[Verdict]] = collections.deque()
    try:
        for path in files:
            tasks.append(asyncio.create_task(check_file(path, pool, insist=insist)))
            if len(tasks) >= ahead:
                yield await tasks.popleft()
        while tasks:
            yield await tasks.popleft()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _files(paths: list[Path], endings: tuple[str, ...]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders.sort()
            for name in sorted(names):
                found = Path(folder, name)
                if (not endings or name.lower().endswith(endings)) and _is_regular(found):
                    yield found


def _is_regular(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return True  # checking it will say what is the matter


def _line(verdict: Verdict) -> str:
    shown = str(verdict.path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    shown = "".join(one if one.isprintable() else repr(one)[1:-1] for one in shown)
    return f"{verdict.outcome:5} {shown}" + (f": {verdict.reason}" if verdict.reason else "")


def _sum_lines(told: CheckSum, endings: tuple[str, ...]) -> list[str]:
    files = told.ok + len(told.errors) + len(told.skipped)
    if not files:
        return [f"no files{' ending in ' + ', '.join(endings) if endings else ''} there"]
    skipped = f", {len(told.skipped):,} SKIP" if told.skipped else ""
    return [f"{files:,} file{'' if files == 1 else 's'}: {told.ok:,} OK, {len(told.errors):,} ERROR{skipped}"]
