"""GlusterFS and MooseFS, each with three servers on this machine that keep three copies of everything.

Rule: both refuse loopback addresses, so their servers live in a network namespace, to be entered first.
Rule: whatever was started is ended, and the namespace taken away, however the measurement ends. Needs root.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

NAMESPACE = "trivet-peers"
ADDRESS = "10.99.0.1"
DEADLINE_S = 60.0
COPIES = 3
_INSIDE = ["nsenter", f"--net=/run/netns/{NAMESPACE}"]
_GLUSTER_VOLFILE = """volume management
    type mgmt/glusterd
    option working-directory {work}
    option transport-type socket
    option transport.socket.bind-address {address}
    option transport.socket.keepalive-time 10
    option glusterd-sockfile {sock}
end-volume
"""


def _run(*command: str | Path, inside: bool = True) -> str:
    """Run a command to its end, in the peers' namespace; return what it printed."""
    full = [*(_INSIDE if inside else []), *map(str, command)]
    done = subprocess.run(full, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(full)}: {done.stderr or done.stdout}")
    return done.stdout


def _until(what: str, is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + DEADLINE_S
    while not is_so():
        if time.monotonic() > until:
            raise TimeoutError(f"{what} did not come within {DEADLINE_S:.0f} s")
        time.sleep(0.2)


def _works(*command: str | Path) -> bool:
    return subprocess.run([*_INSIDE, *map(str, command)], capture_output=True).returncode == 0


@contextmanager
def peer_network() -> Iterator[None]:
    """The network in which the contestants of this module live, with one address."""
    _run("ip", "netns", "add", NAMESPACE, inside=False)
    try:
        _run("ip", "link", "set", "lo", "up")
        _run("ip", "addr", "add", f"{ADDRESS}/32", "dev", "lo")
        yield
    finally:
        _run("ip", "netns", "delete", NAMESPACE, inside=False)


def _end(pid_files: list[Path]) -> None:
    """End the daemons that wrote these files, and wait until they are gone."""
    pids = [int(path.read_text()) for path in pid_files if path.exists()]
    for pid in pids:
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            continue
    _until("the end of the daemons", lambda: not any(Path(f"/proc/{pid}/stat").exists() for pid in pids))


def _unmount(mount: Path) -> None:
    os.chdir("/")
    subprocess.run(["umount", "-l", str(mount)], check=False)


@contextmanager
def gluster_mount(work: Path) -> Iterator[Path]:
    """A GlusterFS volume, replica 3, through its FUSE client."""
    home, mount = work / "gluster", work / "gluster-mount"
    bricks = [home / f"brick{number}" for number in range(COPIES)]
    for path in (mount, home / "daemon", *bricks):
        path.mkdir(parents=True)
    volfile, pid_file, sock = home / "glusterd.vol", home / "glusterd.pid", home / "glusterd.sock"
    volfile.write_text(_GLUSTER_VOLFILE.format(work=home / "daemon", address=ADDRESS, sock=sock))
    gluster = ["gluster", f"--glusterd-sock={sock}", "--mode=script"]
    with ExitStack() as stack:
        stack.callback(_end, [pid_file])
        _run("glusterd", "-f", volfile, "-p", pid_file, "-l", home / "glusterd.log")
        _until("glusterd", lambda: _works(*gluster, "pool", "list"))
        places = [f"{ADDRESS}:{brick}" for brick in bricks]
        _run(*gluster, "volume", "create", "gv", "replica", str(COPIES), "transport", "tcp", *places, "force")
        _run(*gluster, "volume", "start", "gv")
        stack.callback(_run, *gluster, "volume", "stop", "gv", "force")
        _run("mount", "-t", "glusterfs", f"{ADDRESS}:/gv", mount)
        stack.callback(_unmount, mount)
        yield mount


def _write_moosefs(home: Path) -> tuple[Path, list[Path]]:
    """Write the configuration of a master and three chunk servers; return their paths."""
    common = f"WORKING_USER = root\nWORKING_GROUP = root\nMASTER_HOST = {ADDRESS}\n"
    master = home / "master"
    master.mkdir(parents=True)
    shutil.copy("/var/lib/mfs/metadata.mfs.empty", master / "metadata.mfs")
    (home / "exports.cfg").write_text(f"{ADDRESS} / rw,alldirs,admin,maproot=0:0\n")
    hosts = "".join(f"{door}_LISTEN_HOST = {ADDRESS}\n" for door in ("MATOML", "MATOCS", "MATOCL"))
    (home / "master.cfg").write_text(
        f"{common}{hosts}DATA_PATH = {master}\nEXPORTS_FILENAME = {home / 'exports.cfg'}\n"
    )
    chunk_servers = []
    for number in range(COPIES):
        data, disk = home / f"chunk{number}", home / f"disk{number}"
        data.mkdir()
        disk.mkdir()
        (home / f"hdd{number}.cfg").write_text(f"{disk}\n")
        config = home / f"chunk{number}.cfg"
        config.write_text(
            f"{common}DATA_PATH = {data}\nHDD_CONF_FILENAME = {home / f'hdd{number}.cfg'}\n"
            f"CSSERV_LISTEN_HOST = {ADDRESS}\nCSSERV_LISTEN_PORT = {9422 + number}\n"
        )
        chunk_servers.append(config)
    return home / "master.cfg", chunk_servers


@contextmanager
def moosefs_mount(work: Path) -> Iterator[Path]:
    """A MooseFS with goal 3, through its FUSE client."""
    home, mount = work / "moosefs", work / "moosefs-mount"
    mount.mkdir()
    master, chunk_servers = _write_moosefs(home)
    with ExitStack() as stack:
        _run("mfsmaster", "-c", master, "start")
        stack.callback(_run, "mfsmaster", "-c", master, "stop")
        for config in chunk_servers:
            _run("mfschunkserver", "-c", config, "start")
            stack.callback(_run, "mfschunkserver", "-c", config, "stop")
        _until("MooseFS", lambda: _works("mfsmount", mount, "-H", ADDRESS, "-P", "9421"))
        stack.callback(_unmount, mount)
        _run("mfssetgoal", "-r", str(COPIES), mount)
        yield mount
