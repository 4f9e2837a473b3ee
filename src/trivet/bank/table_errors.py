"""What SQLite's errors say of the table of records: that it is damaged, that the disk is full, or neither."""

import sqlite3

#: What a statement may raise: Python can't always decode what SQLite says of a damaged file.
TABLE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
#: Codes that speak of other programs, of the folder or of room. Any other, "no such column" too, means that
#: the file is damaged: the statements are ours and always the same.
_NO_DAMAGE = {
    sqlite3.SQLITE_AUTH, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_PERM, sqlite3.SQLITE_PROTOCOL,
}  # fmt: skip


def is_damage(error: Exception) -> bool:
    """Tell whether `error` says that the file is not a sound database, cut off, or no longer ours."""
    code = getattr(error, "sqlite_errorcode", None)
    return code is None or code & 0xFF not in _NO_DAMAGE


def is_full(error: Exception) -> bool:
    """Tell whether `error` says that the disk is full."""
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
