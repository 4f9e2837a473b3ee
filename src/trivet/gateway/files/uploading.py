"""One request's part of an upload: take the bytes, and when it is whole, check and publish it.

Rule: whatever ends a request early, what was taken is kept and the upload is parked; it goes on from there in
any process.
Rule: content that fails its checks is rolled back: the staged file is removed, the row says why.
"""

import asyncio
import secrets
from collections.abc import AsyncIterable, Awaitable, Callable
from dataclasses import dataclass
from errno import ENOENT

from msgspec import UNSET

from trivet.drive.file_changes import apply_changes
from trivet.drive.file_metadata import FileMetadata
from trivet.drive.resources import FileView
from trivet.drive.rights import Principal
from trivet.drive.uploads import Chunk, Query, plan_request
from trivet.drive.validation.type_check import promise
from trivet.errors import CorruptContent, FileSystemError, Forbidden, NotFound, RequestError, UnsupportedType
from trivet.gateway.content_check import ContentCheck
from trivet.gateway.files import nodes, staging, transfers
from trivet.gateway.files.drive import Drive
from trivet.gateway.files.generated_ids import note_use
from trivet.gateway.files.paths import while_it_stands
from trivet.gateway.files.publishing import described, file_away, publish_new, publish_over, was_exchanged
from trivet.gateway.files.transfers import Transfer, UploadPlan
from trivet.gateway.waypoints import moving, reach
from trivet.io.clock import wall_s

FILE_MAX_BYTES = 1 << 44


@dataclass(frozen=True, slots=True)
class Progress:
    """How an upload stands after a request: `view` once it is published, else `held` bytes of it."""

    held: int
    view: FileView | None = None


def make_check(drive: Drive, plan: UploadPlan, total: int | None) -> ContentCheck:
    """Return what checks the content that `plan` announces; close it."""
    return ContentCheck(
        plan.name, plan.content_type, total, plan.hashes,
        rule=plan.rule, pool=drive.pool, spool=drive.folder / "uploads",
    )  # fmt: skip


async def upload_whole(
    drive: Drive,
    who: Principal,
    plan: UploadPlan,
    body: AsyncIterable[bytes],
    total: int | None,
    plan_anew: Callable[[], Awaitable[UploadPlan]] | None = None,
) -> FileView:
    """Take a file that comes in one request, and publish it; nothing stays of one that fails.

    `plan_anew` is asked what it is to become when what `plan` says does not fit any more in the end: others
    have renamed a file over its target, or taken its name.
    """
    name = "put-" + secrets.token_hex(12)
    moving("upload", file=plan.path or plan.name)
    check = make_check(drive, plan, total)
    try:
        reach("queue_start")
        async with staging.made(drive, name) as (staged, handle):
            reach("queue_end", "transfer_start")
            limited = staging.bounded(body, FILE_MAX_BYTES)
            await staging.write_body(drive, handle, check, limited, 0, None)
        reach("transfer_end")
        content = await _finished(drive, staged, check, plan.changes.modified_ns)
        if plan_anew is None:
            return await _publish(drive, who, plan, name, staged, content)
        plans = [plan]

        async def publish() -> FileView:
            return await _publish(
                drive, who, plans.pop() if plans else await plan_anew(), name, staged, content
            )

        return await while_it_stands(publish)
    except BaseException:
        await asyncio.shield(asyncio.ensure_future(remove_staged(drive, name)))
        raise
    finally:
        check.close()


async def take_request(
    drive: Drive,
    who: Principal,
    key: str,
    content_range: str | None,
    length: int | None,
    body: AsyncIterable[bytes],
) -> Progress:
    """Do what one PUT or POST to the upload `key` says."""
    begun = await transfers.get(drive, key)
    check_owner(begun, who)
    moving("upload", key, file=begun.plan.path or begun.plan.name)
    reach("queue_start")
    async with transfers.only_writer(drive, key):
        reach("queue_end")
        upload = await transfers.get(drive, key)
        if upload.state == "committed":
            return Progress(upload.held, await _result(drive, upload, who))
        if upload.state == "rolled back":
            raise NotFound(f"this upload was refused: {upload.error}")
        upload = await _as_it_stands(drive, upload)
        if upload.held == upload.total and (view := await finish_broken_off(drive, upload, who)):
            return Progress(upload.held, view)
        plan = plan_request(upload.upload_state, content_range, length, wall_s())
        if isinstance(plan, Query) and plan.complete:
            plan = Chunk(0, upload.held, 0, last=True, total=plan.total)
        if isinstance(plan, Chunk):
            return await _take_chunk(drive, who, upload, plan, body)
        return Progress(upload.held)


async def verified(drive: Drive, upload: Transfer, who: Principal) -> Transfer:
    """Return the upload as it stands, its bytes read again by this worker if another wrote them."""
    async with transfers.only_writer(drive, upload.key):
        upload = await _as_it_stands(drive, await transfers.get(drive, upload.key))
        if upload.held == upload.total and await finish_broken_off(drive, upload, who):
            return await transfers.get(drive, upload.key)
        check = await _check_at(drive, upload, upload.total)
        drive.checks.keep(upload.key, upload.held, check)
    return upload


async def cancel(drive: Drive, upload: Transfer) -> None:
    """Forget an upload; what was staged of it is removed."""
    async with transfers.only_writer(drive, upload.key):
        if (await transfers.get(drive, upload.key)).state != "committed":
            await remove_staged(drive, upload.key)
        await transfers.forget(drive, upload.key)


async def _take_chunk(
    drive: Drive, who: Principal, upload: Transfer, plan: Chunk, body: AsyncIterable[bytes]
) -> Progress:
    check = await _check_at(drive, upload, plan.total)
    limit = FILE_MAX_BYTES if plan.take is None else plan.take

    async def keep(held: int) -> None:
        await transfers.note_held(drive, upload.key, held, plan.total)

    fresh = staging.bounded(body, limit, plan.skip)
    reach("transfer_start")
    try:
        async with staging.opened(drive, upload.staged) as handle:
            held = await staging.write_body(drive, handle, check, fresh, plan.offset, keep)
        reach("transfer_end")
    except (CorruptContent, UnsupportedType) as error:
        check.close()
        await _roll_back(drive, upload, error)
        raise
    except BaseException:
        check.close()
        await transfers.note_state(drive, upload.key, "parked", error="the connection was cut")
        raise
    drive.checks.keep(upload.key, held, check)
    if plan.total is not None and plan.take is not None and held < plan.offset + plan.take:
        await transfers.note_state(drive, upload.key, "parked", error="the chunk ended early")
        return Progress(held)
    whole = held == plan.total if plan.total is not None else plan.last
    if not whole:
        return Progress(held)
    await transfers.note_held(drive, upload.key, held, held)
    await transfers.note_state(drive, upload.key, "verifying")
    try:
        content = await _finished(drive, upload.staged, check, upload.plan.changes.modified_ns)
        view = await _publish(drive, who, upload.plan, upload.key, upload.staged, content)
    except (CorruptContent, UnsupportedType) as error:
        await _roll_back(drive, upload, error)
        raise
    except BaseException as error:
        await transfers.note_state(drive, upload.key, "parked", error=str(error))
        raise
    await transfers.note_state(drive, upload.key, "committed", result=view.file_id)
    drive.checks.drop(upload.key)
    return Progress(held, view)


async def _check_at(drive: Drive, upload: Transfer, total: int | None) -> ContentCheck:
    """Return the checks of the bytes held: kept by this worker, or fed anew from the staged file."""
    kept = drive.checks.take(upload.key, upload.held)
    if kept is not None:
        return kept
    check = make_check(drive, upload.plan, total)
    try:
        await staging.feed_staged(drive, upload.staged, check, upload.held)
    except BaseException:
        check.close()
        raise
    return check


async def _as_it_stands(drive: Drive, upload: Transfer) -> Transfer:
    """Return `upload` with no more held than the staged file has (a power loss may have cut it)."""
    attributes = await drive.volume.getattr(upload.staged)
    if attributes.size >= upload.held:
        return upload
    await transfers.note_held(drive, upload.key, attributes.size, None)
    return await transfers.get(drive, upload.key)


async def _roll_back(drive: Drive, upload: Transfer, error: RequestError) -> None:
    drive.checks.drop(upload.key)
    await transfers.note_state(drive, upload.key, "rolled back", error=str(error))
    await remove_staged(drive, upload.key)


async def remove_staged(drive: Drive, name: str) -> None:
    """Remove the staged file called `name` if it is still there."""
    try:
        await drive.volume.unlink(drive.uploads_ino, name.encode())
    except FileSystemError as error:
        if error.errno != ENOENT:
            raise


async def finish_broken_off(drive: Drive, upload: Transfer, who: Principal) -> FileView | None:
    """Return the file of an upload that was published before its worker died; None if it was not."""
    (parent, _), *_ = await drive.volume.names_of(upload.staged)
    target = upload.plan.target
    if parent == drive.uploads_ino:
        if target is None or not await was_exchanged(drive, upload.staged):
            return None
        await file_away(drive, upload.key, target)
    view = await nodes.look(drive, upload.staged if target is None else target, who.user)
    await transfers.note_state(drive, upload.key, "committed", result=view.file_id)
    return view


async def _result(drive: Drive, upload: Transfer, who: Principal) -> FileView:
    return await nodes.find(drive, upload.result or "", who)


def check_owner(upload: Transfer, who: Principal) -> None:
    """Raise NotFound unless the upload is one of `who`."""
    if upload.user != who.user and not who.admin:
        raise NotFound("no such upload; it may have expired or been cancelled")


async def _target(drive: Drive, ino: int, who: Principal) -> FileView:
    """Return the file that is to get new content; raise ENOENT if it is gone."""
    try:
        target = await nodes.look(drive, ino, who.user)
    except NotFound as error:
        raise FileSystemError(ENOENT, str(error)) from error
    await nodes.check(drive, target, who, "w")
    return target


async def _finished(
    drive: Drive, staged: int, check: ContentCheck, modified_ns: int | None
) -> staging.Finished:
    reach("verify_start")
    finished = await staging.finish(drive, staged, check, modified_ns)
    reach("verify_end")
    return finished


async def _publish(
    drive: Drive, who: Principal, plan: UploadPlan, name: str, staged: int, finished: staging.Finished
) -> FileView:
    content, mtime_ns = finished
    checked = "" if plan.rule == "off" else promise(plan.name, plan.content_type)
    if plan.target is not None:
        target = await _target(drive, plan.target, who)
        drive.people.locks.check_write(target.ino, plan.lock_owner or who.user, plan.lock_token)
        metadata = described(
            apply_changes(target.metadata, plan.changes), content, mtime_ns, checked, who.user
        )
        view = await publish_over(drive, name, staged, target, metadata, plan.expected_version)
        reach("publish")
        return view
    assert plan.parent is not None
    folder = await nodes.look(drive, plan.parent, who.user)
    await nodes.check(drive, folder, who, "w")
    if folder.trashed or not folder.is_folder:
        raise Forbidden(f"the folder {folder.name} is not there any more")
    file_id = None if plan.changes.id is UNSET else plan.changes.id
    created_ns = mtime_ns if plan.changes.modified_ns is None else int(wall_s() * 10**9)
    made = FileMetadata(name=plan.name, owner=who.user, file_id=file_id, created_ns=created_ns)
    if plan.content_type:
        made = made.changed(mime_type=plan.content_type)
    made = described(apply_changes(made, plan.changes), content, mtime_ns, checked, who.user)
    await note_use(drive, file_id, staged, who.user)
    await publish_new(drive, name, staged, plan.parent, made, exact=plan.exact)
    reach("publish")
    return await nodes.look(drive, staged, who.user)
