"""What was to be compared on a bank that was away is compared when it is back, without a refresh."""

import asyncio
from pathlib import Path

import pytest

from corruption_pool import change_rows, rows_on
from small_drive import DEADLINE_S, small_drive
from trivet.keeper.refresh import Refresher
from trivet.wire.records import inode_key


async def test_what_is_read_while_a_bank_is_away_is_compared_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with small_drive(tmp_path) as drive:
        key = inode_key(await drive.write(b"note", b"of three banks"))
        server, queue = drive.servers[0], drive.loaded.queue
        await drive.until(lambda: server.place.records.applied == drive.loaded.journal.head_slot)
        right = (await rows_on(server))[key]
        monkeypatch.setattr(Refresher, "refresh_now", lambda _refresher: None)
        await change_rows(server, [(key, None)])
        await server.hang_up(clean=False)
        await drive.until(lambda: queue.acceptor(server.port) is None)
        queue.look_at((await drive.loaded.volume.lookup(1, b"note")).ino)
        await drive.until(lambda: key in queue._late.get(server.port, ()))
        await server.listen()
        async with asyncio.timeout(DEADLINE_S):
            while (await rows_on(server)).get(key) != right:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
