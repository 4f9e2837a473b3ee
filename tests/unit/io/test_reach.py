"""Which of two keepers on two hosts a client finds: the one whose door is open."""

import asyncio
import datetime
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from free_ports import free_port
from trivet.io.certificates import certify, make_authority
from trivet.io.clock import steady_s
from trivet.io.link import LinkLost, serve_link
from trivet.io.reach import Reach
from trivet.io.tls import public_socket, server_tls, tls_options
from trivet.io.volume_folder import PAIR_FORMAT, VolumeConfig, VolumeFolder
from trivet.wire.bank_messages import Stat
from trivet.wire.journal_messages import Done

FIRST, SECOND = "127.0.0.1", "127.0.0.2"
NAME = "00" * 8
TIMEOUT_S = 5.0


@pytest.fixture
def folder(tmp_path: Path) -> VolumeFolder:
    """A volume with a keeper on each of two hosts."""
    folder = VolumeFolder(tmp_path / "state")
    folder.create(
        VolumeConfig(
            NAME, [7000, 8000, 9000], 1, format=PAIR_FORMAT, hosts={"7000": FIRST}, keeper=FIRST,
            standby=SECOND, keeper_port=free_port(),
        )
    )  # fmt: skip
    at = datetime.datetime.now(datetime.UTC)
    make_authority(folder, NAME, at)
    for host in (FIRST, SECOND):
        certify(folder, host, folder.authority_key_path, at)
    return folder


@asynccontextmanager
async def door_on(folder: VolumeFolder, host: str) -> AsyncIterator[set[asyncio.Task[None]]]:
    """Open the door of the keeper on `host`; gives who connected, each done when it is gone."""
    connected: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connected.add(task)
        await serve_link(reader, writer, folder.read_key(), lambda message, body, peer: Done())

    with public_socket(folder.read_config().keeper_port, host) as listening:
        tls = tls_options(server_tls(folder, host))
        async with await asyncio.start_server(serve, sock=listening, **tls):
            yield connected


@pytest.mark.parametrize("leads", [FIRST, SECOND])
async def test_whichever_leads_is_found(folder: VolumeFolder, leads: str) -> None:
    async with door_on(folder, leads):
        link = await Reach(folder).keeper(timeout_s=TIMEOUT_S)
        assert isinstance((await link.request(Stat(), timeout_s=TIMEOUT_S))[0], Done)
        await link.close()


async def test_a_host_that_hangs_holds_nobody_up(folder: VolumeFolder) -> None:
    """It takes connections, as the kernel of a host does whose processes are stopped, and says nothing."""
    with public_socket(folder.read_config().keeper_port, FIRST):
        async with door_on(folder, SECOND):
            began_s = steady_s()
            link = await Reach(folder).keeper(timeout_s=TIMEOUT_S)
            assert steady_s() - began_s < TIMEOUT_S / 2
            await link.close()


async def test_of_two_links_one_is_kept(folder: VolumeFolder) -> None:
    async with door_on(folder, FIRST) as first, door_on(folder, SECOND) as second:
        link = await Reach(folder).keeper(timeout_s=TIMEOUT_S)
        assert isinstance((await link.request(Stat(), timeout_s=TIMEOUT_S))[0], Done)
        await link.close()
        _gone, left = await asyncio.wait(first | second, timeout=TIMEOUT_S)
        assert not left


async def test_nobody_leads(folder: VolumeFolder) -> None:
    with pytest.raises(LinkLost, match="no link to"):
        await Reach(folder).keeper(timeout_s=TIMEOUT_S)
