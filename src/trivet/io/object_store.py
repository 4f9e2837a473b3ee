"""An object store (S3, Google, Azure, a folder) by its URL: requests bounded, retried, and given up in time.

Rule: secrets come from the environment only; a URL that holds one is refused, since it would be seen in lists
of processes and in logs.
Rule: a store that did not answer is not asked again for PAUSE_S, so that nobody waits for it in vain.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from trivet.errors import ConfigError, StoreAway
from trivet.io.clock import steady_s
from trivet.io.disk import sync_folder

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Store

PAUSE_S = 2.0
REQUEST_TIMEOUT_S = 60.0
_CONNECT_TIMEOUT_S = 3.0
_RETRIES = 3
_READS_AT_ONCE = 16
_WRITES_AT_ONCE = 2
_SCHEMES = {"file": "", "s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}
_SECRET_WORDS = ("secret", "key", "token", "password", "credential", "sas", "signature")
_ENDPOINTS = ("endpoint", "endpoint_url", "endpoint_url_s3")
_SIZES = ("cache_bytes", "staging_bytes", "pack_s")


@dataclass(frozen=True, slots=True)
class StorePlan:
    """What the URL `given` says: where objects lie, the store's options, how much a server keeps at home.

    Bodies that are in the store stay on the disk up to `cache_bytes`; those that are not wait there up to
    `staging_bytes`; a segment that is not full is sent `pack_s` after its first blob.
    """

    given: str
    url: str
    prefix: str
    options: Mapping[str, str]
    cache_bytes: int = 1 << 30
    staging_bytes: int = 4 << 30
    pack_s: int = 30

    def is_same_place(self, other: "StorePlan") -> bool:
        """Tell whether objects lie at the same place, whatever the options are."""
        return (self.url, self.prefix) == (other.url, other.prefix)


def plan_of(url: str) -> StorePlan:
    """Return what `url` (s3://bucket/prefix?endpoint=..., gs:, az:, file:) says, or raise ConfigError."""
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not (parts.netloc or parts.scheme == "file") or "@" in parts.netloc:
        raise ConfigError(
            f"--blobs {parts.scheme}://...: write s3://BUCKET/PREFIX, gs://, az:// or file:///PATH"
        )
    if parts.scheme == "file" and (parts.netloc or not parts.path.startswith("/")):
        raise ConfigError(f"--blobs {url}: a folder is named by its whole path, file:///PATH")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    sizes: dict[str, int] = {}
    for name, value in list(options.items()):
        if any(word in name.lower() for word in _SECRET_WORDS):
            raise ConfigError(
                f"--blobs: {name} does not belong into a URL, where others can read it; "
                f"set it in the environment ({_SCHEMES[parts.scheme]}...)"
            )
        if name in _SIZES:
            if not value.isdecimal():
                raise ConfigError(f"--blobs: {name}={value} is not a whole number")
            sizes[name] = int(options.pop(name))
    path = parts.path if parts.scheme == "file" else ""
    prefix = "" if parts.scheme == "file" else parts.path.strip("/")
    return StorePlan(url, urlunsplit((parts.scheme, parts.netloc, path, "", "")), prefix, options, **sizes)


class ObjectStore:
    """The store of `plan`; the environment's `TRIVET_<base>_NAME` counts before NAME for the bank `base`."""

    def __init__(self, plan: StorePlan, base: int, environment: Mapping[str, str] = os.environ) -> None:
        self.plan = plan
        self._scheme = urlsplit(plan.url).scheme
        self._store = _open(plan, base, environment)
        self._reads = asyncio.Semaphore(_READS_AT_ONCE)
        self._writes = asyncio.Semaphore(_WRITES_AT_ONCE)
        self._away_until_s = 0.0
        self.trouble = ""

    def below(self, *names: str) -> str:
        """Return the path that `names` lead to below the prefix of the URL."""
        return "/".join([*filter(None, [self.plan.prefix]), *names])

    async def put(self, path: str, data: bytes) -> None:
        """Store `data` as the object `path`, whole or not at all; StoreAway if it can't be."""
        async with self._writes, self._asked(REQUEST_TIMEOUT_S):
            await self._store.put_async(path, data, use_multipart=False)
        if self._scheme == "file":
            await asyncio.to_thread(_sync_file, Path(urlsplit(self.plan.url).path, path))

    async def read(self, path: str, start: int, end: int) -> bytes | None:
        """Return the bytes [`start`, `end`) of the object `path`, fewer at its end; None if there is no such.

        Raises StoreAway.
        """
        self._refuse_if_away()
        async with self._reads:
            try:
                async with self._asked(REQUEST_TIMEOUT_S):
                    return (await self._store.get_range_async(path, start=start, end=end)).to_bytes()
            except FileNotFoundError:
                return None
            except StoreAway:
                if await self._is_shorter(path, start):
                    return b""
                raise

    async def _is_shorter(self, path: str, size: int) -> bool:
        """Tell whether the object `path` has at most `size` bytes: stores refuse to read behind its end."""
        try:
            async with self._asked(REQUEST_TIMEOUT_S):
                is_shorter = (await self._store.head_async(path))["size"] <= size
        except FileNotFoundError:
            return False
        self._away_until_s = 0.0
        return is_shorter

    async def delete(self, path: str) -> None:
        """Delete the object `path`; that there is none is fine. Raises StoreAway."""
        self._refuse_if_away()
        try:
            async with self._writes, self._asked(REQUEST_TIMEOUT_S):
                await self._store.delete_async(path)
        except FileNotFoundError:
            return

    def names_now(self, prefix: str) -> dict[str, int]:
        """Return path -> size of every object below `prefix`; blocks. ConfigError if it can't be had."""
        from obstore.exceptions import BaseError

        try:
            return {one["path"]: one["size"] for part in self._store.list(prefix) for one in part}
        except (BaseError, OSError, ValueError) as error:
            raise ConfigError(f"--blobs {self.plan.url} can't be used: {_told(error)}") from error

    def read_now(self, path: str) -> bytes:
        """Return the whole object `path`; blocks. ConfigError if it can't be had."""
        from obstore.exceptions import BaseError

        try:
            return bytes(self._store.get(path).bytes())
        except (BaseError, OSError, ValueError) as error:
            raise ConfigError(f"--blobs {self.plan.url} can't be used: {_told(error)}") from error

    def _refuse_if_away(self) -> None:
        if steady_s() < self._away_until_s:
            raise StoreAway(self.trouble)

    @asynccontextmanager
    async def _asked(self, timeout_s: float) -> AsyncIterator[None]:
        """Turn what goes wrong inside into StoreAway, and remember it."""
        from obstore.exceptions import BaseError, InvalidPathError

        try:
            async with asyncio.timeout(timeout_s):
                yield
        except FileNotFoundError:
            self.trouble = ""
            raise
        except InvalidPathError:
            raise
        except (BaseError, OSError, TimeoutError, ValueError) as error:
            self.trouble = f"the object store {self.plan.url} can't be used: {_told(error)}"
            self._away_until_s = steady_s() + PAUSE_S
            raise StoreAway(self.trouble) from error
        self.trouble = ""


def _open(plan: StorePlan, base: int, environment: Mapping[str, str]) -> "Store":
    try:
        from obstore.exceptions import BaseError
        from obstore.store import LocalStore, from_url
    except ImportError as error:
        raise ConfigError("blobs on object stores need `pip install trivet[engines]`") from error
    scheme = urlsplit(plan.url).scheme
    if scheme == "file":
        try:
            return LocalStore(urlsplit(plan.url).path, mkdir=True)
        except OSError as error:
            raise ConfigError(f"--blobs {plan.url} can't be used: {_told(error)}") from error
    config: dict[str, Any] = dict(plan.options)
    own = f"TRIVET_{base}_"
    for name, value in environment.items():
        if name.startswith(own):
            config[name.removeprefix(own).lower()] = value
    endpoints = [
        value
        for source in (environment, config)
        for name, value in source.items()
        if name.lower().removeprefix("aws_") in _ENDPOINTS
    ]
    client: dict[str, Any] = {
        "connect_timeout": timedelta(seconds=_CONNECT_TIMEOUT_S),
        "timeout": timedelta(seconds=REQUEST_TIMEOUT_S),
        "allow_http": any(value.startswith("http://") for value in endpoints),
    }
    retries: dict[str, Any] = {
        "max_retries": _RETRIES,
        "retry_timeout": timedelta(seconds=REQUEST_TIMEOUT_S),
    }
    make: Callable[..., Store] = from_url
    try:
        return make(plan.url, config=config, client_options=client, retry_config=retries)
    except (BaseError, ValueError) as error:
        raise ConfigError(f"--blobs {plan.url}: {_told(error)}") from error


def _told(error: BaseException) -> str:
    """Return the first line of what went wrong; the rest is a dump of structures."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _sync_file(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    sync_folder(path.parent)
