"""Searching: the files of one folder, or of the whole drive, that match; page by page.

Rule: without an order a folder is told in the volume's own, so that a page costs what it holds; with one, or
over the whole drive, all is looked at and only a page is kept.
Rule: nobody is told of what they may not read.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from trivet.drive.errors_v3 import InvalidParameter
from trivet.drive.names import shown
from trivet.drive.ordering import SortKey, comparable, sort_values
from trivet.drive.query import Expression
from trivet.drive.query_match import matches, parents_of, wants_trash
from trivet.drive.resources import FileView
from trivet.drive.rights import Grant, Principal
from trivet.errors import FileSystemError, NotFound
from trivet.gateway.files import nodes
from trivet.gateway.files.drive import Drive
from trivet.volume.interface import ROOT_INO, DescribedEntry

TOGETHER = 128


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder to look through: the trash if `is_trash`."""

    ino: int
    file_id: str
    path: str
    in_trash: bool = False
    is_trash: bool = False


@dataclass(frozen=True, slots=True)
class Search:
    """Who looks for what, in which order; `with_version` if the answer is to tell versions."""

    who: Principal
    tree: Expression
    order: list[SortKey]
    with_version: bool = True


async def search(
    drive: Drive, asked: Search, after: list[Any] | None, size: int
) -> tuple[list[FileView], list[Any] | None]:
    """Return up to `size` matches behind the place `after`, and the place to go on from (None = the end)."""
    parents = parents_of(asked.tree)
    if parents is None:
        tops = [_Folder(ROOT_INO, "1", "")]
        found = _whole(drive, asked, [*tops, *_trash(drive, asked)])
        return await _sorted_page(asked.order, after, size, found)
    folders = []
    for one in sorted(parents):
        try:
            view = await nodes.find(drive, one, asked.who)
        except NotFound as error:
            raise NotFound(f"File not found: {one[:80]}.") from error
        if view.is_folder:
            folders.append(_Folder(view.ino, view.file_id, view.path.rstrip("/"), view.trashed))
    folders += _trash(drive, asked)
    if asked.order:
        return await _sorted_page(asked.order, after, size, _flat(drive, asked, folders))
    return await _folder_page(drive, asked, folders, after, size)


def _trash(drive: Drive, asked: Search) -> list[_Folder]:
    if not wants_trash(asked.tree):
        return []
    return [_Folder(drive.trash_ino, "", "", in_trash=True, is_trash=True)]


async def _folder_page(
    drive: Drive, asked: Search, folders: list[_Folder], after: list[Any] | None, size: int
) -> tuple[list[FileView], list[Any] | None]:
    index, cookie = (0, 0) if after is None else (after[0], after[1])
    page: list[FileView] = []
    place: list[Any] = []
    for number in range(index, len(folders)):
        behind = cookie if number == index else 0
        async for entry, view in _looked_at(drive, asked, folders[number], behind, size + 1):
            if view is None or not matches(asked.tree, view):
                continue
            if len(page) == size:
                return page, place
            page.append(view)
            place = [number, entry.cookie]
    return page, None


async def _sorted_page(
    order: list[SortKey], after: list[Any] | None, size: int, found: AsyncIterator[FileView]
) -> tuple[list[FileView], list[Any] | None]:
    behind = None if after is None else comparable(order, after)
    kept: list[tuple[tuple[Any, ...], FileView]] = []
    async for view in found:
        key = comparable(order, sort_values(order, view))
        if behind is None or key > behind:
            kept.append((key, view))
        if len(kept) > 2 * size + 1000:
            kept = sorted(kept, key=lambda item: item[0])[: size + 1]
    kept.sort(key=lambda item: item[0])
    page = [view for _, view in kept[:size]]
    return page, sort_values(order, page[-1]) if len(kept) > size else None


async def _flat(drive: Drive, asked: Search, folders: list[_Folder]) -> AsyncIterator[FileView]:
    for folder in folders:
        async for _, view in _looked_at(drive, asked, folder, 0, nodes.LISTING_STEP):
            if view is not None and matches(asked.tree, view):
                yield view


async def _whole(drive: Drive, asked: Search, tops: list[_Folder]) -> AsyncIterator[FileView]:
    waiting = list(tops)
    while waiting:
        folder = waiting.pop()
        async for entry, view in _looked_at(drive, asked, folder, 0, nodes.LISTING_STEP, all_folders=True):
            if view is None:
                continue
            if view.is_folder:
                path = view.path
                waiting.append(_Folder(view.ino, view.file_id, path, view.trashed))
            if matches(asked.tree, view) and _told(asked.who, entry, view):
                yield view


def _told(who: Principal, entry: DescribedEntry, view: FileView) -> bool:
    return who.may("r", view.path, nodes.grants_in(view.metadata))


async def _looked_at(
    drive: Drive, asked: Search, folder: _Folder, cookie: int, wanted: int, *, all_folders: bool = False
) -> AsyncIterator[tuple[DescribedEntry, FileView | None]]:
    """Yield the entries of `folder` behind `cookie` with what is told of them; None = not for this one."""
    grants: list[Grant] | None = None
    step: list[DescribedEntry] = []

    async def views() -> list[tuple[DescribedEntry, FileView | None]]:
        nonlocal grants
        found = await asyncio.gather(*(_view(drive, folder, entry, asked) for entry in step))
        told: list[tuple[DescribedEntry, FileView | None]] = []
        for entry, view in zip(step, found, strict=True):
            if view is not None and not asked.who.may("r", view.path):
                if grants is None:
                    grants = await _folder_grants(drive, folder)
                own = nodes.grants_in(view.metadata)
                if not asked.who.may("r", view.path, own + grants) and not (all_folders and view.is_folder):
                    view = None
            told.append((entry, view))
        step.clear()
        return told

    at_once = min(max(wanted, 10), nodes.LISTING_STEP)
    listed = nodes.entries_of(drive, folder.ino, cookie, at_once, with_versions=asked.with_version)
    async for entry in listed:
        step.append(entry)
        if len(step) >= min(TOGETHER, wanted):
            for one in await views():
                yield one
    for one in await views():
        yield one


async def _folder_grants(drive: Drive, folder: _Folder) -> list[Grant]:
    if folder.is_trash:
        return []
    return await nodes.grants_of(drive, await nodes.look(drive, folder.ino, ""))


async def _view(drive: Drive, folder: _Folder, entry: DescribedEntry, asked: Search) -> FileView | None:
    me = asked.who.user
    try:
        if folder.is_trash:
            return await nodes.look(drive, entry.attributes.ino, me)
        path = f"{folder.path}/{shown(entry.name)}"
        seen = nodes.Seen(entry.attributes, nodes.decoded(entry.value), entry.version)
        return nodes.view_of(drive, seen, entry.name, folder.file_id, path, me, in_trash=folder.in_trash)
    except (FileSystemError, NotFound):
        return None


def check_place(after: list[Any] | None, order: list[SortKey]) -> list[Any] | None:
    """Return a place out of a page token; InvalidParameter if it can't be one."""
    if after is not None and len(after) not in {2, len(order) + 1}:
        raise InvalidParameter("Invalid Value: pageToken is not one of this listing", "pageToken")
    return after
