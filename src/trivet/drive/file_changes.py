"""What a caller wants a file's metadata to be: the body of create, update and copy, checked and applied.

Rule: a field that is not sent stays as it is; a property sent as null is taken away.
Source: the published protocol's reference of `files`, fields marked writable.
"""

from typing import Annotated, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from trivet.drive.errors_v3 import InvalidParameter
from trivet.drive.file_metadata import FileMetadata
from trivet.drive.names import check_name
from trivet.drive.resources import FOLDER_MIME
from trivet.drive.timestamps import parse_rfc3339
from trivet.errors import RequestError

PROPERTIES_MAX = 100
PROPERTY_MAX_BYTES = 124
TEXT_MAX_CHARACTERS = 25_000

Text = Annotated[str, Meta(max_length=TEXT_MAX_CHARACTERS)]
Properties = dict[str, str | None]
Kind = TypeVar("Kind")


class FileChanges(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """Every writable field; UNSET = not sent."""

    id: str | UnsetType = UNSET
    name: Text | UnsetType = UNSET
    mime_type: Text | UnsetType = UNSET
    parents: list[str] | UnsetType = UNSET
    description: Text | UnsetType | None = UNSET
    starred: bool | UnsetType = UNSET
    trashed: bool | UnsetType = UNSET
    properties: Properties | UnsetType | None = UNSET
    app_properties: Properties | UnsetType | None = UNSET
    created_time: str | UnsetType = UNSET
    modified_time: str | UnsetType = UNSET
    viewed_by_me_time: str | UnsetType = UNSET
    original_filename: Text | UnsetType = UNSET
    folder_color_rgb: Text | UnsetType = UNSET
    keep_revision_forever: bool | UnsetType = UNSET

    @property
    def modified_ns(self) -> int | None:
        """The mtime that is asked for, None if none is."""
        return None if self.modified_time is UNSET else _time(self.modified_time, "modifiedTime")

    @property
    def makes_folder(self) -> bool:
        """Whether it describes a folder."""
        return self.mime_type == FOLDER_MIME


def decode_changes(body: bytes) -> FileChanges:
    """Return what a request's JSON `body` asks for (b"" = nothing); RequestError or InvalidParameter."""
    return checked(decode_json(body, FileChanges)) if body.strip() else FileChanges()


def decode_json(body: bytes, kind: type[Kind]) -> Kind:
    """Return the JSON `body` as `kind`; RequestError if it is none."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"the JSON body can't be used: {error}") from error
    except RecursionError as error:
        raise RequestError("the JSON body is nested too deeply") from error


def checked(changes: FileChanges) -> FileChanges:
    """Return `changes` if each of them may be; InvalidParameter that names the one that may not."""
    if changes.name is not UNSET:
        check_name(changes.name)
    for name, value in (
        ("createdTime", changes.created_time),
        ("modifiedTime", changes.modified_time),
        ("viewedByMeTime", changes.viewed_by_me_time),
    ):
        if value is not UNSET:
            _time(value, name)
    if changes.parents is not UNSET and len(changes.parents) > 1:
        raise InvalidParameter("A file cannot have more than one parent", "parents", reason="multiparenting")
    for where, sent in (("properties", changes.properties), ("appProperties", changes.app_properties)):
        if isinstance(sent, dict):
            _check_properties(where, sent)
    return changes


def apply_changes(old: FileMetadata, changes: FileChanges) -> FileMetadata:
    """Return `old` with `changes`; names, parents, trash and mtime are applied where files are moved."""
    new: dict[str, object] = {}
    if changes.mime_type is not UNSET:
        new["mime_type"] = None if changes.makes_folder else changes.mime_type or None
    if changes.description is not UNSET:
        new["description"] = changes.description or ""
    if changes.starred is not UNSET:
        new["starred"] = changes.starred
    if changes.properties is not UNSET:
        new["properties"] = _merged("properties", old.properties, changes.properties)
    if changes.app_properties is not UNSET:
        new["app_properties"] = _merged("appProperties", old.app_properties, changes.app_properties)
    if changes.created_time is not UNSET:
        new["created_ns"] = _time(changes.created_time, "createdTime")
    if changes.viewed_by_me_time is not UNSET:
        new["viewed_ns"] = _time(changes.viewed_by_me_time, "viewedByMeTime")
    if changes.original_filename is not UNSET:
        new["original_name"] = changes.original_filename or None
    if changes.folder_color_rgb is not UNSET:
        new["folder_color"] = changes.folder_color_rgb or None
    if changes.keep_revision_forever is not UNSET:
        new["keep_forever"] = changes.keep_revision_forever
    return old.changed(**new)


def _merged(where: str, old: dict[str, str], sent: Properties | None) -> dict[str, str]:
    merged: Properties = {} if sent is None else {**old, **sent}
    kept = {key: value for key, value in merged.items() if value is not None}
    if len(kept) > PROPERTIES_MAX:
        raise InvalidParameter(f"a file has at most {PROPERTIES_MAX} {where}", where)
    return kept


def _check_properties(where: str, sent: Properties) -> None:
    for key, value in sent.items():
        if not key or len(key.encode()) + len((value or "").encode()) > PROPERTY_MAX_BYTES:
            raise InvalidParameter(
                f"{where}: a key has a name, and with its value at most {PROPERTY_MAX_BYTES} bytes", where
            )


def _time(text: str, location: str) -> int:
    try:
        return parse_rfc3339(text)
    except ValueError as error:
        raise InvalidParameter(str(error), location) from error
