"""The HTTP door of a drive under test: raw requests, official clients, resumable uploads by hand.

Rule: raw means raw: what a test sends is what goes over the socket.
"""

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import googleapiclient
import httpx
from google.auth.credentials import AnonymousCredentials
from googleapiclient.discovery import build_from_document

from drive_under_test import Drive, running_drive
from free_ports import free_port

FOLDER = "application/vnd.google-apps.folder"
UNIT = 256 << 10


class Door:
    """The door of `drive` on `port`; `http` asks it, paths are relative to it."""

    def __init__(self, drive: Drive, port: int) -> None:
        self.drive = drive
        self.port = port
        self.address = f"http://127.0.0.1:{port}"
        self.http = httpx.Client(base_url=self.address, timeout=30)

    def google(self) -> Any:
        """Return the official Python client, pointed at this door."""
        place = Path(googleapiclient.__file__).parent / "discovery_cache/documents/drive.v3.json"
        document = json.loads(place.read_text())
        document["rootUrl"] = self.address + "/"
        return build_from_document(document, credentials=AnonymousCredentials())

    def put(self, name: str, data: bytes, parent: str = "root", **more: Any) -> dict[str, Any]:
        """Upload a file in one multipart request; return the whole File."""
        metadata = json.dumps({"name": name, "parents": [parent], **more}).encode()
        body = b"--b\r\nContent-Type: application/json\r\n\r\n" + metadata
        body += b"\r\n--b\r\nContent-Type: application/octet-stream\r\n\r\n" + data + b"\r\n--b--"
        return self.told("POST", "/upload/drive/v3/files?uploadType=multipart&fields=*", content=body,
                         headers={"Content-Type": "multipart/related; boundary=b"})  # fmt: skip

    def folder(self, name: str, parent: str = "root") -> str:
        """Make a folder; return its id."""
        made = {"name": name, "mimeType": FOLDER, "parents": [parent]}
        return str(self.told("POST", "/drive/v3/files", json=made)["id"])

    def told(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """Ask; assert success; return the JSON."""
        answer = self.http.request(method, path, **more)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        told: dict[str, Any] = answer.json() if answer.content else {}
        return told

    def refused(self, method: str, path: str, **more: Any) -> tuple[int, dict[str, Any]]:
        """Ask; assert a refusal in Drive's shape; return its status and its first error."""
        answer = self.http.request(method, path, **more)
        error = answer.json()["error"]
        assert error["code"] == answer.status_code
        assert error["message"]
        return answer.status_code, error["errors"][0]

    def begin(self, name: str, parent: str = "root", **headers: str) -> str:
        """Begin a resumable upload; return its address."""
        made = {"name": name, "parents": [parent]}
        answer = self.http.post("/upload/drive/v3/files?uploadType=resumable", json=made, headers=headers)
        assert answer.status_code == 200, answer.text
        return str(answer.headers["location"])

    def content(self, file_id: str) -> bytes:
        """Return the bytes of a file."""
        answer = self.http.get(f"/drive/v3/files/{file_id}?alt=media")
        assert answer.status_code == 200, answer.text
        return answer.content

    def names(self, parent: str) -> list[str]:
        """Return the names in a folder, sorted."""
        found = self.told("GET", "/drive/v3/files", params={"q": f"'{parent}' in parents", "pageSize": 1000})
        return sorted(file["name"] for file in found["files"])

    def raw(self, data: bytes, timeout_s: float = 30.0) -> bytes:
        """Send bytes over a connection of their own; return what comes until the door closes it."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s) as link:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                link.sendall(data)
            parts = []
            with contextlib.suppress(ConnectionResetError):
                while piece := link.recv(1 << 16):
                    parts.append(piece)
            return b"".join(parts)

    def pid(self) -> int:
        """Return the worker that `trivet up` runs."""
        return int(self.drive.status()["gateway"]["pid"])

    def wait_up(self) -> None:
        """Wait until the door answers."""
        until = time.monotonic() + 30
        while True:
            with contextlib.suppress(httpx.TransportError):
                if self.http.get("/healthz").status_code == 200:
                    return
            assert time.monotonic() < until, "the door does not answer"
            time.sleep(0.05)


@contextlib.contextmanager
def open_door(place: Path, *options: str) -> Iterator[Door]:
    """Bring up a drive without a folder, its door open without logins, with one worker unless told."""
    port = free_port()
    one = [] if {"--workers", "--max-workers"} & set(options) else ["--max-workers", "1"]
    with running_drive(place, 1, "--no-mount", "--no-auth", "--port", str(port), *one, *options) as drive:
        door = Door(drive, port)
        try:
            yield door
        finally:
            door.http.close()
