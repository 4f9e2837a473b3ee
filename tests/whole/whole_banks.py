"""Looks into the stores of a bank: does it hold, byte for byte, what the keeper says there is?"""

from trivet.bank.blob_copy import read_pieces
from trivet.keeper.findings import NamedBlobs
from trivet.quorum.digests import RecordIndex
from trivet.wire.blobs import root_of, sub_hashes
from trivet.wire.records import row_is_valid
from whole_drive import WholeDrive


def broken_promises(drive: WholeDrive, base: int) -> str:
    """Return what keeps the bank at `base` from being whole, "" if nothing does."""
    process = drive.keeper
    if process is None or not process.is_alive or not process.is_serving:
        return "no keeper serves"
    keeper = process.keeper
    assert keeper is not None
    assert keeper.shell is not None
    assert keeper.loaded is not None
    reign = keeper.shell.leader.reign
    follower = reign.followers[base]
    if not follower.counted:
        return f"bank {base} does not count"
    if reign.marks.durable != reign.log.head or follower.head != reign.log.head:
        return f"bank {base} is behind, or something is not durable"
    if not all(drive.servers[port].is_alive for port in drive.bank_ports(base)):
        return f"a server of bank {base} is down"
    seat = drive.servers[keeper.shell.acceptor(base).port]
    return _rows(drive, seat.port) or _blobs(drive, base) or _open(drive, base)


def _rows(drive: WholeDrive, port: int) -> str:
    assert drive.keeper is not None
    assert drive.keeper.keeper is not None
    loaded = drive.keeper.keeper.loaded
    place = drive.servers[port].place
    assert loaded is not None
    if place is None or place.acceptor.meta.standing != "voter":
        return f"server {port} does not vote"
    if place.records.applied != drive.keeper.log.head:
        return f"server {port} has not applied everything"
    index = loaded.journal.index
    key = drive.folder.read_key()
    try:
        rows = list(_all_rows(place.records._table))
    except Exception as error:  # noqa: BLE001 - whatever damage makes of SQLite
        return f"the records of server {port} can't be read: {error}"
    for row in rows:
        if not row_is_valid(key, row) or row.slot != index.slot_of(row.key):
            return f"server {port} has a wrong row {row.key!r} at {row.slot} ({index.slot_of(row.key)})"
    if index.sums() != _sums(rows):
        return f"the rows of server {port} do not add up"
    return ""


def _all_rows(table: object) -> list:  # type: ignore[type-arg]
    steps = table.rows_after(b"", 1 << 20, -1)  # type: ignore[attr-defined]
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value[0]


def _sums(rows: list) -> bytes:  # type: ignore[type-arg]
    index = RecordIndex()
    for row in rows:
        index.exchange(row.key, row.slot)
    return index.sums()


def _blobs(drive: WholeDrive, base: int) -> str:
    assert drive.keeper is not None
    key = drive.folder.read_key()
    places = [drive.servers[port].place for port in drive.bank_ports(base)]
    for ref in NamedBlobs(drive.keeper.volume.space).refs.values():
        if not any(place is not None and _holds(place.blobs, key, ref) for place in places):
            return f"bank {base} lacks a good copy of blob {ref.name}"
    return ""


def _holds(blobs: object, key: bytes, ref: object) -> bool:
    place = blobs.index.get(ref.name)  # type: ignore[attr-defined]
    if place is None or place.segment not in blobs._segments:  # type: ignore[attr-defined]
        return False
    found = read_pieces(key, blobs._segments[place.segment], place, 0, place.size)  # type: ignore[attr-defined]
    if found is None:
        return False
    data = bytes(found[1])
    return root_of(len(data), sub_hashes(data)) == ref.root  # type: ignore[attr-defined]


def _open(drive: WholeDrive, base: int) -> str:
    assert drive.keeper is not None
    assert drive.keeper.keeper is not None
    loaded = drive.keeper.keeper.loaded
    assert loaded is not None
    found = [finding for finding in loaded.queue.open.values() if finding.server in drive.bank_ports(base)]
    return f"{found[0]} is still open" if found else ""
