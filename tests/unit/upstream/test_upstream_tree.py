"""The vendor's tree and ours are one: whatever happens on one side is seen on the other."""

import pwd
from pathlib import Path

import pytest

from trivet.drive.file_metadata import ATTRIBUTE, Content, FileMetadata
from trivet.errors import ContentAway, NoMajority, NotFound
from trivet.upstream.standing import NOTICES_KEPT_S
from trivet.upstream.telling import notices_of
from upstream_rig import ME, UpstreamRig, in_virtual_time, upstream_rig, virtual_now_s
from vendor_server import Vendor


def test_vendors_tree_appears_and_content_comes_on_first_use(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        docs = vendor.folder("docs")
        vendor.put("a.txt", b"hello", docs)
        vendor.put("empty", b"")
        async with upstream_rig(tmp_path, vendor) as rig:
            await rig.settled()
            assert await rig.names() == ["docs", "empty"]
            ino = await rig.ino("docs/a.txt")
            assert (await rig.volume.getattr(ino)).size == 5
            with pytest.raises(ContentAway):
                await rig.volume.open_snapshot(ino)
            with pytest.raises(ContentAway):
                await rig.volume.open(ino, writing=False, truncate=False, sync=False)
            assert vendor.face.seen.get("download", 0) == 0
            assert await rig.read("docs/a.txt") == b"hello"
            assert await rig.read("docs/a.txt") == b"hello"
            assert await rig.read("empty") == b""
            assert vendor.face.seen["download"] == 1

    in_virtual_time(run())


def test_what_happens_at_the_vendor_happens_here(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        one, two = vendor.put("one", b"1"), vendor.put("two", b"2")
        folder = vendor.folder("folder")
        async with upstream_rig(tmp_path, vendor) as rig:
            await rig.settled()
            assert await rig.read("one") == b"1"
            vendor.drive.update(one, {}, b"11111")
            vendor.drive.update(two, {"name": "zwei"}, b"22", add=folder)
            vendor.put("three", b"3", vendor.folder("deep", folder))
            await rig.settled()
            assert await rig.names() == ["folder", "one"]
            assert await rig.names("folder") == ["deep", "zwei"]
            assert await rig.read("one") == b"11111"
            assert await rig.read("folder/zwei") == b"22"
            assert await rig.read("folder/deep/three") == b"3"
            vendor.drive.update(folder, {"trashed": True}, None)
            vendor.drive.delete(one)
            await rig.settled()
            assert await rig.names() == []
            assert [what for what, _ in vendor.drive.applied].count("create") == 5

    in_virtual_time(run())


def test_what_happens_here_happens_at_the_vendor_once(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        old = vendor.put("old", b"old")
        async with upstream_rig(tmp_path, vendor) as rig:
            await rig.settled()
            await rig.volume.mkdir(await rig.ino(""), b"mine", 0o755, ME)
            await rig.write("mine/a", b"aaa")
            await rig.write("mine/empty", b"")
            await rig.write("old", b"new content")
            await rig.settled()
            assert (vendor.named("a"), vendor.named("empty")) == ([b"aaa"], [b""])
            assert vendor.drive.files[old].data == b"new content"
            made = len(vendor.drive.applied)
            root, mine = await rig.ino(""), await rig.ino("mine")
            await rig.volume.rename(mine, b"a", root, b"b", replace=False, exchange=False)
            await rig.volume.unlink(root, b"old")
            await rig.settled()
            assert vendor.named("b") == [b"aaa"]
            assert vendor.named("a") == vendor.named("old") == []
            assert [what for what, _ in vendor.drive.applied[made:]] == ["metadata", "metadata"]

    in_virtual_time(run())


async def written_by(rig: UpstreamRig, path: str, user: str) -> None:
    """Describe a file as the HTTP door does when `user` has put it there."""
    ino = await rig.ino(path)
    stands = await rig.volume.getattr(ino)
    content = Content("r", stands.size, stands.mtime_ns, by=user)
    value = FileMetadata(content=content).encoded()
    await rig.volume.setxattr(ino, ATTRIBUTE, value, create=False, replace=False)


@pytest.mark.parametrize("door_user", ["", "bea"])
def test_changed_on_both_sides_both_are_kept_and_who_changed_it_is_told(
    tmp_path: Path, door_user: str
) -> None:
    async def run() -> None:
        vendor = Vendor()
        file = vendor.put("plan.txt", b"first")
        async with upstream_rig(tmp_path, vendor) as rig:
            await rig.settled()
            assert await rig.read("plan.txt") == b"first"
            vendor.faults.down = True
            await rig.write("plan.txt", b"ours")
            if door_user:
                await written_by(rig, "plan.txt", door_user)
            vendor.drive.update(file, {}, b"theirs")
            await rig.until(lambda: _has_rows(rig))
            vendor.faults.down = False
            await rig.settled()
            ours, theirs = await rig.names()
            assert (ours[:23], ours[-5:], theirs) == ("plan (changed here 2026", ").txt", "plan.txt")
            assert await rig.read("plan.txt") == b"theirs"
            assert await rig.read(ours) == b"ours"
            assert (vendor.named(ours), vendor.named("plan.txt")) == ([b"ours"], [b"theirs"])
            told = await rig.store.rows(
                "SELECT user FROM notices WHERE text LIKE 'plan.txt was changed here%'"
            )
            assert told == [(door_user or pwd.getpwuid(ME.uid).pw_name,)], "nobody else"
            later_s = virtual_now_s() + NOTICES_KEPT_S + 1
            rig.work.up.now_s = lambda: later_s
            assert await notices_of(rig.work) == []
            await rig.work.up.tell("something new", "")
            assert await rig.notices() == ["something new"]

    in_virtual_time(run())


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_placeholder_that_never_got_its_name_is_nobodys_removal(tmp_path: Path, what: str) -> None:
    async def run() -> None:
        vendor = Vendor()
        async with upstream_rig(tmp_path, vendor) as rig:
            await rig.settled()
            rename, outages = rig.volume.rename, [1]

            async def failing(parent: int, *rest: object, **more: object) -> None:
                if outages and parent == rig.work.up.staging_ino:
                    outages.pop()
                    raise NoMajority("two banks are gone")
                await rename(parent, *rest, **more)  # type: ignore[arg-type]

            rig.volume.rename = failing  # type: ignore[method-assign]
            far = vendor.put("far", b"far") if what == "file" else vendor.folder("far")
            await rig.settled()
            assert not outages
            assert not vendor.drive.files[far].trashed
            assert await rig.names() == ["far"]
            assert await rig.staged() == []

    in_virtual_time(run())


def test_a_file_replaced_before_it_was_fetched_goes_to_the_vendor(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        file = vendor.put("far", b"never fetched")
        async with upstream_rig(tmp_path, vendor) as rig:
            await rig.settled()
            await rig.write("far-new", b"ours")
            ino, staged = await rig.ino("far"), await rig.ino("far-new")
            await rig.volume.publish(staged, ino, None)
            with pytest.raises(NotFound, match="old version"):
                await rig.work.fetching.bring(staged, "ann", queue=True, wait_s=60)
            await rig.volume.unlink(await rig.ino(""), b"far-new")
            await rig.settled()
            assert vendor.drive.files[file].data == b"ours"
            assert vendor.face.seen.get("download", 0) == 0
            assert await rig.names() == ["far"]

    in_virtual_time(run())


def test_the_same_bytes_come_once(tmp_path: Path) -> None:
    async def run() -> None:
        vendor = Vendor()
        vendor.put("one", b"the same" * 1000)
        vendor.put("two", b"the same" * 1000)
        async with upstream_rig(tmp_path, vendor) as rig:
            await rig.settled()
            assert await rig.read("one") == await rig.read("two") == b"the same" * 1000
            assert vendor.face.seen["download"] == 1

    in_virtual_time(run())


async def _has_rows(rig: object) -> bool:
    return bool(await rig.work.outbox.count())  # type: ignore[attr-defined]
