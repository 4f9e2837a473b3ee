"""Answers that were lost: what arrived at the vendor all the same is known for ours, and follows us."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, NoReturn

from trivet.io.drive_api import VendorTrouble
from upstream_rig import ME, UpstreamRig, in_virtual_time, upstream_rig
from vendor_server import Vendor


def test_what_arrived_in_a_forgotten_upload_and_was_removed_then_is_removed_there_too(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        async with upstream_rig(tmp_path, vendor) as rig:
            await rig.settled()
            await rig.write("plan", b"first")
            await rig.settled()
            api = rig.work.up.vendor.api
            send_chunk, upload_state = api.send_chunk, api.upload_state

            async def unanswered(session: str, piece: bytes, offset: int, size: int) -> NoReturn:
                await send_chunk(session, piece, offset, size)
                raise VendorTrouble("the connection was cut", status=None)

            async def forgotten(session: str) -> NoReturn:
                raise VendorTrouble("no such upload", status=404)

            api.send_chunk, api.upload_state = unanswered, forgotten  # type: ignore[method-assign]
            await rig.write("plan", b"second")
            while vendor.named("plan") != [b"second"]:  # noqa: ASYNC110 - the vendor tells nobody
                await asyncio.sleep(0.5)
            await rig.volume.unlink(await rig.ino(""), b"plan")
            await asyncio.sleep(60)
            api.send_chunk, api.upload_state = send_chunk, upload_state  # type: ignore[method-assign]
            await rig.settled()
            assert (vendor.named("plan"), await rig.names()) == ([], [])

    in_virtual_time(run())


def test_killed_while_it_asks_what_has_arrived_what_was_removed_here_goes(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        async with upstream_rig(tmp_path, vendor) as rig:
            await rig.settled()
            await lose_answer(rig, rig.write("plan", b"plan"), "send_chunk")
            api, asked = rig.work.up.vendor.api, asyncio.Event()

            async def forgotten(session: str) -> NoReturn:
                raise VendorTrouble("no such upload", status=404)

            async def silent(file_id: str) -> NoReturn:
                asked.set()
                raise VendorTrouble("the connection was cut", status=None)

            api.upload_state, api.get = forgotten, silent  # type: ignore[method-assign]
            await rig.volume.unlink(await rig.ino(""), b"plan")
            await asked.wait()
            await rig.stop()
            await rig.start()
            await rig.settled(2000)
            assert (vendor.named("plan"), await rig.names()) == ([], [])

    in_virtual_time(run())


def test_a_folder_whose_answer_was_lost_and_that_was_removed_here_goes(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        async with upstream_rig(tmp_path, vendor) as rig:
            await rig.settled()
            root = await rig.ino("")
            await lose_answer(rig, rig.volume.mkdir(root, b"plans", 0o755, ME), "create_folder")
            await rig.volume.rmdir(root, b"plans")
            await rig.settled()
            assert (vendor.named("plans"), await rig.names()) == ([], [])

    in_virtual_time(run())


async def lose_answer(rig: UpstreamRig, change: Awaitable[object], verb: str) -> None:
    """Make a change; return when `verb` of the vendor's API has done its work, and its answer was lost."""
    api, done = rig.work.up.vendor.api, asyncio.Event()
    work = getattr(api, verb)

    async def unanswered(*arguments: Any) -> NoReturn:
        await work(*arguments)
        setattr(api, verb, work)
        done.set()
        raise VendorTrouble("the connection was cut", status=None)

    setattr(api, verb, unanswered)
    await change
    await done.wait()


def test_a_name_whose_answer_was_lost_is_ours_also_when_the_next_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        async with upstream_rig(tmp_path, vendor) as rig:
            await rig.settled()
            await rig.write("first", b"plan")
            await rig.settled()
            api, root, sent = rig.work.up.vendor.api, await rig.ino(""), list[str]()
            update = api.update

            async def troubled(file_id: str, body: dict[str, Any], add: str, remove: str) -> NoReturn:
                sent.append(body["name"])
                if len(sent) == 1:
                    await update(file_id, body, add, remove)
                    await rig.volume.rename(root, b"second", root, b"third", replace=False, exchange=False)
                else:
                    api.update = update  # type: ignore[method-assign]
                raise VendorTrouble("the connection was cut", status=None)

            api.update = troubled  # type: ignore[method-assign]
            await rig.volume.rename(root, b"first", root, b"second", replace=False, exchange=False)
            await rig.settled()
            assert sent == ["second", "third"]
            assert (await rig.names(), vendor.named("third")) == (["third"], [b"plan"])
            assert await rig.store.rows("SELECT name FROM settings WHERE name LIKE 'sent %'") == []

    in_virtual_time(run())


def test_a_name_that_was_sent_once_does_not_undo_a_later_move_over_there(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        folder, plan = vendor.folder("plans"), vendor.put("first", b"plan")
        async with upstream_rig(tmp_path, vendor) as rig:
            await rig.settled()
            await rig.read("first")
            root = await rig.ino("")
            await rig.volume.rename(root, b"first", root, b"plan", replace=False, exchange=False)
            await rig.settled()
            vendor.faults.down = True
            await rig.write("plan", b"a better plan")
            await asyncio.sleep(30)
            vendor.drive.update(plan, {}, None, add=folder)
            vendor.faults.down = False
            await rig.settled(2000)
            assert (await rig.names(), await rig.names("plans")) == (["plans"], ["plan"])
            assert (vendor.drive.files[plan].parent, vendor.named("plan")) == (folder, [b"a better plan"])

    in_virtual_time(run())
