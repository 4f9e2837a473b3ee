"""The vendor's Drive v3, one method a call: no retries, no rules, every answer checked for its shape.

Rule: a call that gets no usable answer raises VendorTrouble, with the vendor's status and reason if it gave
one; whether to try again is decided elsewhere.
Rule: bodies go up and down in pieces; memory does not grow with files.
Source: the vendor's published reference of Drive v3 as of autumn 2026.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx2
import msgspec

from trivet.errors import UpstreamError

FOLDER_MIME = "application/vnd.google-apps.folder"
GOOGLE_KINDS = "application/vnd.google-apps."
FIELDS = (
    "id,name,mimeType,parents,trashed,size,md5Checksum,sha1Checksum,sha256Checksum,headRevisionId,"
    "modifiedTime,createdTime,version"
)
PAGE = 1000
READ_S, CONNECT_S = 60.0, 10.0
_RESUME = 308

Kind = TypeVar("Kind")
#: Returns the Authorization header's value, or None where no login is needed; `renew` asks for a new one.
Authorize = Callable[[bool], Awaitable[str | None]]


class VendorTrouble(UpstreamError):
    """A call that failed: `status` None when the connection broke, `reason` as the vendor names it."""

    def __init__(self, message: str, *, status: int | None, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class VendorFile(msgspec.Struct, frozen=True, rename="camel"):
    """A File as the vendor tells it; sums and revision are of blobs only."""

    id: str
    name: str
    mime_type: str
    parents: list[str] = []
    trashed: bool = False
    size: str = "0"
    md5_checksum: str | None = None
    sha1_checksum: str | None = None
    sha256_checksum: str | None = None
    head_revision_id: str = ""
    modified_time: str = "1970-01-01T00:00:00Z"
    created_time: str = "1970-01-01T00:00:00Z"

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.mime_type == FOLDER_MIME

    @property
    def has_bytes(self) -> bool:
        """Whether it can be downloaded; the vendor's own documents can't."""
        return not self.mime_type.startswith(GOOGLE_KINDS)


class FilePage(msgspec.Struct, frozen=True, rename="camel"):
    """Some files, and how to get the next ones."""

    files: list[VendorFile]
    next_page_token: str | None = None


class VendorChange(msgspec.Struct, frozen=True, rename="camel"):
    """One file that has changed; `file` as it stands now, None when it is gone."""

    file_id: str | None = None
    removed: bool = False
    file: VendorFile | None = None


class ChangePage(msgspec.Struct, frozen=True, rename="camel"):
    """Some changes; one of the two tokens says how to go on."""

    changes: list[VendorChange]
    next_page_token: str | None = None
    new_start_page_token: str | None = None


class _Start(msgspec.Struct, frozen=True, rename="camel"):
    start_page_token: str


class _Ids(msgspec.Struct, frozen=True):
    ids: list[str]


class _Error(msgspec.Struct, frozen=True):
    message: str = ""
    errors: list[dict[str, Any]] = []


class _Told(msgspec.Struct, frozen=True):
    error: _Error


async def no_login(renew: bool) -> str | None:
    """Authorize nothing: the server asks for no login."""
    return None


class DriveApi:
    """The Drive v3 service at `url`; `close` it. `transport` replaces sockets in tests."""

    def __init__(
        self,
        url: str,
        authorize: Authorize = no_login,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._authorize = authorize
        self._http = httpx2.AsyncClient(
            base_url=url.rstrip("/"),
            timeout=httpx2.Timeout(READ_S, connect=CONNECT_S),
            follow_redirects=False,
            transport=transport,
        )

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def about(self) -> dict[str, Any]:
        """Return whose account it is and how full it is."""
        return await self._json("GET", "/drive/v3/about", dict[str, Any], fields="user,storageQuota")

    async def get(self, file_id: str) -> VendorFile:
        """Return a file as it stands."""
        return await self._json("GET", f"/drive/v3/files/{file_id}", VendorFile, fields=FIELDS)

    async def files(self, q: str, page_token: str | None) -> FilePage:
        """Return a page of the files that `q` selects."""
        fields = f"nextPageToken,files({FIELDS})"
        more: dict[str, Any] = {"pageToken": page_token} if page_token else {}
        return await self._json(
            "GET", "/drive/v3/files", FilePage, None, q=q, pageSize=PAGE, fields=fields, **more
        )

    async def start_token(self) -> str:
        """Return where a listing of changes from now on begins."""
        return (await self._json("GET", "/drive/v3/changes/startPageToken", _Start)).start_page_token

    async def changes(self, page_token: str) -> ChangePage:
        """Return a page of changes behind `page_token`."""
        fields = f"nextPageToken,newStartPageToken,changes(fileId,removed,file({FIELDS}))"
        return await self._json(
            "GET", "/drive/v3/changes", ChangePage, pageToken=page_token, pageSize=PAGE, fields=fields
        )

    async def generate_ids(self, count: int) -> list[str]:
        """Return ids that files may be created with."""
        return (await self._json("GET", "/drive/v3/files/generateIds", _Ids, count=count)).ids

    async def create_folder(self, metadata: dict[str, Any]) -> VendorFile:
        """Make a folder."""
        body = {**metadata, "mimeType": FOLDER_MIME}
        return await self._json("POST", "/drive/v3/files", VendorFile, body, fields=FIELDS)

    async def update(self, file_id: str, metadata: dict[str, Any], add: str, remove: str) -> VendorFile:
        """Change a file's metadata and, unless they are empty, its folder."""
        where = {"addParents": add, "removeParents": remove} if add else {}
        return await self._json(
            "PATCH", f"/drive/v3/files/{file_id}", VendorFile, metadata, fields=FIELDS, **where
        )

    async def begin_upload(
        self, file_id: str | None, metadata: dict[str, Any], mime: str, size_bytes: int
    ) -> str:
        """Begin the resumable upload of a new file (None) or of new content; return the session's address."""
        method, place = ("POST", "") if file_id is None else ("PATCH", f"/{file_id}")
        headers = {"X-Upload-Content-Type": mime, "X-Upload-Content-Length": str(size_bytes)}
        query = {"uploadType": "resumable", "fields": FIELDS}
        path = f"/upload/drive/v3/files{place}"
        answer = await self._send(method, path, json=metadata, headers=headers, params=query)
        location = answer.headers.get("location")
        if not location:
            raise VendorTrouble("the vendor began an upload and named no address for it", status=None)
        return str(location)

    async def send_chunk(self, session: str, data: bytes, offset: int, total: int) -> VendorFile | int:
        """Send bytes of an upload, none of an empty file; return the file if whole, else what is held."""
        span = {"Content-Range": f"bytes {offset}-{offset + len(data) - 1}/{total}"} if data else {}
        return await self._sent(session, data, span)

    async def upload_state(self, session: str) -> VendorFile | int:
        """Ask how far an upload is: the file when it is whole, else how many bytes are held."""
        return await self._sent(session, b"", {"Content-Range": "bytes */*"})

    async def _sent(self, session: str, data: bytes, headers: dict[str, str]) -> VendorFile | int:
        answer = await self._send("PUT", session, content=data, headers=headers)
        if answer.status_code == _RESUME:
            said = answer.headers.get("range", "")
            return int(said.rpartition("-")[2]) + 1 if said else 0
        return _decoded(answer.content, VendorFile)

    @asynccontextmanager
    async def download(self, file_id: str, offset: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give the bytes of a file from `offset` on; VendorTrouble also when they break off."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        request = self._http.build_request(
            "GET", f"/drive/v3/files/{file_id}", params={"alt": "media"}, headers=headers
        )
        try:
            answer = await self._answered(request, stream=True)
            try:
                if offset and not answer.headers.get("content-range", "").startswith(f"bytes {offset}-"):
                    raise VendorTrouble("the vendor sends other bytes than were asked for", status=None)
                yield answer.aiter_bytes(1 << 18)
            finally:
                await answer.aclose()
        except httpx2.HTTPError as error:
            raise _broken(error) from error

    async def _json(
        self, method: str, path: str, kind: type[Kind], body: dict[str, Any] | None = None, **query: Any
    ) -> Kind:
        answer = await self._send(method, path, json=body, params=query)
        return _decoded(answer.content, kind)

    async def _send(self, method: str, url: str, **more: Any) -> httpx2.Response:
        try:
            return await self._answered(self._http.build_request(method, url, **more), stream=False)
        except httpx2.HTTPError as error:
            raise _broken(error) from error

    async def _answered(self, request: httpx2.Request, *, stream: bool) -> httpx2.Response:
        """Return the answer to `request`; a login that has run out is renewed once."""
        for renew in (False, True):
            word = await self._authorize(renew)
            if word is not None:
                request.headers["Authorization"] = word
            answer = await self._http.send(request, stream=stream)
            if answer.status_code in (200, 201, 204, 206, _RESUME):
                return answer
            content = await answer.aread()
            await answer.aclose()
            if answer.status_code != 401 or word is None:
                break
        raise _refusal(answer.status_code, content)


def _decoded(content: bytes, kind: type[Kind]) -> Kind:
    try:
        return msgspec.json.decode(content, type=kind)
    except msgspec.DecodeError as error:
        raise VendorTrouble(f"the vendor's answer can't be read: {error}", status=None) from error


def _refusal(status: int, content: bytes) -> VendorTrouble:
    try:
        told = msgspec.json.decode(content, type=_Told).error
        reason = str(told.errors[0].get("reason", "")) if told.errors else ""
        message = told.message
    except msgspec.DecodeError:
        reason = message = ""
    return VendorTrouble(f"the vendor says {status} {reason} {message}".strip(), status=status, reason=reason)


def _broken(error: httpx2.HTTPError) -> VendorTrouble:
    return VendorTrouble(f"no answer from the vendor: {error or type(error).__name__}", status=None)
