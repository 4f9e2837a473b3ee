"""A store of trees: read as written, written once, and no damage of it taken for a tree."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from test_tar_of_trees import Told, a_file, body_at, some_tree

from trivet.client.backup.store import Store, Stored
from trivet.client.backup.tree_entry import TreeEntry
from trivet.errors import Conflict, InputError, NotFound


def written(store: Store, name: str, entries: list[TreeEntry]) -> Stored:
    """Write a tree."""

    async def listed() -> AsyncIterator[TreeEntry]:
        for entry in entries:
            yield entry

    return asyncio.run(store.write(name, listed()))


def read(store: Store, name: str) -> list[Told]:
    """Read a tree whole."""

    async def read_all() -> list[Told]:
        found = []
        async for entry in store.read(name):
            pieces = [await entry.read(start, end - start) for start, end in entry.spans]
            told = entry.path, entry.attributes, entry.target, entry.link, dict(entry.xattrs)
            found.append((*told, list(entry.spans), b"".join(pieces)))
        return found

    return asyncio.run(read_all())


def pieces_of(place: Path) -> list[Path]:
    """Return the files of all pieces."""
    return sorted(path for path in (place / "pieces").rglob("*") if path.is_file())


def test_a_tree_is_read_as_it_was_written_and_costs_nothing_twice(tmp_path: Path) -> None:
    store, tree = Store(tmp_path / "store"), some_tree()
    tree.append(a_file(b"large", (2 << 20) + 5, [(0, (2 << 20) + 5)]))
    first = written(store, "one", tree)
    assert first.files == len(tree)
    assert first.pieces_new > 3
    again = written(store, "two", [*some_tree(), a_file(b"more", 3_000, [(0, 3_000)])])
    assert (again.pieces_new, again.bytes_new) == (1, 3_000)
    assert store.names() == ["one", "two"]
    for entry, (path, found, target, link, xattrs, spans, data) in zip(tree, read(store, "one"), strict=True):
        assert (path, found, target, link, xattrs) == (
            entry.path, entry.attributes, entry.target, entry.link, entry.xattrs,
        )  # fmt: skip
        assert sum(end - start for start, end in spans) == entry.held_bytes
        assert data == b"".join(body_at(start, end - start) for start, end in entry.spans)
    with pytest.raises(Conflict):
        written(store, "two", [])
    with pytest.raises(NotFound):
        read(store, "three")


def test_no_damage_is_taken_for_a_tree(tmp_path: Path) -> None:
    store = Store(tmp_path)
    written(store, "one", some_tree())
    whole = (tmp_path / "trees" / "one").read_bytes()
    for at in range(0, len(whole), 97):
        spoilt = bytearray(whole)
        spoilt[at] ^= 0x10
        for damaged in (bytes(spoilt), whole[:at]):
            (tmp_path / "trees" / "one").write_bytes(damaged)
            with pytest.raises(InputError):
                read(store, "one")
    (tmp_path / "trees" / "one").write_bytes(whole)
    piece = pieces_of(tmp_path)[0]
    good = piece.read_bytes()
    for damaged in (bytes([good[0] ^ 1]) + good[1:], good[:-1]):
        piece.write_bytes(damaged)
        with pytest.raises(InputError, match=piece.name):
            read(store, "one")
    piece.unlink()
    with pytest.raises(InputError, match="missing"):
        read(store, "one")
    assert written(store, "two", some_tree()).pieces_new == 1, "what is missing is written again"
    assert len(read(store, "one")) == len(some_tree())


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(InputError, match="something else"):
        written(Store(tmp_path), "one", [])
    with pytest.raises(InputError, match="holds no store"):
        Store(tmp_path / "nowhere").names()
    with pytest.raises(InputError):
        written(Store(tmp_path / "new"), "../one", [])
    assert os.listdir(tmp_path) == ["file"]
