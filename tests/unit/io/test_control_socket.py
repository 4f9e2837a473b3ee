"""The control socket: answers, progress, errors, hostile input, clients that leave."""

import asyncio
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from trivet.errors import ConfigError, NoMajority
from trivet.io import control_socket
from trivet.io.control_socket import NotRunning, Remote, Report, ask, serve_control


async def double(arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
    for step in range(3):
        report({"step": step})
    return {"twice": arguments["number"] * 2}


async def refuse(arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
    raise NoMajority("two banks are gone")


async def test_result_and_progress_arrive_in_order(tmp_path: Path) -> None:
    steps: list[Mapping[str, Any]] = []
    async with serve_control(tmp_path / "s", {"double": double}):
        result = await ask(tmp_path / "s", "double", {"number": 21}, steps.append)
    assert result == {"twice": 42}
    assert steps == [{"step": 0}, {"step": 1}, {"step": 2}]


async def test_expected_errors_travel_with_their_exit_code(tmp_path: Path) -> None:
    async with serve_control(tmp_path / "s", {"refuse": refuse}):
        with pytest.raises(Remote, match="two banks are gone") as caught:
            await ask(tmp_path / "s", "refuse")
        assert (caught.value.kind, caught.value.exit_code) == ("NoMajority", 3)
        with pytest.raises(Remote, match="there are: refuse") as caught:
            await ask(tmp_path / "s", "nonsense")
        assert caught.value.exit_code == 2


async def test_a_bug_ends_the_server(tmp_path: Path) -> None:
    async def broken(arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
        raise AssertionError("a bug")

    async def serve_and_ask() -> None:
        async with serve_control(tmp_path / "s", {"broken": broken}):
            await ask(tmp_path / "s", "broken")

    with pytest.raises(ExceptionGroup) as caught:
        await serve_and_ask()
    assert caught.group_contains(AssertionError, match="a bug")


async def test_an_expected_error_of_the_block_is_raised_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(NoMajority):
        async with serve_control(tmp_path / "s", {}):
            raise NoMajority


async def test_socket_is_private_and_goes_with_its_server(tmp_path: Path) -> None:
    async with serve_control(tmp_path / "s", {"double": double}):
        assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
        with pytest.raises(ConfigError, match="already serves"):
            async with serve_control(tmp_path / "s", {}):
                pass
    with pytest.raises(NotRunning):
        await ask(tmp_path / "s", "double")


async def test_a_dead_servers_socket_is_replaced(tmp_path: Path) -> None:
    server = await asyncio.start_unix_server(lambda r, w: None, tmp_path / "s")
    os.rename(tmp_path / "s", tmp_path / "kept")
    server.close()
    os.rename(tmp_path / "kept", tmp_path / "s")
    with pytest.raises(NotRunning):
        await ask(tmp_path / "s", "double")
    async with serve_control(tmp_path / "s", {"double": double}):
        assert await ask(tmp_path / "s", "double", {"number": 1}) == {"twice": 2}


async def test_deep_folders_work(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    async with serve_control(deep / "s", {"double": double}):
        assert await ask(deep / "s", "double", {"number": 2}) == {"twice": 4}
    assert not (deep / "s").exists()


@pytest.mark.parametrize(
    "line",
    [b"\n", b"nonsense\n", b"[1]\n", b'{"do": 1}\n', b"{" * 70_000, b'"\xff"\n'],
    ids=["empty", "no json", "no object", "verb no text", "too long", "no utf-8"],
)
async def test_garbage_gets_an_error_and_the_server_goes_on(tmp_path: Path, line: bytes) -> None:
    async with serve_control(tmp_path / "s", {"double": double}):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        writer.write(line)
        answer = json.loads(await reader.readline())
        assert answer["error"]["kind"] == "ProtocolError"
        writer.close()
        assert await ask(tmp_path / "s", "double", {"number": 1}) == {"twice": 2}


async def test_a_client_that_leaves_cancels_its_handler(tmp_path: Path) -> None:
    cancelled = asyncio.Event()
    started = asyncio.Event()

    async def endless(arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError("unreachable")

    async with serve_control(tmp_path / "s", {"endless": endless}):
        asking = asyncio.create_task(ask(tmp_path / "s", "endless"))
        await started.wait()
        asking.cancel()
        await asyncio.wait_for(cancelled.wait(), 5)


async def test_long_work_is_told_from_a_hung_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_socket, "ALIVE_EVERY_S", 0.05)

    async def slow(arguments: dict[str, Any], report: Report) -> Mapping[str, Any]:
        await asyncio.sleep(0.6)
        return {}

    async with serve_control(tmp_path / "s", {"slow": slow}):
        assert await ask(tmp_path / "s", "slow", silence_s=0.3) == {}
    silent = await asyncio.start_unix_server(lambda r, w: None, tmp_path / "s")
    with pytest.raises(Remote, match="no sign of life"):
        await ask(tmp_path / "s", "slow", silence_s=0.2)
    silent.close()
