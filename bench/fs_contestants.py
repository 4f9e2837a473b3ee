"""What is compared: a plain folder, a bindfs mount of one, and a trivet mount, each set up and taken down."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path


def free_bases(count: int) -> list[int]:
    """Return `count` port numbers nobody listens on now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return sorted(one.getsockname()[1] for one in sockets)


@contextmanager
def plain_folder(work: Path) -> Iterator[Path]:
    """A plain folder."""
    folder = work / "plain"
    folder.mkdir()
    yield folder


@contextmanager
def bindfs_mount(work: Path) -> Iterator[Path]:
    """A bindfs mount: what one FUSE layer in C costs."""
    below, mount = work / "bindfs-below", work / "bindfs"
    below.mkdir()
    mount.mkdir()
    subprocess.run(["bindfs", str(below), str(mount)], check=True)
    try:
        yield mount
    finally:
        os.chdir("/")
        subprocess.run(["fusermount3", "-u", "-z", str(mount)], check=True)


@contextmanager
def trivet_mount(work: Path, *, gateway: bool = True) -> Iterator[Path]:
    """A trivet drive with three banks of one server, in default durability."""
    mount, state = work / "drive", work / "state"
    command = [sys.executable, "-m", "trivet"]
    ports = ",".join(map(str, free_bases(3)))
    options = ["--state", str(state), "--mount", str(mount), "--servers", "1", "--ports", ports]
    if not gateway:
        options.append("--no-gateway")
    subprocess.run([*command, "up", "--detach", *options], check=True)
    try:
        yield mount
    finally:
        os.chdir("/")
        subprocess.run([*command, "down", "--state", str(state)], check=True)
        shutil.rmtree(state)


CONTESTANTS = {"plain": plain_folder, "bindfs": bindfs_mount, "trivet": trivet_mount}
