"""What is checked of a file on its way out: its type before the first byte, the rest before the last one.

Rule: content that was checked on its way in, and is called what it was called then, is only hashed.
Rule: what is found of other content is remembered by this worker, for as long as content and name stay.
Rule: a checksum that does not fit lets all be read once more: what is the same twice was changed in place,
with its size and time kept, and gets new checksums; what is not is refused.
Rule: where the rule is to refuse, a part of content that nobody has checked waits until all of it is.
"""

from dataclasses import dataclass, replace

from trivet.drive.file_metadata import FileMetadata, Sums
from trivet.drive.resources import FileView
from trivet.drive.validation.rule import Rule
from trivet.drive.validation.type_check import HEAD_BYTES, check_type, promise
from trivet.errors import CorruptContent, UnsupportedType
from trivet.gateway.content_check import ContentCheck
from trivet.gateway.files.drive import Drive
from trivet.gateway.files.nodes import rule_for
from trivet.gateway.files.reading import PIECE_BYTES, renewed_sums
from trivet.volume.interface import Snapshot


@dataclass(frozen=True, slots=True)
class Outgoing:
    """The content of the inode `ino`, offered as `name`; the rule is that of the file `view`."""

    ino: int
    name: str
    mime_type: str
    metadata: FileMetadata
    view: FileView


def outgoing(view: FileView) -> Outgoing:
    """Return the newest version of `view` as it is offered."""
    return Outgoing(view.ino, view.name, view.mime_type, view.metadata, view)


@dataclass(frozen=True, slots=True)
class Proof:
    """What is known before the first byte: `fault` is told, `is_known` says that no look inside is needed."""

    key: tuple[object, ...]
    rule: Rule
    is_known: bool
    fault: str | None
    sums: Sums | None


async def judged(drive: Drive, out: Outgoing, snapshot: Snapshot) -> Proof:
    """Return what is known of `out`; raise UnsupportedType or CorruptContent where that is to be refused."""
    size, mtime_ns = snapshot.attributes.size, snapshot.attributes.mtime_ns
    promised = promise(out.name, out.mime_type)
    key = (out.ino, size, mtime_ns, promised)
    mark = out.metadata.content_at(size, mtime_ns)
    sums = mark.sums if mark else None
    was_checked = mark is not None and mark.checked == promised
    if was_checked and out.metadata.fault is None:
        return Proof(key, "off", is_known=True, fault=None, sums=sums)
    rule = await rule_for(drive, out.view)
    if rule == "off":
        return Proof(key, rule, is_known=True, fault=None, sums=sums)
    try:
        head = await drive.volume.read(snapshot.handle, 0, min(size, HEAD_BYTES)) if size else b""
        check_type(out.name, out.mime_type, head)
    except (CorruptContent, UnsupportedType) as error:
        if rule == "refuse":
            raise
        return Proof(key, rule, is_known=True, fault=str(error), sums=sums)
    fault = out.metadata.fault if was_checked else drive.verdicts.get(key)
    if fault and rule == "refuse":
        raise CorruptContent(fault)
    return Proof(key, rule, is_known=fault is not None, fault=fault or None, sums=sums)


class LeavingCheck:
    """Checks all of `out` while it is read: `feed` it from the beginning, `finish` and `close` it."""

    def __init__(self, drive: Drive, out: Outgoing, snapshot: Snapshot, proof: Proof) -> None:
        self._drive, self._out, self._snapshot, self._proof = drive, out, snapshot, proof
        self._content = ContentCheck(
            out.name, out.mime_type, snapshot.attributes.size, {},
            rule="off" if proof.is_known else proof.rule, pool=drive.pool, spool=drive.folder / "uploads",
            hashes=("sha256",) if proof.sums else (),
        )  # fmt: skip

    async def feed(self, piece: bytes) -> None:
        """Take the next bytes; raise as soon as they are to be refused."""
        try:
            await self._content.feed(piece)
        except (CorruptContent, UnsupportedType) as error:
            self._drive.verdicts.note(self._proof.key, str(error))
            raise

    async def finish(self) -> Proof:
        """Return what is known now; raise when it is to be refused, or is not what its checksum says."""
        proof = self._proof
        try:
            content = await self._content.finish()
        except (CorruptContent, UnsupportedType) as error:
            self._drive.verdicts.note(proof.key, str(error))
            raise
        if not proof.is_known:
            self._drive.verdicts.note(proof.key, content.fault)
            proof = replace(proof, is_known=True, fault=content.fault)
        if proof.sums is not None and content.checksums["sha256"] != proof.sums.sha256:
            seen = content.checksums["sha256"]
            sums = await renewed_sums(self._drive, self._out.ino, self._snapshot.version)
            if sums is None or sums.sha256 != seen:
                raise CorruptContent(f"{self._out.name} was read twice and is not the same; ask again")
            proof = replace(proof, sums=sums)
        return proof

    def close(self) -> None:
        """Remove the temporary file."""
        self._content.close()


async def feed_from(drive: Drive, snapshot: Snapshot, check: LeavingCheck, stop: int) -> None:
    """Feed `check` with the bytes of `snapshot` before `stop`, which nobody is sent."""
    at = 0
    while at < stop:
        piece = await drive.volume.read(snapshot.handle, at, min(PIECE_BYTES, stop - at))
        assert piece, "a snapshot is as long as its attributes say"
        await check.feed(piece)
        at += len(piece)


async def whole_proof(drive: Drive, out: Outgoing, snapshot: Snapshot, proof: Proof) -> Proof:
    """Return what is known of all of `out`, read for that now; raises as `LeavingCheck.finish` does."""
    check = LeavingCheck(drive, out, snapshot, proof)
    try:
        await feed_from(drive, snapshot, check, snapshot.attributes.size)
        return await check.finish()
    finally:
        check.close()
