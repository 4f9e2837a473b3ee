"""Checks content on its way through the door: the stream at once, and all of it decoded at the end.

Rule: what can be decoded is kept in a temporary file of bounded size, gone when the check is closed.
"""

import asyncio
import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import IO

from trivet.drive.validation.kinds import kind_of_mime, kind_of_name
from trivet.drive.validation.rule import Rule
from trivet.drive.validation.validator import HASHES, Content, Validator
from trivet.errors import CorruptContent
from trivet.gateway.decoding.pool import DecodingPool, decoder_of

#: Larger content is checked as a stream only.
MAX_DECODED_BYTES = 256 << 20
_IN_THREAD_BYTES = 1 << 16
#: How temporary files are called; the number of the process that made it follows.
SPOOL_PREFIX = "check-"


class ContentCheck:
    """One piece of content being checked under `rule`; `close` it whatever happens (as a teardown).

    `name`, `mime`, `expected_size` and `expected_hashes` are what the sender says, see `Validator`, as for
    `hashes`.
    Temporary files are made in `spool`, decoding is done by `pool`.
    """

    def __init__(
        self,
        name: str,
        mime: str | None,
        expected_size: int | None,
        expected_hashes: Mapping[str, str] | None,
        *,
        rule: Rule,
        pool: DecodingPool,
        spool: Path,
        hashes: Collection[str] = HASHES,
    ) -> None:
        self._name, self._rule, self._pool = name, rule, pool
        self._validator = Validator(name, mime, expected_size, expected_hashes, rule=rule, hashes=hashes)
        decodable = rule != "off" and decoder_of(kind_of_name(name) or kind_of_mime(mime)) is not None
        small = expected_size is None or expected_size <= MAX_DECODED_BYTES
        self._closing = contextlib.ExitStack()
        self._file: IO[bytes] | None = None
        if decodable and small:
            spooled = tempfile.NamedTemporaryFile(dir=spool, prefix=f"{SPOOL_PREFIX}{os.getpid()}-")  # noqa: SIM115  (`close` does)
            self._file = self._closing.enter_context(spooled)

    async def feed(self, chunk: bytes) -> None:
        """Take the next bytes; raise CorruptContent or UnsupportedType as soon as they can't be right."""
        if len(chunk) < _IN_THREAD_BYTES:
            self._take(chunk)
        else:
            await asyncio.to_thread(self._take, chunk)

    def _take(self, chunk: bytes) -> None:
        self._validator.feed(chunk)
        if self._file is not None:
            self._file.write(chunk)
            if self._validator.size_bytes > MAX_DECODED_BYTES:
                self.close()

    async def finish(self) -> Content:
        """Return what the content was; raise CorruptContent or UnsupportedType when the rule is to refuse."""
        content = self._validator.finish()
        if self._file is None or content.fault is not None or not content.size_bytes:
            return content
        self._file.flush()
        fault = await self._pool.fault(Path(self._file.name), content.kind)
        if fault is None:
            return content
        if self._rule == "refuse":
            raise CorruptContent(f"{self._name} is damaged: {fault}")
        return dataclasses.replace(content, fault=f"{self._name} is damaged: {fault}")

    def close(self) -> None:
        """Remove the temporary file."""
        self._file = None
        self._closing.close()
