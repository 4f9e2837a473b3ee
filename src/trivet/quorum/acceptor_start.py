"""What an acceptor is when its server starts: from the stored meta, the journal as read, and the boot id.

Rule: what was not synced may be gone once the boot id has changed, so such a server is suspect unless it
had stopped cleanly; what a failed sync left behind is not believed in any boot.
"""

import msgspec

from trivet.quorum.acceptor import Acceptor
from trivet.quorum.acceptor_commands import AcceptorCommand, AcceptorMeta, DropJournal, Standing, StoreMeta
from trivet.quorum.hash_chain import HashChain


def fresh(volume: str, port: int, incarnation: str, boot_id: str, *, acceptor: bool) -> AcceptorMeta:
    """Return the meta of an empty store; `acceptor` is False for servers that keep blobs only."""
    return AcceptorMeta(volume, port, incarnation, boot_id, "empty" if acceptor else "blobs")


def start(
    meta: AcceptorMeta, chain: HashChain, applied: int, boot_id: str, *, damaged: bool = False
) -> tuple[Acceptor, tuple[AcceptorCommand, ...]]:
    """Return the acceptor of a store just opened, and what to do before it answers.

    `chain` is the readable, chain-valid part of the journal above `meta.floor`, synced again by the
    caller; `applied` what the records show; `damaged` says that the journal is missing, that something
    unreadable stands before its end, or that the records could not be opened (and were made anew).
    """
    commands: list[AcceptorCommand] = []
    if 0 <= meta.trusted < chain.head:
        chain.cut(max(meta.trusted, chain.floor))
        commands.append(DropJournal(chain.head))
    standing: Standing = meta.standing
    misfit = (chain.floor, chain.floor_hash) != (meta.floor, meta.floor_hash)
    trimmed_all = chain.head == chain.floor > 0
    lossy = damaged or misfit or trimmed_all or chain.head < applied
    rebooted = meta.boot_id != boot_id and not meta.clean
    if standing == "voter" and (lossy or rebooted):
        standing = "suspect"
    started = msgspec.structs.replace(
        meta, boot_id=boot_id, standing=standing, clean=False, lossy=meta.lossy or lossy
    )
    commands.append(StoreMeta(started))
    return Acceptor(started, chain, applied), tuple(commands)
