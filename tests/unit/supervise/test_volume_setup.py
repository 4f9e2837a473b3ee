"""What must be in order before a drive starts: shapes, the lock, ports, the folder to mount on."""

import asyncio
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from free_ports import free_bases
from trivet.errors import ConfigError
from trivet.io.volume_folder import VolumeFolder
from trivet.supervise.volume_setup import (
    check_bases,
    check_ports,
    make_volume,
    only_supervisor,
    open_volume,
    prepare_mount_point,
)

BASES = (7000, 8000, 9000)


@pytest.fixture
def folder(tmp_path: Path) -> VolumeFolder:
    return VolumeFolder(tmp_path / "state")


def test_a_new_volume_has_a_private_key_and_is_found_again(folder: VolumeFolder) -> None:
    made = open_volume(folder, None, None, None)
    assert (made.bases, made.servers, made.durability) == (list(BASES), 2, "default")
    assert stat.S_IMODE(folder.key_path.stat().st_mode) == 0o600
    assert open_volume(folder, (9000, 7000, 8000), 2, "always") == made
    with pytest.raises(ConfigError, match="already holds a volume"):
        make_volume(folder, BASES, 2, "default")


def test_another_shape_is_refused_with_both_numbers(folder: VolumeFolder) -> None:
    open_volume(folder, BASES, 2, "default")
    with pytest.raises(ConfigError, match="made with 2 servers a bank, not 3"):
        open_volume(folder, None, 3, None)
    with pytest.raises(ConfigError, match="made with --ports 7000,8000,9000, not 1,2,3"):
        open_volume(folder, (1, 2, 3), None, None)


def test_somebody_elses_folder_is_left_alone(folder: VolumeFolder) -> None:
    folder.path.mkdir()
    (folder.path / "thesis.tex").touch()
    with pytest.raises(ConfigError, match="not empty"):
        open_volume(folder, None, None, None)
    assert os.listdir(folder.path) == ["thesis.tex"]


@pytest.mark.parametrize(
    ("bases", "servers"),
    [((7000, 7002, 9000), 3), ((0, 8000, 9000), 1), ((7000, 8000, 65535), 2), ((1, 2), 1), (BASES, 101)],
)
def test_shapes_that_can_not_be(bases: tuple[int, ...], servers: int) -> None:
    with pytest.raises(ConfigError, match="--"):
        check_bases(bases, servers)


def test_shapes_that_can_be() -> None:
    check_bases((7000, 7003, 7006), 3)
    check_bases((65435, 1, 30000), 100)


def test_only_one_supervisor(folder: VolumeFolder) -> None:
    open_volume(folder, None, None, None)
    named = pytest.raises(ConfigError, match=f"process {os.getpid()}")
    with only_supervisor(folder), named, only_supervisor(folder):
        pass
    with only_supervisor(folder):
        pass


async def test_used_ports_are_named_with_their_user(folder: VolumeFolder) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        bases = [port, *free_bases()[:2]]
        config = open_volume(folder, bases, 1, None)
        with pytest.raises(ConfigError, match=rf"port {port} \(.*process {os.getpid()}\)"):
            await check_ports([port for row in config.ports() for port in row])
        await check_ports([other for row in config.ports() for other in row if other != port])


async def test_mount_points(tmp_path: Path) -> None:
    assert await prepare_mount_point(tmp_path / "new" / "deep") is None
    assert (tmp_path / "new" / "deep").is_dir()
    (tmp_path / "file").touch()
    for wrong in (tmp_path, tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match="choose another --mount"):
            await prepare_mount_point(wrong)


@pytest.mark.mount
def test_a_mount_whose_process_was_killed_is_cleared(tmp_path: Path) -> None:
    serve = [sys.executable, "-c", SERVE_FOREVER, tmp_path / "drive"]
    (tmp_path / "drive").mkdir()
    here = Path(__file__).resolve().parents[2]
    paths = {"PYTHONPATH": f"{here}:{here / 'unit' / 'mount'}", "PATH": os.environ["PATH"]}
    with subprocess.Popen(serve, stdout=subprocess.PIPE, env=paths) as server:
        assert server.stdout is not None
        server.stdout.readline()
        with pytest.raises(ConfigError, match="already has trivet:test"):
            asyncio.run(prepare_mount_point(tmp_path / "drive"))
        server.kill()
    with pytest.raises(OSError, match="not connected"):
        os.listdir(tmp_path / "drive")
    cleared = asyncio.run(prepare_mount_point(tmp_path / "drive"))
    assert cleared is not None
    assert os.listdir(tmp_path / "drive") == []


SERVE_FOREVER = """
import pathlib, sys, time
from memory_ports import MemoryBanks
from mounted_volume import Served
Served(MemoryBanks(), pathlib.Path(sys.argv[1])).start()
print("up", flush=True)
time.sleep(60)
"""
