"""A vendor's drive for tests: files, versions, changes, upload sessions; no sockets, no faults.

Rule: it shares no module with trivet, so that one misreading of the protocol can't hide on both sides.
Rule: it counts every change that it carries out, so that a test can say "exactly once".
Source: the vendor's published reference of Drive v3 as of autumn 2026.
"""

import hashlib
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

FOLDER = "application/vnd.google-apps.folder"
ROOT = "0ARoot"
WEEK_S = 7 * 24 * 3600.0


class Refused(Exception):
    """A request that the vendor refuses: `status` and `reason` as it tells them."""

    def __init__(self, status: int, reason: str, message: str = "") -> None:
        super().__init__(message or reason)
        self.status = status
        self.reason = reason


@dataclass
class VendorFile:
    """One file or folder of the vendor."""

    id: str
    name: str
    mime: str
    parent: str
    data: bytes | None
    modified_s: float
    created_s: float
    revision: str = ""
    version: int = 1
    trashed: bool = False


@dataclass
class Session:
    """One resumable upload: `held` bytes of `total`."""

    metadata: dict[str, Any]
    target: str | None
    mime: str
    until_s: float
    held: bytearray = field(default_factory=bytearray)
    done: str | None = None


class VendorDrive:
    """The drive of one account; `now_s` tells the vendor's time, `rng` draws its ids."""

    def __init__(self, now_s: Callable[[], float] = time.time, rng: random.Random | None = None) -> None:
        self.now_s = now_s
        self._rng = rng or random.SystemRandom()
        self.files: dict[str, VendorFile] = {}
        self.sessions: dict[str, Session] = {}
        self.issued: set[str] = set()
        self.changes: list[str] = []
        #: What was carried out: (what, file id); "create", "content", "metadata", "delete".
        self.applied: list[tuple[str, str]] = []
        self.files[ROOT] = VendorFile(ROOT, "My Drive", FOLDER, "", None, now_s(), now_s())

    def find(self, file_id: str) -> VendorFile:
        """Return a file that is there, or refuse with 404."""
        found = self.files.get(ROOT if file_id == "root" else file_id)
        if found is None:
            raise Refused(404, "notFound", f"File not found: {file_id}.")
        return found

    def generate(self, count: int) -> list[str]:
        """Give out ids to create files with."""
        made = [f"1{self._token(20)}" for _ in range(count)]
        self.issued.update(made)
        return made

    def create(self, metadata: dict[str, Any], data: bytes | None, mime: str = "") -> VendorFile:
        """Make a file or folder."""
        file_id = metadata.get("id") or self.generate(1)[0]
        if file_id not in self.issued:
            raise Refused(400, "invalid", "The provided file ID is not usable.")
        if file_id in self.files:
            raise Refused(409, "fileIdInUse", "A file already exists with the provided ID.")
        parent = self.find((metadata.get("parents") or ["root"])[0])
        if parent.mime != FOLDER:
            raise Refused(403, "parentNotAFolder")
        mime = metadata.get("mimeType") or mime or "application/octet-stream"
        content = None if mime == FOLDER else data or b""
        now = self.now_s()
        made = VendorFile(
            file_id, metadata.get("name", "Untitled"), mime, parent.id, content,
            _time_of(metadata.get("modifiedTime"), now), now, self._token(8),
        )  # fmt: skip
        self.files[file_id] = made
        self._changed(made, "create")
        return made

    def update(self, file_id: str, metadata: dict[str, Any], data: bytes | None, **where: str) -> VendorFile:
        """Change a file; `data` None leaves its content, `add` and `remove` are parents."""
        file = self.find(file_id)
        if where.get("add"):
            self.find(where["add"])
            if where.get("remove", "") not in ("", file.parent):
                raise Refused(400, "invalid", "not a parent")
            file.parent = where["add"]
        file.name = metadata.get("name", file.name)
        file.trashed = metadata.get("trashed", file.trashed)
        file.modified_s = _time_of(metadata.get("modifiedTime"), self.now_s())
        if data is not None:
            file.data, file.revision = data, self._token(8)
        file.version += 1
        self._changed(file, "metadata" if data is None else "content")
        return file

    def delete(self, file_id: str) -> None:
        """Remove a file for good, with what is in it."""
        file = self.find(file_id)
        for child in [one.id for one in self.files.values() if one.parent == file.id]:
            self.delete(child)
        del self.files[file.id]
        self._changed(file, "delete")

    def _token(self, size: int) -> str:
        return self._rng.randbytes(size).hex()

    def _changed(self, file: VendorFile, what: str) -> None:
        self.changes.append(file.id)
        self.applied.append((what, file.id))

    def is_trashed(self, file: VendorFile) -> bool:
        """Tell whether it, or a folder above it, is in the trash."""
        while not file.trashed and file.parent in self.files:
            file = self.files[file.parent]
        return file.trashed

    def told(self, file: VendorFile) -> dict[str, Any]:
        """Return the File as JSON: 64-bit numbers are strings, checksums are of blobs only."""
        told: dict[str, Any] = {
            "kind": "drive#file", "id": file.id, "name": file.name, "mimeType": file.mime,
            "trashed": self.is_trashed(file), "version": str(file.version),
            "modifiedTime": _text_of(file.modified_s), "createdTime": _text_of(file.created_s),
            "capabilities": {"canEdit": True, "canDownload": True},
        }  # fmt: skip
        if file.parent:
            told["parents"] = [file.parent]
        if file.data is not None:
            told |= {
                "size": str(len(file.data)), "headRevisionId": file.revision,
                "md5Checksum": hashlib.md5(file.data).hexdigest(),
                "sha1Checksum": hashlib.sha1(file.data).hexdigest(),
                "sha256Checksum": hashlib.sha256(file.data).hexdigest(),
            }  # fmt: skip
        return told

    def listed(self, q: str) -> list[VendorFile]:
        """Return the files that a query of the simple kinds selects, in order of their ids."""
        parents = [ROOT if one == "root" else one for one in re.findall(r"'([^']+)' in parents", q)]
        trashed = re.search(r"trashed\s*=\s*(true|false)", q)
        found = [
            file
            for file in self.files.values()
            if file.parent
            and (not parents or file.parent in parents)
            and (trashed is None or self.is_trashed(file) == (trashed[1] == "true"))
        ]
        return sorted(found, key=lambda file: file.id)

    def begin(self, metadata: dict[str, Any], target: str | None, mime: str) -> str:
        """Begin a resumable upload; return its key."""
        if target is not None:
            self.find(target)
        elif metadata.get("id") in self.files:
            raise Refused(409, "fileIdInUse", "A file already exists with the provided ID.")
        key = self._token(16)
        self.sessions[key] = Session(metadata, target, mime, self.now_s() + WEEK_S)
        return key

    def session(self, key: str) -> Session:
        """Return an upload that has not expired, or refuse with 404."""
        found = self.sessions.get(key)
        if found is None or found.until_s < self.now_s():
            raise Refused(404, "notFound", "upload session not found")
        return found

    def finish(self, session: Session) -> VendorFile:
        """Make the file of an upload that is whole."""
        data = bytes(session.held)
        if session.target is None:
            made = self.create(session.metadata, data, session.mime)
        else:
            made = self.update(session.target, session.metadata, data)
        session.done, session.held = made.id, bytearray()
        return made


def _time_of(text: str | None, now_s: float) -> float:
    return now_s if text is None else datetime.fromisoformat(text).timestamp()


def _text_of(time_s: float) -> str:
    stamp = datetime.fromtimestamp(time_s, UTC)
    return f"{stamp:%Y-%m-%dT%H:%M:%S}.{stamp.microsecond // 1000:03d}Z"
