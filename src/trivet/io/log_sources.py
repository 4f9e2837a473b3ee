"""Where a server's logs come from: local files, globs, standard input, or another machine over ssh.

Rule: `{date}` in a path is the report's date (`{date:%d.%m.%Y}` for other spellings).
Rule: `ssh host:path` runs the program ssh with a list of arguments, never a shell; only the far end's own
shell reads the path, and gets it quoted.
Rule: what ssh delivers is spooled to a file; how it failed is told, never taken for an empty log.
"""

import asyncio
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from trivet.errors import InputError, TrivetError
from trivet.io import runner

_NAMED = re.compile(r"([\w.-]+)=(.+)", re.DOTALL)
_SSH = re.compile(r"ssh(?:\s+|://)([^\s:/]+)(?::|(?=/))(.+)", re.DOTALL)
_DATE = re.compile(r"\{date(?::([^{}]+))?\}")
#: how many servers are asked at a time
AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class LogSource:
    """A `path` (or glob, or `-`) of one `server`'s log, on `host` when it is fetched by ssh."""

    server: str
    path: str
    host: str | None = None

    def __str__(self) -> str:
        return f"ssh {self.host}:{self.path}" if self.host else self.path


def with_date(path: str, day: date) -> str:
    """Return `path` with `{date}` and `{date:FORMAT}` replaced by `day`."""
    return _DATE.sub(lambda found: day.strftime(found[1] or "%Y-%m-%d"), path)


def names_date(text: str) -> bool:
    """Say whether `text` has a place for a date."""
    return _DATE.search(text) is not None


def parse_source(text: str, day: date) -> LogSource:
    """Return the source that `text` means: `[NAME=]PATH`, `[NAME=]ssh HOST:PATH` or `ssh://HOST/PATH`.

    The server's name is NAME, else HOST, else empty. Raises InputError for an ssh source without a host.
    """
    server = ""
    named = _NAMED.fullmatch(text)
    if named and not Path(text).exists():
        server, text = named.groups()
    text = with_date(text, day)
    remote = _SSH.fullmatch(text)
    if remote:
        host, path = remote.groups()
        if host.startswith("-"):
            raise InputError(f"'{text}': a host can't begin with '-'")
        return LogSource(server or host, path, host)
    if re.match(r"ssh(\s|://)", text):
        raise InputError(f"'{text}' names no file: write it as 'ssh HOST:/path/to/access.log'")
    return LogSource(server, text)


async def fetch(source: LogSource, into: Path, deadline_s: float) -> None:
    """Copy the file of an ssh `source` to `into`; raises TrivetError that says what ssh said."""
    assert source.host is not None
    path = source.path if not source.path.startswith("-") else f"./{source.path}"
    argv = ["ssh", source.host, "cat", shlex.quote(path)]
    out = os.open(into, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    env = {**os.environ, "SSH_ASKPASS_REQUIRE": "never"}
    try:
        async with runner.start(argv, stdout=out, env=env, keep_bytes=4096) as child:
            try:
                finished = await child.wait(deadline_s)
            except TimeoutError:
                finished = await child.stop(timed_out=True)
    finally:
        os.close(out)
    said = finished.stderr.decode("utf-8", "replace").strip().splitlines()
    if finished.timed_out:
        raise TrivetError(f"{source}: no end after {deadline_s:.0f} s (--ssh-timeout)")
    if finished.exit_code != 0:
        raise TrivetError(f"{source}: ssh ended with {finished.exit_code}: {said[-1] if said else 'no word'}")


async def fetch_all(
    sources: Sequence[LogSource], folder: Path, deadline_s: float
) -> list[Path | TrivetError]:
    """Fetch ssh `sources` into files of `folder`; the answers stand in the order of the sources."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, source: LogSource) -> Path | TrivetError:
        into = folder / f"{number}.log"
        async with gate:
            try:
                await fetch(source, into, deadline_s)
            except TrivetError as error:
                return error
        return into

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(number, source)) for number, source in enumerate(sources)]
    return [task.result() for task in tasks]
