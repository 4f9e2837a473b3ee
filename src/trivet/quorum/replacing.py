"""Whether servers of a bank may begin anew, empty: what they held must be whole on both other banks.

Rule: one good copy elsewhere would do to fill them, but then it would be the last one while they are filled.
Rule: a server is added only to a drive that is whole: what is in disorder is put right first.
"""

from collections.abc import Iterator

from trivet.wire.control_messages import Status


def hindrances(status: Status, base: int | None) -> list[str]:
    """Return why no server of the bank at `base` may be replaced now, a clause each; empty if it may.

    With `base` None: why none may be added to any bank.
    """
    return list(_hindrances(status, base))


def _hindrances(status: Status, base: int | None) -> Iterator[str]:
    for note in status.notes:
        if note.startswith("NoMajority"):
            yield note
    refilled = status.refill.servers if status.refill else []
    for bank in status.banks:
        if bank.base == base:
            continue
        if bank.lags:
            yield f"bank {bank.base} lags: {bank.lags}"
        for server in bank.servers:
            if server.state != "up":
                yield f"server {server.port} is {server.state}"
            elif server.port in refilled:
                yield f"server {server.port} is being filled itself"
            elif not server.compared:
                yield f"server {server.port} came back and is being compared"
            elif server.divergent:
                yield f"server {server.port} holds {server.divergent} copies that are wrong or missing"
