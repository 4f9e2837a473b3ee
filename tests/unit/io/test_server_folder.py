"""A server's folder is exchanged for an empty one, whatever kills who does it, and the old one is kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from trivet.errors import InputError
from trivet.io.server_folder import exchange, new_folder
from trivet.io.volume_folder import VolumeConfig, VolumeFolder

BASES = [7000, 8000, 9000]
#: Dies, in a child a time, before the first, second, ... change to the disk that the exchange makes.
KILLED = """
import os, shutil, sys
from pathlib import Path
from trivet.io.server_folder import exchange, finish_exchanges
from trivet.io.volume_folder import VolumeFolder

made, work, fresh = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
for steps in range(100):
    state = work / str(steps)
    shutil.copytree(made, state, symlinks=True)
    child = os.fork()
    if child == 0:
        left = steps
        def hook(event, arguments):
            global left
            if event in ("os.rename", "os.mkdir", "os.symlink", "os.remove", "os.rmdir"):
                left -= 1
                if left < 0:
                    os._exit(9)
        sys.addaudithook(hook)
        exchange(VolumeFolder(state), 8000, 8001, fresh)
        os._exit(0)
    _, ended = os.waitpid(child, 0)
    if ended == 0:
        break
    assert os.waitstatus_to_exitcode(ended) == 9
    finish_exchanges(VolumeFolder(state))
"""


def made_volume(state: Path) -> VolumeFolder:
    """Make a volume of two servers a bank that hold something."""
    folder = VolumeFolder(state)
    folder.create(VolumeConfig("00" * 8, BASES, 2))
    for base in BASES:
        for port in (base, base + 1):
            folder.server_path(base, port).mkdir(parents=True)
            (folder.server_path(base, port) / "held").write_text(str(port))
    return folder


def test_the_new_folder_is_empty_and_the_old_one_is_kept(tmp_path: Path) -> None:
    folder = made_volume(tmp_path / "state")
    place = folder.server_path(8000, 8001)
    kept = exchange(folder, 8000, 8001, None)
    assert kept is not None
    assert (kept / "held").read_text() == "8001"
    assert list(place.iterdir()) == []
    (place / "held").write_text("anew")
    disk = tmp_path / "disk"
    disk.mkdir()
    again = exchange(folder, 8000, 8001, new_folder(disk, 8001))
    assert again is not None
    assert (again / "held").read_text() == "anew"
    assert (kept / "held").read_text() == "8001"
    assert place.readlink() == disk / "server-8001"
    assert (folder.server_path(8000, 8000) / "held").read_text() == "8000"


def test_a_bank_linked_to_another_disk_keeps_its_other_servers(tmp_path: Path) -> None:
    folder = made_volume(tmp_path / "state")
    bank = folder.path / "bank-8000"
    bank.rename(tmp_path / "disk2")
    bank.symlink_to(tmp_path / "disk2")
    disk = tmp_path / "disk3"
    disk.mkdir()
    exchange(folder, 8000, 8000, new_folder(disk, 8000))
    assert list(folder.server_path(8000, 8000).iterdir()) == []
    assert (folder.server_path(8000, 8001) / "held").read_text() == "8001"
    assert (tmp_path / "disk2" / "server-8000" / "held").read_text() == "8000"


@pytest.mark.parametrize("linked", [False, True], ids=["in the state folder", "linked to a disk"])
def test_a_kill_at_any_step_leaves_the_old_folder_or_the_new_one(tmp_path: Path, linked: bool) -> None:
    folder = made_volume(tmp_path / "made")
    if linked:
        (folder.path / "bank-8000").rename(tmp_path / "disk2")
        (folder.path / "bank-8000").symlink_to(tmp_path / "disk2")
    fresh, work = tmp_path / "fresh", tmp_path / "work"
    fresh.mkdir()
    work.mkdir()
    words = [sys.executable, "-c", KILLED, *map(str, (folder.path, work, fresh))]
    subprocess.run(words, check=True, timeout=60)
    seen = set()
    for state in work.iterdir():
        place = VolumeFolder(state).server_path(8000, 8001)
        is_old = (place / "held").exists()
        seen.add(is_old)
        assert is_old or place.readlink() == fresh, state
        everywhere = [*state.rglob("held"), *tmp_path.glob("disk2/*/held")]
        assert any(path.read_text() == "8001" for path in everywhere), "what it held is gone"
        assert not os.path.lexists(f"{place}.new")
        other = VolumeFolder(state).server_path(8000, 8000)
        assert (other / "held").read_text() == "8000"
    assert seen == {True, False}


def test_a_disk_that_is_not_there_or_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mounted"):
        new_folder(tmp_path / "away", 8000)
    (tmp_path / "server-8000").mkdir()
    assert new_folder(tmp_path, 8000) == tmp_path / "server-8000"
    (tmp_path / "server-8000" / "state").write_text("")
    with pytest.raises(InputError, match="not empty"):
        new_folder(tmp_path, 8000)
