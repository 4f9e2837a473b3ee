"""The vendor's HTTP face without sockets: one request in, one answer out.

Rule: quotas are counted before anything is done; a spent one is refused as the vendor refuses it.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from vendor_drive import Refused, Session, VendorDrive, VendorFile

UNITS = {"get": 5, "list": 100, "download": 200, "update": 50}
DAY_S = 24 * 3600.0
CHUNK_UNIT = 256 << 10


@dataclass
class Asked:
    """One request as it came: `path` with its query, header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def plain(self) -> str:
        """The path without its query."""
        return urlsplit(self.path).path

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters."""
        return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}


@dataclass
class Answer:
    """What is answered; `is_media` when the body is a file's bytes."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    is_media: bool = False


@dataclass
class Quota:
    """What the vendor lets an account do a day; None = as much as it likes."""

    requests: int | None = None
    units: int | None = None
    download_bytes: int | None = None
    upload_bytes: int | None = None


class VendorFace:
    """Answers requests on `drive`; `seen` counts them by kind."""

    def __init__(self, drive: VendorDrive, quota: Quota | None = None) -> None:
        self.drive = drive
        self.quota = quota or Quota()
        #: The tokens that are good now; None where no login is needed.
        self.bearers: set[str] | None = None
        self.seen: dict[str, int] = {}
        self.used = {"requests": 0, "units": 0, "download_bytes": 0, "upload_bytes": 0}
        self._day = -1

    def answer(self, asked: Asked) -> Answer:
        """Do what is asked."""
        try:
            token = asked.headers.get("authorization", "").removeprefix("Bearer ")
            if self.bearers is not None and token not in self.bearers:
                raise Refused(401, "authError", "Invalid Credentials")
            for method, pattern, kind, handler in _ROUTES:
                found = re.fullmatch(pattern, asked.plain)
                if found and asked.method in method:
                    if kind == "get" and asked.query.get("alt") == "media":
                        kind = "download"
                    self._count(kind, asked)
                    return handler(self, asked, *found.groups())
            raise Refused(404, "notFound", f"no such method: {asked.method} {asked.plain}")
        except Refused as refusal:
            return refused(refusal.status, refusal.reason, str(refusal))

    def _count(self, kind: str, asked: Asked) -> None:
        day = int(self.drive.now_s() // DAY_S)
        if day != self._day:
            self._day, self.used = day, dict.fromkeys(self.used, 0)
        self.seen[kind] = self.seen.get(kind, 0) + 1
        upload = len(asked.body) if asked.plain.startswith(("/upload/", "/session/")) else 0
        wanted = {"requests": 1, "units": UNITS.get(kind, 5), "upload_bytes": upload}
        if kind == "download":
            file = self.drive.find(asked.plain.rsplit("/", 1)[1])
            wanted["download_bytes"] = len(_part(asked, file)[0])
        for name, more in wanted.items():
            limit = getattr(self.quota, name)
            if limit is not None and self.used[name] + more > limit:
                raise Refused(403, "dailyLimitExceeded", "Daily Limit Exceeded.")
        for name, more in wanted.items():
            self.used[name] += more

    def about(self, asked: Asked) -> Answer:
        """about.get."""
        user = {"kind": "drive#user", "displayName": "Ann", "emailAddress": "ann@example.org", "me": True}
        used = sum(len(file.data or b"") for file in self.drive.files.values())
        quota = {"limit": str(15 << 30), "usage": str(used), "usageInDrive": str(used)}
        return told({"kind": "drive#about", "user": user, "storageQuota": quota})

    def generate_ids(self, asked: Asked) -> Answer:
        """files.generateIds."""
        ids = self.drive.generate(int(asked.query.get("count", 10)))
        return told({"kind": "drive#generatedIds", "space": "drive", "ids": ids})

    def list(self, asked: Asked) -> Answer:
        """files.list; a page token is the place to go on from."""
        found = self.drive.listed(asked.query.get("q", ""))
        start, size = int(asked.query.get("pageToken", 0)), min(int(asked.query.get("pageSize", 100)), 1000)
        files = [self.drive.told(one) for one in found[start : start + size]]
        page: dict[str, Any] = {"kind": "drive#fileList", "incompleteSearch": False, "files": files}
        if start + size < len(found):
            page["nextPageToken"] = str(start + size)
        return told(page)

    def get(self, asked: Asked, file_id: str) -> Answer:
        """files.get, with alt=media its bytes."""
        file = self.drive.find(file_id)
        if asked.query.get("alt") != "media":
            return told(self.drive.told(file))
        if file.data is None:
            raise Refused(403, "fileNotDownloadable", "Only files with binary content can be downloaded.")
        part, start = _part(asked, file)
        if "range" not in asked.headers:
            return Answer(200, part, {"content-type": file.mime}, is_media=True)
        size = len(file.data)
        if not part:
            return Answer(416, b"", {"content-range": f"bytes */{size}"})
        headers = {
            "content-type": file.mime,
            "content-range": f"bytes {start}-{start + len(part) - 1}/{size}",
        }
        return Answer(206, part, headers, is_media=True)

    def create(self, asked: Asked) -> Answer:
        """files.create without media: folders."""
        return told(self.drive.told(self.drive.create(_json(asked), None)))

    def update(self, asked: Asked, file_id: str) -> Answer:
        """files.update of metadata."""
        query = asked.query
        where = {"add": query.get("addParents", ""), "remove": query.get("removeParents", "")}
        return told(self.drive.told(self.drive.update(file_id, _json(asked), None, **where)))

    def delete(self, asked: Asked, file_id: str) -> Answer:
        """files.delete."""
        self.drive.delete(file_id)
        return Answer(204)

    def copy(self, asked: Asked, file_id: str) -> Answer:
        """files.copy."""
        file, wanted = self.drive.find(file_id), _json(asked)
        body = {"name": f"Copy of {file.name}", "parents": [file.parent], "mimeType": file.mime} | wanted
        return told(self.drive.told(self.drive.create(body, file.data)))

    def start_token(self, asked: Asked) -> Answer:
        """changes.getStartPageToken."""
        return told({"kind": "drive#startPageToken", "startPageToken": str(len(self.drive.changes))})

    def changes(self, asked: Asked) -> Answer:
        """changes.list: each file once a page, as it stands now."""
        start, size = int(asked.query["pageToken"]), min(int(asked.query.get("pageSize", 100)), 1000)
        ids = self.drive.changes[start : start + size]
        told_changes = []
        for file_id in dict.fromkeys(ids):
            file = self.drive.files.get(file_id)
            one: dict[str, Any] = {"kind": "drive#change", "changeType": "file", "fileId": file_id}
            one |= {"removed": True} if file is None else {"removed": False, "file": self.drive.told(file)}
            told_changes.append(one)
        page: dict[str, Any] = {"kind": "drive#changeList", "changes": told_changes}
        end = start + len(ids)
        page["nextPageToken" if end < len(self.drive.changes) else "newStartPageToken"] = str(end)
        return told(page)

    def begin(self, asked: Asked, file_id: str | None = None) -> Answer:
        """The start of a resumable upload; others than resumable are not spoken here."""
        if asked.query.get("uploadType") != "resumable":
            raise Refused(400, "badRequest", "only resumable uploads are simulated")
        kind = asked.headers.get("x-upload-content-type", "")
        key = self.drive.begin(_json(asked), file_id, kind)
        place = f"http://{asked.headers.get('host', 'vendor')}/session/{key}"
        return Answer(200, b"", {"location": place})

    def chunk(self, asked: Asked, key: str) -> Answer:
        """A chunk of a resumable upload, or the question how far it is."""
        session = self.drive.session(key)
        if session.done is not None:
            return told(self.drive.told(self.drive.find(session.done)))
        said = re.fullmatch(r"bytes (\*|(\d+)-(\d+))/(\*|\d+)", asked.headers.get("content-range", ""))
        if said is None:
            if asked.body:
                raise Refused(400, "badRequest", "Content-Range is missing")
            return self._whole(session)
        if said[1] == "*":
            return self._whole(session) if said[4] == str(len(session.held)) else _incomplete(session)
        start, end = int(said[2]), int(said[3]) + 1
        is_last = said[4] != "*" and end == int(said[4])
        if end - start != len(asked.body) or (not is_last and end % CHUNK_UNIT):
            raise Refused(400, "badRequest", "a chunk is as long as it says, a multiple of 256 KiB")
        if start > len(session.held):
            return _incomplete(session)
        session.held += asked.body[len(session.held) - start :]
        return self._whole(session) if is_last else _incomplete(session)

    def _whole(self, session: Session) -> Answer:
        return told(self.drive.told(self.drive.finish(session)))


def told(value: object) -> Answer:
    """Return a JSON answer."""
    return Answer(200, json.dumps(value).encode(), {"content-type": "application/json; charset=UTF-8"})


def refused(status: int, reason: str, message: str = "") -> Answer:
    """Return a refusal in the vendor's shape."""
    item = {"domain": "usageLimits" if status in (403, 429) else "global", "reason": reason}
    error = {"code": status, "message": message or reason, "errors": [{**item, "message": message or reason}]}
    body = json.dumps({"error": error}).encode()
    return Answer(status, body, {"content-type": "application/json; charset=UTF-8"})


def _incomplete(session: Session) -> Answer:
    held = len(session.held)
    return Answer(308, b"", {"range": f"bytes=0-{held - 1}"} if held else {})


def _json(asked: Asked) -> dict[str, Any]:
    value = json.loads(asked.body or b"{}")
    assert isinstance(value, dict)
    return value


def _part(asked: Asked, file: VendorFile) -> tuple[bytes, int]:
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", asked.headers.get("range", "bytes=0-"))
    if found is None:
        raise Refused(400, "badRequest", "this range is not spoken here")
    start = int(found[1])
    return (file.data or b"")[start : int(found[2]) + 1 if found[2] else None], start


Handler = Callable[..., Answer]
_V3, _ID = "/drive/v3", r"([\w-]+)"
_ROUTES: list[tuple[tuple[str, ...], str, str, Handler]] = [
    (("GET",), f"{_V3}/about", "get", VendorFace.about),
    (("GET",), f"{_V3}/files/generateIds", "get", VendorFace.generate_ids),
    (("GET",), f"{_V3}/changes/startPageToken", "get", VendorFace.start_token),
    (("GET",), f"{_V3}/changes", "list", VendorFace.changes),
    (("GET",), f"{_V3}/files", "list", VendorFace.list),
    (("POST",), f"{_V3}/files", "update", VendorFace.create),
    (("POST",), f"{_V3}/files/{_ID}/copy", "update", VendorFace.copy),
    (("GET",), f"{_V3}/files/{_ID}", "get", VendorFace.get),
    (("PATCH",), f"{_V3}/files/{_ID}", "update", VendorFace.update),
    (("DELETE",), f"{_V3}/files/{_ID}", "update", VendorFace.delete),
    (("POST",), f"/upload{_V3}/files", "update", VendorFace.begin),
    (("PATCH", "PUT"), f"/upload{_V3}/files/{_ID}", "update", VendorFace.begin),
    (("PUT", "POST"), f"/session/{_ID}", "update", VendorFace.chunk),
]
