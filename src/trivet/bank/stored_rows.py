"""Rows as SQLite hands them out, which may be anything once the file is damaged."""

import sqlite3

from trivet.wire.records import Row


def row_of(found: tuple[object, object, object, object]) -> Row:
    """Return a row as it stands; what damage made of another type becomes empty, and so invalid."""
    key, slot, value, mac = found
    return Row(
        key if isinstance(key, bytes) else b"",
        slot if isinstance(slot, int) and slot >= 0 else 0,
        value if isinstance(value, bytes) else b"",
        mac if isinstance(mac, bytes) else b"",
    )


def next_key(row: Row, last: bytes) -> bytes:
    """Return the key of `row`; who goes on behind the `last` one relies on their order."""
    if row.key <= last:
        raise sqlite3.DatabaseError("rows are out of order")
    return row.key
