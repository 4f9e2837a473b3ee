"""A real S3 server on loopback: OpenStack Swift with s3api, from Debian's packages, in its own folder."""

import getpass
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from free_ports import free_bases

SCRIPT = Path(__file__).with_name("swift_server.py")
PYTHON = "/usr/bin/python3"
START_S = 60.0
_CACHE_MIB = "64"
_KINDS = ("account", "container", "object", "proxy")
_COMMON = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
user = {user}
workers = {workers}
log_address = {folder}/no-syslog
log_level = ERROR
"""
_STORAGE = """[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
_PLAIN_FILTERS = ("catch_errors", "gatekeeper", "healthcheck", "bulk", "copy", "slo", "dlo")
_PROXY = """[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache bulk s3api tempauth copy slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{cache_port}
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
""" + "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in _PLAIN_FILTERS)


class RealS3(NamedTuple):
    """A running server: its address, and the environment that programs need to use it."""

    endpoint: str
    environment: dict[str, str]


def skip_without_swift() -> None:
    """Skip the test where the packages are missing."""
    found = subprocess.run([PYTHON, "-c", "import swift.proxy, swift.obj"], capture_output=True, check=False)
    if found.returncode:
        pytest.skip("no OpenStack Swift: `bash scripts/setup.sh --for-engines` installs it")


@contextmanager
def running_s3(folder: Path, *, workers: int = 1) -> Iterator[RealS3]:
    """Run the server with its objects in `folder`, which must allow extended attributes."""
    (folder / "devices" / "disk").mkdir(parents=True, exist_ok=True)
    first, second, third = free_bases(2)
    cache_port = third + 1
    ports = dict(zip(_KINDS, (first, first + 1, second, third), strict=True))
    (folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = trivet\n")
    for kind, port in ports.items():
        common = _COMMON.format(port=port, folder=folder, user=getpass.getuser(), workers=workers)
        rest = (_PROXY if kind == "proxy" else _STORAGE).format(kind=kind, cache_port=cache_port)
        (folder / f"{kind}-server.conf").write_text(common + rest)
    rings = [str(ports[kind]) for kind in _KINDS[:3]]
    subprocess.run([PYTHON, SCRIPT, folder, "rings", *rings], check=True, capture_output=True)
    words = ["memcached", "-l", "127.0.0.1", "-p", str(cache_port), "-m", _CACHE_MIB, "-u", getpass.getuser()]
    children = [subprocess.Popen(words, process_group=0)]
    try:
        _wait_for(cache_port, folder / "swift.conf")
        for kind in _KINDS:
            with (folder / f"{kind}.log").open("ab") as log:
                children.append(
                    subprocess.Popen([PYTHON, SCRIPT, folder, kind], stdout=log, stderr=log, process_group=0)
                )
        for kind, port in ports.items():
            _wait_for(port, folder / f"{kind}.log")
        yield RealS3(
            f"http://127.0.0.1:{ports['proxy']}",
            {
                "AWS_ACCESS_KEY_ID": "test:tester",
                "AWS_SECRET_ACCESS_KEY": "testing",
                "AWS_REGION": "us-east-1",
            },
        )
    finally:
        for child in children:
            child.terminate()
        for child in children:
            child.wait(10)


def _wait_for(port: int, log: Path) -> None:
    until = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
